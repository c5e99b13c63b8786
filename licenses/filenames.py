"""What a file is by its name: licence, policy, notice, prose, weights."""

import re
from pathlib import PurePosixPath

CODE = {
    ".py",
    ".pyc",
    ".json",
    ".safetensors",
    ".bin",
    ".png",
    ".jpg",
    ".jpeg",
    ".webp",
    ".gif",
    ".svg",
    ".js",
    ".css",
    ".yaml",
    ".yml",
    ".toml",
}
UNREADABLE = {
    ".pdf",
    ".docx",
    ".doc",
    ".rtf",
    ".html",
    ".htm",
    ".odt",
    ".png",
    ".jpg",
    ".jpeg",
    ".webp",
    ".svg",
    ".json",
    ".yaml",
    ".yml",
}
LICENSE_NAME = re.compile(
    r"licen[sc]e|copying|lizenz|licencia|licenza|лиценз|许可|許可|协议|協議|授权|ライセンス|라이선스|non[-_. ]?commercial|"
    r"(?:^|[-_. ])(?:research|personal)[-_. ]?(?:use[-_. ]?)?only|"
    r"(?:^|[-_.])(?:terms|eula|addendum|restrictions?|agreement)(?:[-_.]|$)"
)
LICENSE_FOLDER = re.compile(r"(?:^|/)(?:licen[sc]es?|copying|lizenzen|legal)/[^/]+$")
BARE_LICENSE = re.compile(r"(?:^|[-_. ])(?:licen[sc]es?|copying)(?:[-_. ]|$)")
POLICY_NAME = re.compile(r"(?:use|usage)[-_ ]?policy|acceptable[-_ ]?use|prohibited[-_ ]?use")
NOTICE_NAME = re.compile(r"^(?:third[-_]?party[-_]?)?notices?(?:\.|$)")
PROSE_NAME = re.compile(r"(?:readme|model[-_ ]?card|usage|disclaimer|important|legal)[^/]*?(?:\.(?:md|txt|rst|markdown))?")
WEIGHTS = re.compile(r"\.(?:safetensors|sft|ckpt|pt|pth|bin|gguf|onnx|msgpack|h5|engine|npz)$", re.IGNORECASE)
QUANTIZED = re.compile(
    r"(?:^|[-_.])(?:gguf|awq|gptq|exl2|nf4|fp4|fp8|int8|int4|[2-8]-?bits?$|q[2-8](?:_[0k01](?:_[sml])?)?)(?=[-_.]|$)"
)


def kind_of(path: str) -> str | None:
    """license, policy or notice by the name of a file; None for everything else."""
    name = path.rpartition("/")[2].casefold()
    suffix = PurePosixPath(name).suffix
    if suffix in CODE and not (suffix in UNREADABLE and BARE_LICENSE.search(name.removesuffix(suffix))):
        return None
    for kind, pattern in (("notice", NOTICE_NAME), ("policy", POLICY_NAME), ("license", LICENSE_NAME)):
        if pattern.search(name):
            return kind
    return "license" if LICENSE_FOLDER.search(path.casefold()) else None


def is_readable(path: str) -> bool:
    """A text of this name can be read as plain text."""
    return PurePosixPath(path).suffix.casefold() not in UNREADABLE


def is_card(path: str) -> bool:
    return path.casefold() == "readme.md"


def is_prose(path: str) -> bool:
    """Words for people at the top of the source, the card itself left out."""
    return "/" not in path and not is_card(path) and PROSE_NAME.fullmatch(path.casefold()) is not None


def is_settings(path: str) -> bool:
    """Settings of a training run, which name what it started from."""
    name = path.casefold()
    return "/" not in path and (
        name.endswith((".toml", ".yaml", ".yml")) or re.search(r"(?:train|args|settings).*\.json$", name) is not None
    )


def is_weights(path: str) -> bool:
    return WEIGHTS.search(path) is not None


def stem_of(path: str) -> str:
    """The name of a file without folder and weights suffix."""
    return WEIGHTS.sub("", re.split(r"[/\\]", path)[-1])


def is_quantized(name: str) -> bool:
    """A name that says that numbers were made coarser, which only happens to a model that was there before."""
    return QUANTIZED.search(name.casefold()) is not None or name.casefold().endswith(".gguf")
