"""What a dataset says of itself (dataset.yaml): licence, source, people, opt-outs. Judging it is the business of another room."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from training.errors import DatasetError

FILE = "dataset.yaml"
CARD = "README.md"
FIELDS = ("license", "author", "source", "persons", "consent", "minors", "opt_out", "items")
ITEM_FIELDS = ("license", "author", "source")
OPT_OUT_FIELDS = ("checked", "how", "date")


@dataclass(frozen=True, kw_only=True, slots=True)
class Statement:
    """License and source as stated; `persons` as written; whether consent is stated, by `true` or by a record that is there.

    `items` are terms of their own by file or pattern, `opt_out` whether and how it was looked up that no author objects.
    """

    license: str | None = None
    author: str = ""
    source: str = ""
    persons: str | None = None
    consent: bool = False
    minors: str | None = None
    opt_out: Mapping[str, str | bool] = field(default_factory=dict)
    items: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def row(self) -> dict[str, object]:
        """What a manifest keeps of it beside license and source."""
        return {
            "persons": self.persons,
            "consent": self.consent,
            "author": self.author,
            "minors": self.minors,
            "opt_out": dict(self.opt_out),
            "items": {title: dict(terms) for title, terms in self.items.items()},
        }


def statement_of(folder: Path) -> Statement:
    """The statement in a folder's dataset.yaml; without one, the licence of its card (README.md) and nothing else."""
    stated = _fields(folder / FILE)
    given = stated.get("license", _card(folder / CARD).get("license"))
    items = _inner(stated.get("items"))
    return Statement(
        license=_said(given),
        author=str(stated.get("author") or ""),
        source=str(stated.get("source") or ""),
        persons=_said(stated.get("persons")),
        consent=_consents(stated.get("consent"), folder),
        minors=_said(stated.get("minors")),
        opt_out={key: value if isinstance(value, bool) else str(value) for key, value in _inner(stated.get("opt_out")).items()},
        items={title: {key: str(value) for key, value in _inner(terms).items()} for title, terms in items.items()},
    )


def _said(value: object) -> str | None:
    return None if value is None else str(value)


def _inner(value: object) -> dict[str, Any]:
    """Fields in a field; what is no mapping says nothing here, and the licence check refuses it."""
    return {str(key): inner for key, inner in value.items() if inner is not None} if isinstance(value, dict) else {}


def _fields(path: Path) -> dict[str, Any]:
    try:
        stated = yaml.safe_load(path.read_text(encoding="utf-8")) if path.is_file() else {}
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise DatasetError(f"'{path}' is no YAML ({str(error).splitlines()[0]}): write 'license: MIT' and 'source: ...'") from error
    if stated is None:
        return {}
    if not isinstance(stated, dict):
        raise DatasetError(f"'{path}' holds {type(stated).__name__}, not fields: write 'license: MIT' and 'source: ...'")
    return stated


def _card(path: Path) -> dict[str, Any]:
    """The fields above a card's text; a card that has none, or that does not parse, says nothing."""
    if not path.is_file():
        return {}
    head, *rest = path.read_text(encoding="utf-8", errors="replace").split("\n---", 1)
    try:
        fields = yaml.safe_load(head.removeprefix("---")) if rest and head.startswith("---") else None
    except yaml.YAMLError:
        return {}
    return fields if isinstance(fields, dict) else {}


def _consents(value: object, folder: Path) -> bool:
    """True, or a record: a file below the folder that is neither empty nor dataset.yaml itself."""
    if not isinstance(value, str) or not value.strip():
        return value is True
    record = (folder / value.strip()).resolve()
    return record.is_relative_to(folder.resolve()) and record.name != FILE and record.is_file() and record.stat().st_size > 0
