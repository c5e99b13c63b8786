"""The rights of a picture folder, by its dataset.yaml alone: one asset for the whole, more for items with terms of their own."""

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

from licenses.attribution import link_of
from licenses.card import decoded, read_mapping
from licenses.catalogue import Catalogue
from licenses.errors import SourceFailure, flat
from licenses.evidence import Problem, sure
from licenses.folder import FolderSource
from licenses.node import Node
from licenses.prose import restriction_in
from licenses.stated import OWN, Item, Stated, titles

__all__ = ["FIELDS", "FILE", "OWN", "assets", "dated_ahead"]

FILE = "dataset.yaml"
LIMIT = 64 << 10
FIELDS = ("license", "author", "source", "persons", "consent", "minors", "opt_out", "items")
ITEM_FIELDS = ("license", "author", "source")
OPT_OUT_FIELDS = ("checked", "how", "date")
PERSONS = ("none", "consented", "identifiable")
MINORS = ("none", "present")
CREATIVE = re.compile(r"(?:\bcc[-_ ]?|licenses/)(?P<kind>by(?:[-_ ](?:nc|nd|sa))*)(?![a-z])", re.I)
AI = r"(?:(?:generative|gen) )?(?:ai|ml|machine learning)"
MUST_NOT = (
    r"\b(?:(?:may|must|can|shall|should|do) (?:not|never)|cannot|(?:can|must|do)n?['’]t"
    r"|not (?:to be|allowed|permitted|licensed|for))\b"
)
BARS = (  # words beside those of a licence that bar this use of pictures; - and _ are read as spaces
    r"\beditorial(?: use| purposes?)? only\b|\b(?:only|solely|exclusively|just) for editorial\b|\beditorial licen[sc]e\b",
    r"\bno(?:image)?ai\b|\b(?:ai|tdm) opt(?:ed)? ?out\b|\bno (?:model|data) (?:training|mining)\b",
    rf"\bno {AI} (?:training|use|mining|scraping)\b|\bno (?:use|using|licen[sc]e) (?:in|for|by) {AI}\b",
    rf"{MUST_NOT}[^.;]{{0,40}}\b(?:to train\b|training\b|{AI} use\b)|\bnot for (?:use (?:in|by|with) )?{AI}\b",
    rf"{MUST_NOT} (?:be )?(?:train|trained|scraped?|mined?)\b",
    rf"\b(?:{AI} (?:training|use)|model training|data mining|tdm)\b[^.;]{{0,20}}"
    r"\b(?:prohibited|forbidden|not (?:allowed|permitted)|excluded|reserved|disallowed)\b",
)
BARRED = re.compile("|".join(BARS), re.I)
RESERVED = re.compile(r"all rights reserved", re.I)


def assets(folder: Path, catalogue: Catalogue) -> tuple[Node, ...]:
    """The dataset of a folder, then its items by licence, author and source; a missing file or field is a problem, never a yes."""
    name = flat(folder.resolve().name)
    revision = None
    try:
        raw = _raw(folder)
        revision = f"sha256:{hashlib.sha256(raw).hexdigest()}"
        fields = _fields(raw)
        whole = _node(name, revision, _terms(fields, "", catalogue), _stated(fields, folder))
        return tuple(_heard(node) for node in (whole, *_items(name, revision, fields.get("items"), catalogue)))
    except SourceFailure as failure:
        digest = revision.partition(":")[2] if revision else None
        problem = Problem(code=failure.code, text=str(failure), file=FILE, sha256=digest)
        return (Node(id=name, role="dataset", license=None, identified_by=FILE, revision=revision, problems=(problem,)),)


def dated_ahead(node: Node, as_of: date) -> Node:
    """The same; a check of opt-outs that lies after the day of this check is a problem, and not as if it had never been made."""
    day = node.stated.checked_on if node.stated else None
    if day is None or day <= as_of:
        return node
    text = f"{FILE}: opt_out.date is {day}, which lies after the day of this check ({as_of}); write the day when it was looked up"
    digest = (node.revision or "").partition(":")[2] or None
    return replace(node, problems=(*node.problems, Problem(code="dataset_invalid", text=text, file=FILE, sha256=digest)))


def _raw(folder: Path) -> bytes:
    if not (folder / FILE).is_file():
        text = (
            f"{folder.name} has no {FILE}; write one with license, source, persons and consent (license: own for pictures of yours)"
        )
        raise SourceFailure("dataset_license_missing", text)
    try:
        return sure(FolderSource(folder).read({FILE: LIMIT}), FILE)
    except SourceFailure as failure:
        raise SourceFailure("dataset_invalid", str(failure)) from None


def _fields(raw: bytes) -> Mapping[str, Any]:
    try:
        fields = read_mapping(decoded(raw, FILE, "dataset"), FILE)
    except SourceFailure as failure:
        raise SourceFailure("dataset_invalid", f"{failure} (a pattern such as '*.png' has to stand in quotes)") from None
    return _known(fields, FIELDS, FILE)


def _known(fields: Any, names: tuple[str, ...], where: str) -> Mapping[str, Any]:
    if not isinstance(fields, dict):
        raise _invalid(where, fields, f"fields ({', '.join(names)})")
    unknown = sorted(str(key) for key in fields if key not in names)
    if unknown:
        raise SourceFailure("dataset_invalid", f"{where}: field {unknown[0]!r:.60} is not known; use {', '.join(sorted(names))}")
    return fields


def _terms(fields: Mapping[str, Any], title: str, catalogue: Catalogue) -> Item:
    """Licence, author and source of the whole (no title) or of an item."""
    where = f"{FILE}: items {title!r:.60}" if title else FILE
    author, source = (_text(fields, key, where) for key in ("author", "source"))
    license = _license(fields.get("license"), where, catalogue)
    link = "" if license == OWN else link_of(catalogue.licenses[license].spdx) or ""
    return Item(title=title, license=license, author=author, source=source, link=link)


def _license(value: Any, where: str, catalogue: Catalogue) -> str:
    if value is None:
        raise SourceFailure("dataset_license_missing", f"{where} names no license; write an SPDX id, or own for pictures of yours")
    if not isinstance(value, str) or not value.strip():
        raise SourceFailure(
            "dataset_invalid", f"{where}: license is {value!r:.60}; write one SPDX id, or own for pictures of yours"
        )
    if value.strip().casefold() == OWN:
        return OWN
    known = catalogue.licenses_of_tag(value) | ({value.strip()} & set(catalogue.licenses))
    if len(known) != 1:
        text = f"{where}: license {value.strip()!r:.60} is not in the catalogue; write an SPDX id such as cc-by-4.0, or own"
        raise SourceFailure("dataset_license_unknown", text)
    return next(iter(known))


def _text(fields: Mapping[str, Any], key: str, where: str) -> str:
    value = fields.get(key)
    if value is not None and not isinstance(value, str):
        raise _invalid(f"{where}: {key}", value, "text or a URL")
    return flat(value or "")


def _node(id: str, revision: str | None, terms: Item, said: tuple[Stated, tuple[Problem, ...]] | None) -> Node:
    return Node(
        id=id,
        role="dataset",
        license=None if terms.license == OWN else terms.license,
        identified_by=FILE,
        revision=revision,
        own=terms.license == OWN,
        author=terms.author,
        source=terms.source,
        stated=said[0] if said else None,
        problems=said[1] if said else (),
    )


def _items(name: str, revision: str, written: Any, catalogue: Catalogue) -> Iterator[Node]:
    """One asset for all items with the same licence, author and source; each of them counts, whether a file matches it or not."""
    if written is not None and not isinstance(written, dict):
        raise _invalid(f"{FILE}: items", written, "a file or pattern each, with its license, author and source")
    groups: dict[tuple[str | None, str, str], list[Item]] = {}
    for title, fields in (written or {}).items():
        if not title.strip():
            raise _invalid(f"{FILE}: items", title, "a file or pattern")
        where = f"{FILE}: items {title!r:.60}"
        item = _terms(_known(fields, ITEM_FIELDS, where), flat(title), catalogue)
        groups.setdefault((item.license, item.author, item.source), []).append(item)
    for group in groups.values():
        yield replace(_node(f"{name}/{titles(group)}", revision, group[0], None), items=tuple(group))


def _stated(fields: Mapping[str, Any], folder: Path) -> tuple[Stated, tuple[Problem, ...]]:
    """What is said of people and opt-outs, and what of it stands against any use."""
    persons, consent = fields.get("persons", "none"), fields.get("consent", False)
    if persons not in PERSONS:
        raise _invalid(f"{FILE}: persons", persons, "none, consented or identifiable")
    if not isinstance(consent, bool | str):
        raise _invalid(f"{FILE}: consent", consent, "true, false or a path")
    minors = fields.get("minors")
    if "minors" in fields and minors not in MINORS:
        raise _invalid(f"{FILE}: minors", minors, "none or present")
    checked, how, day = _opt_out(fields.get("opt_out"))
    said = Stated(
        persons=fields.get("persons"),
        consent="stated" if consent is True else "recorded" if consent and _is_record(consent, folder) else "none",
        minors=minors,
        checked=checked,
        checked_how=how,
        checked_on=day,
    )
    return said, tuple(Problem(code=code, text=text, file=FILE) for code, text in _against(persons, consent, minors, folder))


def _against(persons: str, consent: bool | str, minors: str | None, folder: Path) -> Iterator[tuple[str, str]]:
    if minors == "present":
        yield "minors_present", f"{FILE}: minors are shown; nothing is trained on pictures of them: leave those pictures out"
    if isinstance(consent, str) and not _is_record(consent, folder):
        text = f"{FILE}: the consent record {consent!r:.60} is not there; put the file beside the pictures and name it"
        yield "consent_record_missing", text
    elif persons != "none" and not consent:
        text = f"{FILE}: persons is {persons} and consent is {consent!r}; record their consent and name its file, or leave them out"
        yield "persons_without_consent", text


def _opt_out(written: Any) -> tuple[bool | None, str, date | None]:
    """Whether it was looked up that no author has opted out, how, and when."""
    if written is None:
        return None, "", None
    fields = _known(written, OPT_OUT_FIELDS, f"{FILE}: opt_out")
    checked, day = fields.get("checked"), fields.get("date")
    if not isinstance(checked, bool):
        raise _invalid(f"{FILE}: opt_out.checked", checked, "true or false")
    try:
        day = date.fromisoformat(day) if isinstance(day, str) else day
    except ValueError:
        day = ""
    if day is not None and type(day) is not date:
        raise _invalid(f"{FILE}: opt_out.date", fields.get("date"), "the day of the check as YYYY-MM-DD")
    return checked, _text(fields, "how", f"{FILE}: opt_out"), day


def _is_record(written: str, folder: Path) -> bool:
    """A file below the folder that is neither empty nor dataset.yaml itself; what lies elsewhere does not travel along."""
    try:
        path, inside = (folder / written.strip()).resolve(), folder.resolve()
        return path.is_relative_to(inside) and path.name != FILE and path.is_file() and path.stat().st_size > 0
    except (OSError, ValueError):
        return False


def _heard(node: Node) -> Node:
    """The same; a name, an author or a source with other terms than those given beside it is a contradiction."""
    told = (node.author, node.source, *(item.title for item in node.items))
    other = next((text for text in told if _says_otherwise(text, _creative(node.license or ""))), None)
    if other is None:
        return node
    text = f"{FILE}: {node.id} says {other[:100]!r}, and license says something else; mend the one that does not hold"
    problem = Problem(code="dataset_source_contradicts", text=text, file=FILE, quote=other[:200])
    return replace(node, problems=(*node.problems, problem))


def _says_otherwise(text: str, given: frozenset[str]) -> bool:
    """Words that bar paid use or training, or a CC licence that is not the one given; the author's rights reserved bar nothing."""
    barred = BARRED.search(re.sub(r"[-_\s]+", " ", RESERVED.sub("", text)))
    return not _creative(text) <= given or barred is not None or restriction_in(RESERVED.sub("", text)) is not None


def _creative(text: str) -> frozenset[str]:
    """Kinds of CC licences that a text names: by, by-sa, by-nc-nd."""
    return frozenset(re.sub(r"[-_ ]", "-", found["kind"]).casefold() for found in CREATIVE.finditer(text))


def _invalid(where: str, value: Any, wanted: str) -> SourceFailure:
    return SourceFailure("dataset_invalid", f"{where} is {value!r:.60}; write {wanted}")
