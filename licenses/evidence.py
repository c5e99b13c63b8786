"""What a folder or a repository says of its rights: card, licence texts, notices, components, parents. Nothing is judged here."""

import hashlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from licenses.card import CARD_LIMIT, Card, decoded, read_card
from licenses.errors import SourceFailure, flat

TEXT_LIMIT = 512 << 10
JSON_LIMIT = 1 << 20
FILES_LIMIT = 20_000
TEXTS_LIMIT = 24
PARTS_LIMIT = 32
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
UNREADABLE = {".pdf", ".docx", ".doc", ".rtf", ".html", ".htm"}
LICENSE_NAME = re.compile(r"licen[sc]e|copying|(?:^|[-_.])(?:terms|eula|addendum|restrictions?|agreement)(?:[-_.]|$)")
POLICY_NAME = re.compile(r"(?:use|usage)[-_ ]?policy|acceptable[-_ ]?use|prohibited[-_ ]?use")
NOTICE_NAME = re.compile(r"^(?:third[-_]?party[-_]?)?notices?(?:\.|$)")


class Source(Protocol):
    """A folder or a repository at one revision."""

    name: str
    revision: str | None

    def files(self) -> tuple[str, ...]:
        """Relative paths with forward slashes."""

    def read(self, path: str, limit: int) -> bytes:
        """All bytes of a file; SourceFailure where it is larger than `limit` or can not be had."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TextFile:
    """A licence, policy or notice file as found; `sha256` is over its bytes."""

    path: str
    kind: str
    text: str
    sha256: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """Something that blocks whatever the licence says."""

    code: str
    text: str
    file: str | None = None
    sha256: str | None = None
    quote: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """A component of model_index.json: the classes that index and config name, and texts in its own folder."""

    role: str
    architectures: tuple[str, ...]
    texts: tuple[TextFile, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Evidence:
    name: str
    revision: str | None
    card: Card | None
    texts: tuple[TextFile, ...]
    parts: tuple[Part, ...]
    pipeline: str | None
    parents: tuple[str, ...]
    origins: tuple[str, ...]
    problems: tuple[Problem, ...]


class FolderSource:
    """A local folder as evidence; its revision is the hash of what was read there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.name = flat(folder.resolve().name)
        self.revision: str | None = None

    def files(self) -> tuple[str, ...]:
        found: list[str] = []
        for place, folders, names in os.walk(self.folder):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            linked = next((name for name in folders if (Path(place) / name).is_symlink()), None)
            if linked is not None:
                raise SourceFailure(
                    "folder_linked", f"{linked} in {self.name} is a link to another folder; put the folder itself there"
                )
            found += [(Path(place) / name).relative_to(self.folder).as_posix() for name in names]
            if len(found) > FILES_LIMIT:
                raise SourceFailure(
                    "folder_too_large", f"{self.name} holds more than {FILES_LIMIT} files; name the folder of the model"
                )
        return tuple(sorted(path for path in found if (self.folder / path).is_file()))

    def read(self, path: str, limit: int) -> bytes:
        try:
            with (self.folder / path).open("rb") as handle:
                raw = handle.read(limit + 1)
        except OSError as error:
            raise SourceFailure("file_unreadable", f"{path} can not be read ({error.strerror}); mend its rights") from None
        return _within(raw, path, limit)


def gather(source: Source) -> Evidence:
    """Everything a source says of rights; what can not be read becomes a problem, never an absence."""
    return _Gathering(source).evidence()


class _Gathering:
    def __init__(self, source: Source) -> None:
        self.source = source
        self.problems: list[Problem] = []
        self.seen = hashlib.sha256()

    def evidence(self) -> Evidence:
        files = self._guarded(self.source.files) or ()
        card = self._card(files)
        index = self._mapping("model_index.json", files)
        roles = self._roles(index)
        texts = self._texts([path for path in files if path.partition("/")[0] not in roles or "/" not in path])
        configs = {role: self._mapping(f"{role}/config.json", files) for role in sorted(roles)}
        parts = tuple(self._part(role, (roles[role], *_classes(config)), files) for role, config in configs.items())
        adapter = self._mapping("adapter_config.json", files).get("base_model_name_or_path")
        parents = (*(card.base_models if card else ()), *((adapter,) if isinstance(adapter, str) and adapter else ()))
        pipeline = index.get("_class_name")
        return Evidence(
            name=self.source.name,
            revision=self.source.revision or f"sha256:{self.seen.hexdigest()}",
            card=card,
            texts=texts,
            parts=parts,
            pipeline=pipeline if isinstance(pipeline, str) else None,
            parents=tuple(dict.fromkeys(parents)),
            origins=tuple(sorted({origin for config in (index, *configs.values()) if (origin := _origin(config))})),
            problems=tuple(self.problems),
        )

    def _guarded(self, call: Any, *arguments: Any) -> Any:
        try:
            return call(*arguments)
        except SourceFailure as failure:
            file = arguments[0] if arguments and isinstance(arguments[0], str) else None
            self.problems.append(Problem(code=failure.code, text=str(failure), file=file))
            return None

    def _read(self, path: str, limit: int) -> bytes:
        raw = self.source.read(path, limit)
        self.seen.update(path.encode("utf-8", "backslashreplace") + b"\0" + hashlib.sha256(raw).digest())
        return raw

    def _card(self, files: tuple[str, ...]) -> Card | None:
        cards = [path for path in files if path.casefold() == "readme.md"]
        if len(cards) > 1:
            self.problems.append(
                Problem(code="card_ambiguous", text=f"{len(cards)} cards ({', '.join(cards)}); keep one README.md")
            )
        raw = self._guarded(self._read, cards[0], CARD_LIMIT) if cards else None
        return self._guarded(read_card, raw) if raw is not None else None

    def _roles(self, index: Mapping[str, Any]) -> dict[str, str]:
        """Class by role; roles are folder names, so an odd one or a flood of them is a problem."""
        roles = {role: value[1] for role, value in index.items() if _is_component(value)}
        plain = {role: name for role, name in roles.items() if re.fullmatch(r"\w{1,64}", role, re.ASCII)}
        if len(plain) != len(roles) or len(plain) > PARTS_LIMIT:
            text = f"model_index.json names {len(roles)} components, at most {PARTS_LIMIT} with plain names are followed; mend it"
            self.problems.append(Problem(code="json_invalid", text=text, file="model_index.json"))
        return dict(sorted(plain.items())[:PARTS_LIMIT])

    def _mapping(self, path: str, files: tuple[str, ...]) -> Mapping[str, Any]:
        if path not in files:
            return {}
        raw = self._guarded(self._read, path, JSON_LIMIT)
        value = self._guarded(_parsed, path, raw) if raw is not None else None
        return value if value is not None else {}

    def _texts(self, files: list[str]) -> tuple[TextFile, ...]:
        named = [(path, kind) for path in files if (kind := _kind(path))]
        if len(named) > TEXTS_LIMIT:
            text = f"{len(named)} licence files; at most {TEXTS_LIMIT} are weighed: keep the one that holds for the weights"
            self.problems.append(Problem(code="texts_too_many", text=text))
        found = [self._guarded(self._text, path, kind) for path, kind in named[:TEXTS_LIMIT]]
        return tuple(one for one in found if one is not None)

    def _text(self, path: str, kind: str) -> TextFile:
        if Path(path).suffix.casefold() in UNREADABLE:
            raise SourceFailure(
                "text_not_plain", f"{path} is a licence text that can not be read as plain text; put it there as .txt"
            )
        raw = self._read(path, TEXT_LIMIT)
        decoded(raw, path, "text")
        return TextFile(path=path, kind=kind, text=raw.decode(), sha256=hashlib.sha256(raw).hexdigest())

    def _part(self, role: str, architectures: tuple[str, ...], files: tuple[str, ...]) -> Part:
        own = [path for path in files if path.startswith(f"{role}/")]
        if f"{role}/README.md" in own:
            own_card = self._guarded(self._part_card, f"{role}/README.md")
            if own_card is not None and own_card.license:
                text = (
                    f"{role}/README.md names a licence of its own ({own_card.license[:40]}); check it with --component {role}=REPO"
                )
                self.problems.append(Problem(code="component_tag", text=text, file=f"{role}/README.md"))
        return Part(role=role, architectures=architectures, texts=self._texts(own))

    def _part_card(self, path: str) -> Card:
        return read_card(self._read(path, CARD_LIMIT))


def _kind(path: str) -> str | None:
    """license, policy or notice by the name of a file; None for everything else."""
    name = path.rpartition("/")[2].casefold()
    if Path(name).suffix in CODE:
        return None
    for kind, pattern in (("notice", NOTICE_NAME), ("policy", POLICY_NAME), ("license", LICENSE_NAME)):
        if pattern.search(name):
            return kind
    return None


def _is_component(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(isinstance(one, str) for one in value)


def _classes(config: Mapping[str, Any]) -> tuple[str, ...]:
    named = config.get("architectures")
    listed = [*(named if isinstance(named, list) else []), config.get("model_type"), config.get("_class_name")]
    return tuple(one for one in listed if isinstance(one, str))


def _origin(config: Mapping[str, Any]) -> str | None:
    """The Hub id in `_name_or_path`: written as owner/name, or hidden in a cache path models--owner--name."""
    value = config.get("_name_or_path")
    if not isinstance(value, str):
        return None
    cached = re.search(r"models--([\w.-]+?)--([\w.-]+)", value)
    if cached:
        return f"{cached[1]}/{cached[2]}"
    return value if re.fullmatch(r"[\w.-]+/[\w.-]+", value) else None


def _parsed(path: str, raw: bytes) -> Mapping[str, Any]:
    try:
        value = json.loads(decoded(raw, path, "json"))
    except (ValueError, RecursionError) as error:
        raise SourceFailure("json_invalid", f"{path} does not parse ({' '.join(str(error).split())[:100]}); mend it") from None
    if not isinstance(value, dict):
        raise SourceFailure("json_invalid", f"{path} holds a {type(value).__name__}; it must be an object")
    return value


def _within(raw: bytes, path: str, limit: int) -> bytes:
    if len(raw) > limit:
        raise SourceFailure("file_too_large", f"{path} is larger than the {limit} bytes that are read as evidence; shorten it")
    return raw
