"""What a verdict asks for: every duty with the asset that it is owed to, the uses that ask for it, and what fulfils it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from licenses.catalogue import USES, load
from licenses.errors import flat
from licenses.verdict import ALLOWED

MEANS = {
    "file": "file in the package",
    "listing": "line on the listing",
    "setting": "setting of the app",
    "attestation": "statement of the publisher",
    "name": "name of the app",
    "nothing": "nothing",
}
DOING = {
    "train_adapter": "training an adapter for a product",
    "host_paid_inference": "hosting paid inference",
    "distribute_adapter": "giving out the adapter's weights",
    "sell_outputs": "selling outputs",
}
LATER = "what fulfils it is told once training and paid hosting are allowed"
ALONE = "asked by this use alone: see to it before you do that"


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """One duty: towards whom, for which uses, what fulfils it, and what lacks."""

    code: str
    words: str
    towards: str
    role: str
    licence: str
    uses: tuple[str, ...]
    means: str
    files: tuple[str, ...]
    lines: tuple[str, ...]
    open: str


def asked(verdict: Mapping[str, Any]) -> tuple[Asked, ...]:
    """Open ones first; a duty that no row explains stands there without what fulfils it."""
    known = load().duties
    uses = {duty: tuple(use for use in USES if duty in verdict["uses"][use]["duties"]) for duty in _all_duties(verdict)}
    rows = [
        Asked(
            code=flat(one["duty"]),
            words=known.get(one["duty"], ""),
            towards=flat(one["node"]),
            role=flat(one["role"]),
            licence=flat(one["name"]),
            uses=uses.get(one["duty"], ()),
            means=MEANS[one["by"]],
            files=tuple(flat(file) for file in one["files"]),
            lines=tuple(flat(line) for line in one["lines"]),
            open=flat(one["open"]),
        )
        for one in verdict.get("owed", ())
    ]
    named = {row.code for row in rows}
    bare = [
        Asked(
            code=duty,
            words=known.get(duty, ""),
            towards="",
            role="",
            licence="",
            uses=of,
            means=ALONE if verdict["verdict"] in ALLOWED else LATER,
            files=(),
            lines=(),
            open="",
        )
        for duty, of in uses.items()
        if duty not in named
    ]
    return tuple(sorted([*rows, *bare], key=lambda one: not one.open))


def said_uses(uses: Iterable[str]) -> str:
    """Uses in words; all four in one."""
    listed = tuple(uses)
    return "every use" if set(listed) == set(USES) else "; ".join(DOING[use] for use in listed)


def _all_duties(verdict: Mapping[str, Any]) -> list[str]:
    return sorted({str(duty) for use in USES for duty in verdict["uses"][use]["duties"]})
