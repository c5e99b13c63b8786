"""The licences of everything that is live, and of the bases that are waited for, as one report: page, Markdown, findings. Pure."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from licenses.catalogue import USES, load
from licenses.drawing import LETTERS
from licenses.headline import waiver_lines, without_waivers
from licenses.reading import MEANINGS, Cell, Reading, read
from licenses.report import COLUMNS, NOT_ADVICE, PAID, environment, md
from licenses.sarif import of_verdict
from licenses.verdict import ALLOWED

STATES = {
    "unchanged": "unchanged",
    "unconfirmed": "not confirmed: somebody could not be asked",
    "re-review": "changed: a person has to read it",
}


@dataclass(frozen=True)
class Entry:
    """One release or base. live: it earns money now. todo: the commands that go on where terms changed; empty for a base."""

    name: str
    live: bool
    state: str
    verdict: Mapping[str, Any]
    changes: Sequence[Mapping[str, Any]] = ()
    waits_for: Sequence[str] = ()
    todo: str = ""

    @cached_property
    def reading(self) -> Reading:
        return read(self.verdict)

    @property
    def allowed(self) -> bool:
        return all(self.verdict["uses"][use]["verdict"] in ALLOWED for use in USES[:2])

    @property
    def number(self) -> str:
        """Where its section begins in the page."""
        return hashlib.sha256(self.name.encode()).hexdigest()[:8]

    @property
    def line(self) -> str:
        return without_waivers(self.verdict)

    @property
    def waivers(self) -> list[str]:
        return waiver_lines(self.verdict)

    @property
    def cells(self) -> Sequence[Cell]:
        return self.reading.whole


def ordered(entries: Sequence[Entry]) -> list[Entry]:
    """What needs somebody first: live and barred, then changed, then by name."""
    return sorted(entries, key=lambda one: (one.allowed or not one.live, one.state != "re-review", not one.live, one.name))


def barred(entries: Sequence[Entry]) -> list[Entry]:
    """What is live and not allowed any more."""
    return [one for one in entries if one.live and not one.allowed]


def headline(entries: Sequence[Entry], faults: Sequence[str]) -> str:
    """The whole in one line."""
    live, bad = sum(one.live for one in entries), len(barred(entries))
    changed = sum(one.state == "re-review" for one in entries)
    if not entries and not faults:
        return "Nothing is live, and no base is waited for"
    if bad:
        said = f"{bad} of {live} live releases may not be served any more"
    else:
        said = {0: "Nothing is live", 1: "The one live release is allowed"}.get(live, f"All {live} live releases are allowed")
    return ", ".join([said, *([f"{changed} to be read"] if changed else []), *([f"{len(faults)} not checked"] if faults else [])])


def digest(entries: Sequence[Entry], faults: Sequence[str]) -> str:
    """sha256 of what the report says, without its days: a check with the same outcome is the same report."""
    said = [[one.name, one.live, one.state, one.verdict["hash"], list(one.waits_for)] for one in ordered(entries)]
    return hashlib.sha256(json.dumps([said, [fault.split(":")[0] for fault in faults]]).encode()).hexdigest()


def findings(entries: Sequence[Entry]) -> list[dict[str, Any]]:
    """For SARIF: what stands against a use, and what changed; of a base that nobody serves at most a warning."""
    found = []
    for one in ordered(entries):
        for row in (*of_verdict(one.verdict), *one.changes):
            level = row["level"] if one.live or row["level"] != "error" else "warning"
            found.append({"code": row["code"], "level": level, "text": f"{one.name}: {row['text']}", "subject": one.name})
    return found


def markdown(entries: Sequence[Entry], faults: Sequence[str], *, as_of: str) -> str:
    """The whole report as Markdown; every text from outside is one escaped line."""
    lines = [f"# Licences: {headline(entries, faults)}", "", f"As of {md(as_of)}, by the facts of {load().as_of}. {NOT_ADVICE}", ""]
    if entries:
        lines += [f"| | base | {' | '.join(COLUMNS[use].lower() for use in USES)} | since it was accepted |", f"|{'---|' * 7}"]
    for one in ordered(entries):
        cells = " | ".join(f"{cell.letter} {cell.verdict}{' (waived)' if cell.waived else ''}" for cell in one.cells)
        kind = "" if one.live else " (waited for)"
        lines.append(f"| {md(one.name)}{kind} | {md(one.verdict['base'])} | {cells} | {STATES[one.state]} |")
    for one in ordered(entries):
        lines += ["", f"## {md(one.name)}", "", f"{one.reading.sign} **{one.reading.answer}**, {PAID}. {md(one.line)}"]
        lines += ["", *(f"- {md(row)}" for row in one.waivers)] if one.waivers else []
        lines += ["", *(line for change in one.changes for line in _change(change))] if one.changes else []
        lines += ["", *(f"- to be read: {md(text)}" for text in one.waits_for)] if one.waits_for and not one.changes else []
        lines += ["", f"To do: {md(one.todo)}"] if one.todo else []
    if faults:
        lines += ["", "## Not checked", "", *(f"- {md(fault)}" for fault in faults)]
    return "\n".join([*lines, ""])


def html(entries: Sequence[Entry], faults: Sequence[str], *, as_of: str) -> str:
    """The whole report as one page that loads nothing from elsewhere and runs no script."""
    bad = barred(entries)
    changed = any(one.state == "re-review" for one in entries) or bool(faults)
    tone, sign = ("block", "✕") if bad else ("conditional", "!") if changed else ("allow", "✓")
    return (
        environment()
        .get_template("portfolio.html")
        .render(
            entries=ordered(entries),
            faults=faults,
            headline=headline(entries, faults),
            tone=tone,
            sign=sign,
            columns=COLUMNS,
            states=STATES,
            letters=LETTERS,
            meanings=MEANINGS,
            paid=PAID,
            as_of=as_of,
            facts=load().as_of,
            not_advice=NOT_ADVICE,
        )
    )


def _change(change: Mapping[str, Any]) -> list[str]:
    gone, came = ([f"  - {sign} {md(one)}" for one in change[key]] for sign, key in (("was:", "removed"), ("is:", "added")))
    return [f"- {change['level']} `{change['code']}` {md(change['text'])}", *gone, *came]
