"""Names that look like a known one: copies under the name of a barred model, and owners that pass for another."""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from functools import lru_cache
from itertools import pairwise

from licenses.catalogue import PAID_USES, RANK, Catalogue, Model

MIRROR_LENGTH = 8
FORMAT = re.compile(
    r"bf16|fp?(?:16|32|8|4)|f\d+|e4m3(?:fn)?|e5m2|int[48]|nf4|bnb|[2-8]-?bits?|gguf|ggml|awq|gptq|exl2|onnx|openvino|trt|tensorrt|mlx|"
    r"coreml|q[2-8]|[0k01]|[smlx]{1,2}|hf|diffusers|safetensors|comfyui|comfy|pruned|ema|emaonly|rank\d+|lora|copy|of|mirror|backup|"
    r"reupload|clone|fork|official|original|weights|models?|full|merged|scaled|quant(?:ized)?|torchao|svdquant"
)
TYPO_LENGTH = 8
ALIKE = str.maketrans({"0": "o", "1": "l", "i": "l", "|": "l", "!": "l", "5": "s"})


@lru_cache(maxsize=4096)
def skeleton(name: str) -> str:
    """Letters and digits of a name after folding what the eye takes for the same: O and 0, l, I and 1, rn and m."""
    folded = unicodedata.normalize("NFKC", name).casefold().translate(ALIKE)
    return re.sub(r"[^a-z0-9]", "", folded).replace("rn", "m").replace("vv", "w")


def without_format(name: str) -> str:
    """A name (owner/name, a file or a path) without what only says how its numbers are stored."""
    words = re.split(r"[-_\s]+", re.split(r"[/\\]", name)[-1])
    while len(words) > 1 and FORMAT.fullmatch(words[-1].casefold()):
        words.pop()
    while len(words) > 1 and FORMAT.fullmatch(words[0].casefold()):
        words.pop(0)
    return "-".join(words)


def bars(model: Model, catalogue: Catalogue) -> bool:
    """The facts bar training or paid hosting for every publisher, by a licence that is known."""
    if model.license in ("missing", "unknown"):
        return False
    licence = catalogue.licenses[model.license]
    worst = max(
        RANK[verdicts.get(use, "allow")]
        for verdicts in (licence.verdict, model.verdict)
        for use in ("train_adapter", "host_paid_inference")
    )
    return worst == RANK["block"]


def bars_paid(license: str, catalogue: Catalogue) -> bool:
    """The licence bars training or paid hosting for every publisher."""
    return any(catalogue.licenses[license].verdict[use] == "block" for use in PAID_USES)


def bears_the_name(name: str, model: Model) -> bool:
    """`name` (owner/name, a file or a path) is that of the model, or holds it where it is long enough to be no chance."""
    ours, theirs = skeleton(re.split(r"[/\\]", name)[-1]), skeleton(model.name)
    return theirs in (ours, skeleton(without_format(name))) or (len(theirs) >= MIRROR_LENGTH and theirs in ours)


def barred_by_name(name: str, catalogue: Catalogue, aliases: Mapping[str, Model] | None = None) -> Model | None:
    """The barred model whose name, or one of whose other names, `name` bears."""
    alias = (aliases or {}).get(skeleton(without_format(name)))
    candidates = [*catalogue.models.values(), *([alias] if alias else [])]
    return next((one for one in candidates if bars(one, catalogue) and (one is alias or bears_the_name(name, one))), None)


def barred_in_path(path: str, catalogue: Catalogue) -> Model | None:
    """The barred model that a path or link leads through: as owner/name, as a cache folder, or as the name of a folder."""
    parts = [part for part in re.split(r"[/\\]", path.replace("models--", "").replace("--", "/")) if part]
    pairs = [f"{one}/{other}" for one, other in pairwise(parts)]
    known = [model for pair in pairs if (model := catalogue.model(pair)) is not None and bars(model, catalogue)]
    named = (barred_by_name(part, catalogue) for part in parts)
    return next(iter(known), None) or next((model for model in named if model is not None), None)


def originals_of(name: str, catalogue: Catalogue, aliases: Mapping[str, Model]) -> list[Model]:
    """Models with a known licence whose name, or one of whose other names, `name` bears."""
    alias = aliases.get(skeleton(without_format(name)))
    known = (one for one in catalogue.models.values() if one.license not in ("missing", "unknown"))
    return [model for model in known if model is alias or bears_the_name(name, model)]


def owner_passed_for(repo: str, catalogue: Catalogue) -> str | None:
    """The known owner that the owner of `repo` is not, but looks like: the same skeleton, or one typing error away."""
    owner = repo.partition("/")[0]
    known = {one.repo.partition("/")[0].casefold(): one.repo.partition("/")[0] for one in catalogue.models.values()}
    if owner.casefold() in known:
        return None
    return next((one for one in known.values() if _alike(skeleton(owner), skeleton(one))), None)


def _alike(ours: str, theirs: str) -> bool:
    if ours == theirs:
        return True
    return min(len(ours), len(theirs)) >= TYPO_LENGTH and _one_edit_apart(ours, theirs)


def _one_edit_apart(ours: str, theirs: str) -> bool:
    """One letter put in, left out, changed, or two neighbours swapped."""
    short, long = sorted((ours, theirs), key=len)
    if len(long) - len(short) > 1:
        return False
    start = next((place for place, (one, other) in enumerate(zip(short, long, strict=False)) if one != other), len(short))
    rests: Iterable[tuple[str, str]] = (
        (short[start:], long[start + 1 :]),
        (short[start + 1 :], long[start + 1 :]),
        (short[start : start + 2][::-1] + short[start + 2 :], long[start:]),
    )
    return any(one == other for one, other in rests)
