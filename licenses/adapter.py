"""The rights of an adapter from elsewhere: what the publisher says, what lies beside it, and the bases that it names."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from licenses.catalogue import Catalogue
from licenses.errors import flat
from licenses.evidence import Evidence, Header, Problem, TextFile
from licenses.filenames import WEIGHTS
from licenses.folder import BesideSource
from licenses.gathering import gather
from licenses.hub_answers import REPO
from licenses.identify import Match, identify
from licenses.lineage import names_in, told_in
from licenses.lookalike import bars_paid
from licenses.node import Node
from licenses.prose import restriction_in
from licenses.stated import OWN

HUB_IDS = re.compile(r"sd_model_name$|(?:^|[._])base(?:_model)?$|name_or_path$")  # their value may be owner/name
SAID = re.compile(r"usage|description|comment|terms|notes|licen[sc]e|trigger_rights")
LICENSE_KEYS = ("modelspec.license", "license")


@dataclass(frozen=True, kw_only=True, slots=True)
class Adapter:
    """An adapter file, the licence that the publisher says it has (`own`: made by the publisher), the text in its header."""

    path: Path
    license: str | None
    metadata: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return flat(self.path.name)

    def beside(self) -> Evidence:
        """Card, texts and config that lie beside it."""
        return gather(BesideSource(self.path))


def declared(adapter: Adapter, evidence: Evidence, catalogue: Catalogue) -> Node:
    """The adapter as a node; a missing or unknown licence, text, or one that its header or files contradict, is a problem."""
    said = (adapter.license or "").strip()
    own = said.casefold() == OWN
    known = catalogue.licenses_of_tag(said) | ({said} & set(catalogue.licenses)) if said and not own else frozenset()
    license = next(iter(known)) if len(known) == 1 else None
    problems = [*_restricted(adapter, evidence)]
    if own:
        problems += _against_own(adapter, evidence, catalogue)
        return Node(id=adapter.name, role="adapter", license=None, identified_by="the job", own=True, problems=tuple(problems))
    if license is None:
        code = "adapter_license_unknown" if said else "adapter_license_missing"
        text = f"licence {said!r:.60} of the adapter is not in the catalogue" if said else "the job names no licence of the adapter"
        problem = Problem(code=code, text=f"{adapter.name}: {text}; write adapter.license: an SPDX id, or own where you made it")
        return Node(id=adapter.name, role="adapter", license=None, identified_by="nothing", problems=(problem, *problems))
    problems += evidence.problems
    problems += _against_said(adapter, evidence, license, catalogue)
    found = [(file, match) for file, match in _texts(evidence, catalogue) if match is not None and match.known.license == license]
    file, match = found[0] if found else (None, None)
    if file is None:
        what = "holds another text" if any(one.kind == "license" for one in evidence.texts) else "lies not beside it"
        text = f"{adapter.name}: the licence text of {license} {what}; put the exact text beside the adapter as LICENSE"
        problems.append(Problem(code="license_text_missing", text=text))
    return Node(
        id=adapter.name,
        role="adapter",
        license=license,
        identified_by=match.by if match else "the job",
        text=file,
        text_hash=match.hash if match else None,
        problems=tuple(dict.fromkeys(problems)),
    )


def origins(adapter: Adapter, evidence: Evidence) -> Iterator[tuple[str, bool]]:
    """What header, card and config say that the adapter was trained on or merged from, and whether each is a Hub id."""
    header = Header(file=adapter.name, fields=adapter.metadata)
    for key, value in adapter.metadata.items():
        for name in told_in(key, value):
            plain = WEIGHTS.sub("", re.split(r"\\", name)[-1])
            is_id = REPO.fullmatch(name) is not None and plain == name
            yield plain, is_id and (HUB_IDS.search(key) is not None or value.lstrip().startswith("{"))
    for name in names_in(header):
        yield name, False
    for parent in evidence.parents:
        yield parent.name, REPO.fullmatch(parent.name) is not None


def _restricted(adapter: Adapter, evidence: Evidence) -> Iterator[Problem]:
    """Words in the header or in the card beside it that bar a paid use, whoever is said to have made it."""
    for key, value in adapter.metadata.items():
        sentence = restriction_in(value) if SAID.search(key) else None
        if sentence:
            text = f'{adapter.name} says in its header under {flat(key)[:40]}: "{sentence}"; ask its author'
            yield Problem(code="adapter_header_restricts", text=text, quote=sentence)
    sentence = restriction_in(evidence.card.prose) if evidence.card else None
    if sentence:
        text = f'README.md beside {adapter.name} restricts use ("{sentence}"); ask its author for a licence without that sentence'
        yield Problem(code="card_body_restricts", text=text, file="README.md", quote=sentence)


def _against_own(adapter: Adapter, evidence: Evidence, catalogue: Catalogue) -> Iterator[Problem]:
    """Nobody bars paid use of what is their own: a licence that does so in the header or beside it is somebody else's."""
    for where, said, meant in _told(adapter, evidence, catalogue):
        if any(bars_paid(one, catalogue) for one in meant):
            text = f"{adapter.name} is said to be own, and {where} names {flat(said)[:60]!r}; write the licence that it has"
            yield Problem(code="adapter_license_contradicted", text=text)


def _against_said(adapter: Adapter, evidence: Evidence, license: str, catalogue: Catalogue) -> Iterator[Problem]:
    for where, said, meant in _told(adapter, evidence, catalogue):
        if license not in meant:
            text = f"{where} of {adapter.name} says that its licence is {flat(said)[:60]!r}, the job says {license}; ask its author"
            yield Problem(code="adapter_license_contradicted", text=text)


def _told(adapter: Adapter, evidence: Evidence, catalogue: Catalogue) -> Iterator[tuple[str, str, frozenset[str]]]:
    """Where a licence is told, how it is written there, and the licences that may be meant."""
    tags = [("the header", adapter.metadata.get(key, "").strip()) for key in LICENSE_KEYS]
    tags.append(("README.md", evidence.card.license or "" if evidence.card else ""))
    for where, tag in tags:
        if tag:
            by_name = {one.id for one in catalogue.licenses.values() if one.name.casefold() == tag.casefold()}
            ids = catalogue.licenses_of_tag(tag) | catalogue.licenses_of_name(tag) | ({tag} & set(catalogue.licenses))
            yield where, tag, ids | _named_alike(tag, catalogue) | by_name
    for file, match in _texts(evidence, catalogue):
        if match is not None:
            yield flat(file.path), catalogue.licenses[match.known.license].name, frozenset({match.known.license})


def _named_alike(tag: str, catalogue: Catalogue) -> frozenset[str]:
    """Licences whose name starts as the tag does, which then lacks no more than a version."""
    words = _plain(tag)
    return frozenset(one.id for one in catalogue.licenses.values() if len(words) > 8 and _plain(one.name).startswith(words))


def _plain(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.casefold()))


def _texts(evidence: Evidence, catalogue: Catalogue) -> list[tuple[TextFile, Match | None]]:
    return [(file, identify(file.text, catalogue)) for file in evidence.texts if file.kind == "license"]
