"""The papers of a package as text: NOTICE, MODIFICATIONS.md, ATTRIBUTION.md, TERMS.md and ATTESTATIONS.md, from a verdict."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

TERMS = (
    "These terms hold for everyone who calls this app, or gets its pictures or the weights of its adapter. They pass on what the",
    "licences behind the app ask to be passed on. Where a line here and a licence differ, the licence holds.",
)
ATTESTATIONS = (
    "What the publisher states about itself because a licence asks for it. The figures themselves are not part of this package.",
)
CREDITS = ("Who made what this work is built on.",)


@dataclass(frozen=True, kw_only=True, slots=True)
class Work:
    """What was made: the app's name and title, and the adapter with the strength at which it is fused."""

    app: str = ""
    title: str = ""
    publisher: str = ""
    scale: float | None = None
    rank: int | None = None
    pictures: int | None = None
    adapter_sha256: str = ""
    adopted: str = ""
    image_checker: bool = False
    family: str = ""
    base_sha256: str = ""
    dataset_sha256: str = ""
    adapter_license: str = ""

    def names(self) -> tuple[str, ...]:
        """Every name that the work goes by."""
        return tuple(name for name in (self.app, self.title) if name)


def papers(verdict: Mapping[str, Any], work: Work) -> dict[str, str]:
    """Text by file; NOTICE and MODIFICATIONS.md always, the others where a duty asks for them."""
    rows = verdict["owed"]
    found = {
        "NOTICE": _notice(verdict),
        "MODIFICATIONS.md": _modifications(verdict, work),
        "ATTRIBUTION.md": _page("Attribution", CREDITS, _lines(rows, "ATTRIBUTION.md")),
        "TERMS.md": _terms(verdict),
        "ATTESTATIONS.md": _page("Attestations", ATTESTATIONS, _lines(rows, "ATTESTATIONS.md")),
    }
    return {file: text for file, text in found.items() if text}


def _notice(verdict: Mapping[str, Any]) -> str:
    """Our lines, the licensors' own, and below them every NOTICE file of upstream as it was found."""
    lines = [*verdict["notice_lines"], *verdict["display_lines"], *_lines(verdict["owed"], "NOTICE")]
    lines += [
        f"{one['file']} is the text as SPDX has it: {', '.join(one['nodes'])} came without one and without a copyright line."
        for one in verdict["notices"]
        if one["origin"] == "spdx"
    ]
    lines += [
        f"{one['file']} is the text of {', '.join(one['nodes'])} as found; its licence is not one of the catalogue: "
        "a person read it and signed a waiver."
        for one in verdict["notices"]
        if one["kind"] == "unknown"
    ]
    parts = ["".join(f"{line}\n" for line in dict.fromkeys(lines))]
    for one in (one for one in verdict["notices"] if one["kind"] == "notice"):
        parts.append(f"\nNotices of {', '.join(one['nodes'])}, as found there:\n\n{one['text']}")
    return "".join(part if part.endswith("\n") else f"{part}\n" for part in parts)


def _modifications(verdict: Mapping[str, Any], work: Work) -> str:
    base = verdict["nodes"][0]
    made = "was taken over from elsewhere" if work.adopted else "was trained"
    on = f" on {work.pictures} pictures" if work.pictures is not None and not work.adopted else ""
    facts = [
        f"What was changed: a LoRA adapter {made}{on} and is fused into {base['id']}. No file of the base was edited.",
        f"Base: {base['id']}, revision {base['revision'] or 'not known'}.",
        f"Made by: {_by(work)}.",
        f"How: every change is low-rank{f' (rank {work.rank})' if work.rank is not None else ''}, added to the weights at start"
        + (f", at scale {work.scale:g}" if work.scale is not None else "")
        + ".",
        *([f"Adapter: sha256 {work.adapter_sha256}."] if work.adapter_sha256 else []),
        *([f"The adapter's own file: {work.adopted}."] if work.adopted else []),
    ]
    return _page("Modifications", (), [*facts, *_lines(verdict["owed"], "MODIFICATIONS.md")])


def _by(work: Work) -> str:
    whose = f"the publisher of the app {work.app}" if work.app else "the publisher of this app"
    return f"{work.publisher}, {whose}" if work.publisher else whose


def _terms(verdict: Mapping[str, Any]) -> str:
    lines = _lines(verdict["owed"], "TERMS.md")
    parts = [_page("Terms that come with this app", TERMS, lines)]
    for one in verdict["flowdown"] if lines else ():
        place = f"{one['file']}{', ' + one['section'] if one['section'] else ''}"
        text = one["text"].rstrip("\n") or f"They stand in the whole licence: {one['file']} is part of these terms."
        parts.append(f"\n## Use restrictions of {one['license']} ({one['node']}), from {place}\n\n{text}\n")
    return "".join(parts) if lines else ""


def _lines(rows: Iterable[Mapping[str, Any]], file: str) -> list[str]:
    """The lines that duties want in a file, each once."""
    return list(dict.fromkeys(line for row in rows if row["files"] and row["files"][0] == file for line in row["lines"]))


def _page(title: str, intro: Iterable[str], lines: list[str]) -> str:
    body = "".join(f"- {line}\n" for line in lines)
    head = "\n".join(intro)
    return f"# {title}\n\n{head + chr(10) * 2 if head else ''}{body}" if lines else ""
