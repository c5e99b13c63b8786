"""The rights of a picture folder, by its dataset.yaml alone."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from licenses.card import decoded, read_mapping
from licenses.catalogue import Catalogue
from licenses.errors import SourceFailure
from licenses.evidence import FolderSource, Problem

FILE = "dataset.yaml"
LIMIT = 64 << 10
FIELDS = {"license", "source", "persons", "consent"}
OWN = "own"


@dataclass(frozen=True, kw_only=True, slots=True)
class Declared:
    """What a dataset says of itself: a catalogue id or `own`, where it is from, and what stands against it."""

    license: str | None
    source: str
    problems: tuple[Problem, ...]


def declared(folder: Path, catalogue: Catalogue) -> Declared:
    """The declaration of a folder; a missing file, field or consent is a problem, never a default that allows."""
    try:
        fields = _fields(folder)
        license, source = _license(fields, catalogue), _source(fields)
    except SourceFailure as failure:
        return Declared(license=None, source="", problems=(Problem(code=failure.code, text=str(failure), file=FILE),))
    return Declared(license=license, source=source, problems=tuple(_persons(fields, folder)))


def _fields(folder: Path) -> Mapping[str, Any]:
    if not (folder / FILE).is_file():
        text = (
            f"{folder.name} has no {FILE}; write one with license, source, persons and consent (license: own for pictures of yours)"
        )
        raise SourceFailure("dataset_license_missing", text)
    try:
        raw = FolderSource(folder).read(FILE, LIMIT)
        fields = read_mapping(decoded(raw, FILE, "dataset"), FILE)
    except SourceFailure as failure:
        raise SourceFailure("dataset_invalid", str(failure)) from None
    unknown = sorted(str(key) for key in fields if key not in FIELDS)
    if unknown:
        raise SourceFailure("dataset_invalid", f"{FILE}: field {unknown[0]!r:.60} is not known; use {', '.join(sorted(FIELDS))}")
    return fields


def _license(fields: Mapping[str, Any], catalogue: Catalogue) -> str:
    value = fields.get("license")
    if value is None:
        raise SourceFailure("dataset_license_missing", f"{FILE} names no license; write an SPDX id, or own for pictures of yours")
    if not isinstance(value, str) or not value.strip():
        raise SourceFailure("dataset_invalid", f"{FILE}: license is {value!r:.60}; write one SPDX id, or own for pictures of yours")
    if value.strip().casefold() == OWN:
        return OWN
    known = catalogue.licenses_of_tag(value) | ({value.strip()} & set(catalogue.licenses))
    if len(known) != 1:
        text = f"{FILE}: license {value.strip()!r:.60} is not in the catalogue; write an SPDX id such as cc-by-4.0, or own"
        raise SourceFailure("dataset_license_unknown", text)
    return next(iter(known))


def _source(fields: Mapping[str, Any]) -> str:
    value = fields.get("source")
    if value is not None and not isinstance(value, str):
        raise SourceFailure("dataset_invalid", f"{FILE}: source is {value!r:.60}; write text or a URL")
    return (value or "").strip()


def _persons(fields: Mapping[str, Any], folder: Path) -> list[Problem]:
    persons, consent = fields.get("persons", "none"), fields.get("consent", False)
    if persons not in ("none", "consented", "identifiable"):
        text = f"{FILE}: persons is {persons!r:.60}; write none, consented or identifiable"
        return [Problem(code="dataset_invalid", text=text, file=FILE)]
    if not isinstance(consent, bool | str):
        return [Problem(code="dataset_invalid", text=f"{FILE}: consent is {consent!r:.60}; write true, false or a path", file=FILE)]
    if isinstance(consent, str) and not _is_record(folder / consent.strip(), folder):
        text = f"{FILE}: the consent record {consent!r:.60} is not there; give the path of the file that holds it"
        return [Problem(code="consent_record_missing", text=text, file=FILE)]
    if persons != "none" and not consent:
        text = f"{FILE}: persons is {persons} and consent is {consent!r}; record their consent and name its file, or leave them out"
        return [Problem(code="persons_without_consent", text=text, file=FILE)]
    return []


def _is_record(path: Path, folder: Path) -> bool:
    return path != folder and path.is_file() and path.stat().st_size > 0
