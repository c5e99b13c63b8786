"""The rights of an adapter that was trained elsewhere: what the publisher says, the text beside it, and the bases that it names."""

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from licenses.catalogue import Catalogue
from licenses.dataset import OWN
from licenses.errors import SourceFailure, flat
from licenses.evidence import TEXT_LIMIT, FolderSource, Problem, TextFile
from licenses.hub import REPO
from licenses.identify import identify
from licenses.node import Node

TEXTS = ("LICENSE", "LICENSE.txt", "LICENSE.md", "LICENCE", "LICENCE.txt", "COPYING")
NAMES = ("ss_sd_model_name", "ss_base_model_version", "modelspec.architecture", "lorasmith.base", "modelspec.merged_from")
HUB_IDS = ("ss_sd_model_name", "lorasmith.base")  # keys whose value may be owner/name; a file is told by its suffix
WEIGHTS = re.compile(r"\.(safetensors|ckpt|pt|pth|bin|gguf)$", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True, slots=True)
class Adapter:
    """An adapter file, the licence that the publisher says it has (`own`: made by the publisher), the text in its header."""

    path: Path
    license: str | None
    metadata: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return flat(self.path.name)


def declared(adapter: Adapter, catalogue: Catalogue) -> Node:
    """The adapter as a node; a missing or unknown licence, text, or one that its header contradicts, is a problem."""
    said = (adapter.license or "").strip()
    if said.casefold() == OWN:
        return Node(id=adapter.name, role="adapter", license=None, identified_by="the job", own=True)
    known = catalogue.licenses_of_tag(said) | ({said} & set(catalogue.licenses)) if said else frozenset()
    license = next(iter(known)) if len(known) == 1 else None
    if license is None:
        code = "adapter_license_unknown" if said else "adapter_license_missing"
        text = f"licence {said!r:.60} of the adapter is not in the catalogue" if said else "the job names no licence of the adapter"
        problem = Problem(code=code, text=f"{adapter.name}: {text}; write adapter.license: an SPDX id, or own where you made it")
        return Node(id=adapter.name, role="adapter", license=None, identified_by="nothing", problems=(problem,))
    problems = [*_against_header(adapter, license, catalogue)]
    file = _text(adapter)
    match = identify(file.text, catalogue) if file else None
    if file is None or match is None or match.known.license != license:
        what = "holds another text" if file else "lies not beside it"
        text = f"{adapter.name}: the licence text of {license} {what}; put the exact text beside the adapter as LICENSE"
        problems.append(Problem(code="license_text_missing", text=text))
    return Node(
        id=adapter.name,
        role="adapter",
        license=license,
        identified_by=match.by if match else "the job",
        text=file,
        text_hash=match.hash if match else None,
        problems=tuple(problems),
    )


def origins(adapter: Adapter) -> Iterator[tuple[str, bool]]:
    """What the header says the adapter was trained on or merged from: names without file suffix, and whether each is a Hub id."""
    for key in NAMES:
        value = flat(adapter.metadata.get(key, ""))
        for said in value.partition("/")[0].split(",") if key == "modelspec.architecture" else value.split(","):
            name = said.strip().partition("@")[0]
            plain = WEIGHTS.sub("", re.split(r"\\", name)[-1])
            if plain:
                yield plain, key in HUB_IDS and plain == name and REPO.fullmatch(name) is not None


def _against_header(adapter: Adapter, license: str, catalogue: Catalogue) -> Iterator[Problem]:
    tag = adapter.metadata.get("modelspec.license", "").strip()
    meant = catalogue.licenses_of_tag(tag) | ({tag} & set(catalogue.licenses)) if tag else frozenset()
    if tag and license not in meant:
        text = f"{adapter.name} says in its header that its licence is {flat(tag)!r:.60}, the job says {license}; ask its author"
        yield Problem(code="adapter_license_contradicted", text=text)


def _text(adapter: Adapter) -> TextFile | None:
    source = FolderSource(adapter.path.parent)
    for name in TEXTS:
        if (adapter.path.parent / name).is_file():
            try:
                raw = source.read(name, TEXT_LIMIT)
                return TextFile(path=name, kind="license", text=raw.decode(), sha256=hashlib.sha256(raw).hexdigest())
            except (SourceFailure, UnicodeDecodeError):
                return None
    return None
