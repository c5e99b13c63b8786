"""What a source says of its rights, as data: card, texts, notices, components, parents. Nothing is read or judged here."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from licenses.card import Card
from licenses.errors import SourceFailure

TEXT_LIMIT = 512 << 10
JSON_LIMIT = 1 << 20
RELATIONS = ("finetune", "adapter", "merge", "quantized")


class Source(Protocol):
    """A folder, a file or a repository at one revision."""

    name: str
    revision: str | None

    def files(self) -> tuple[str, ...]:
        """Relative paths with forward slashes."""

    def read(self, wanted: Mapping[str, int]) -> Mapping[str, bytes | SourceFailure]:
        """All bytes of each path in `wanted` {path: limit}; a failure stands in the place of what can not be had."""

    def header(self, path: str) -> Mapping[str, str]:
        """Text metadata of a weights file; empty where a source does not read the head of large files."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TextFile:
    """A licence, policy or notice file as found; `sha256` is over its bytes. `kind` unknown: a licence of nobody's catalogue."""

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
    """A component of model_index.json: the classes that index and config name, texts in its own folder, where it is from."""

    role: str
    architectures: tuple[str, ...]
    texts: tuple[TextFile, ...] = ()
    config: Mapping[str, object] = field(default_factory=dict)
    origins: tuple[str, ...] = ()
    weights: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Parent:
    """A model that this one is said to come from; `file` says so, `relation` is one of RELATIONS or ancestor."""

    name: str
    relation: str = "ancestor"
    file: str = "README.md"
    quote: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Prose:
    """Words of a file beside the card that may take a licence back, or the licence that a config names."""

    file: str
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Header:
    """Text metadata in the head of a weights file."""

    file: str
    fields: Mapping[str, str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Evidence:
    name: str
    revision: str | None
    card: Card | None = None
    texts: tuple[TextFile, ...] = ()
    parts: tuple[Part, ...] = ()
    pipeline: str | None = None
    parents: tuple[Parent, ...] = ()
    origin: str | None = None
    config: Mapping[str, object] = field(default_factory=dict)
    prose: tuple[Prose, ...] = ()
    headers: tuple[Header, ...] = ()
    told: tuple[Prose, ...] = ()
    settings: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()


def sure(answer: Mapping[str, bytes | SourceFailure], path: str) -> bytes:
    """The bytes of one path; its failure is raised."""
    found = answer[path]
    if isinstance(found, SourceFailure):
        raise found
    return found


def classes_of(config: Mapping[str, object]) -> tuple[str, ...]:
    """Classes that a config.json names, those of the configs inside of it included."""
    found: list[object] = []
    for inner in (config, *(one for one in config.values() if isinstance(one, dict))):
        named = inner.get("architectures")
        found += [*(named if isinstance(named, list) else []), inner.get("model_type"), inner.get("_class_name")]
    return tuple(dict.fromkeys(one for one in found if isinstance(one, str)))
