"""What a dataset says of itself (dataset.yaml): licence, source, persons, consent. Judging it is the business of another room."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from training.errors import DatasetError

FILE = "dataset.yaml"
CARD = "README.md"


@dataclass(frozen=True, kw_only=True, slots=True)
class Statement:
    """License and source as stated; `persons` as written; whether consent is stated, by `true` or by a record that is there."""

    license: str | None = None
    source: str = ""
    persons: str | None = None
    consent: bool = False


def statement_of(folder: Path) -> Statement:
    """The statement in a folder's dataset.yaml; without one, the licence of its card (README.md) and nothing else."""
    stated = _fields(folder / FILE)
    given = stated.get("license", _card(folder / CARD).get("license"))
    persons = stated.get("persons")
    return Statement(
        license=None if given is None else str(given),
        source=str(stated.get("source") or ""),
        persons=None if persons is None else str(persons),
        consent=_consents(stated.get("consent"), folder),
    )


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
    record = folder / value.strip() if isinstance(value, str) and value.strip() else None
    return value is True or (record is not None and record.is_file() and record.stat().st_size > 0)
