"""A verdict in one line, and each of its waivers in one: what a terminal, a log and the top of a report say."""

from collections.abc import Mapping
from typing import Any

from licenses.catalogue import PAID_USES, load
from licenses.errors import flat
from licenses.fulfilment import sentence
from licenses.verdict import ALLOWED

USE_NAMES = {
    "train_adapter": "train an adapter for a product",
    "host_paid_inference": "host paid inference",
    "distribute_adapter": "distribute the adapter's weights",
    "sell_outputs": "sell outputs",
}


def one_line(verdict: Mapping[str, Any]) -> str:
    """The verdict in one line with its waivers: for a block what bars it, where that stands, and what base to use instead."""
    return without_waivers(verdict) + _excepted(verdict)


def without_waivers(verdict: Mapping[str, Any]) -> str:
    """The same line where the waivers stand below it."""
    base = flat(verdict["base"])
    if verdict["verdict"] in ALLOWED:
        return f"base {base!r} may be used here: {_licenses(verdict)}; duties: {_duties(verdict)}.{_open(verdict)}"
    reasons = _against(verdict)
    first = reasons[0]
    more = f" ({len(reasons) - 1} more in the report.)" if len(reasons) > 1 else ""
    quote = f' ("{flat(first["quote"])}")' if first["quote"] and first["quote"] not in first["text"] else ""
    said = _placed(first, base).rstrip(".")
    return f"base {base!r} may not be used here: {said}{quote}.{more}{_instead(verdict)}"


def waiver_lines(verdict: Mapping[str, Any]) -> list[str]:
    """Each waiver in one line, those that count first: what is allowed only because a person signed for it."""
    rows = sorted(verdict.get("waivers", ()), key=lambda row: not row["counted"])
    return [_waiver_line(row) for row in rows]


def _waiver_line(row: Mapping[str, Any]) -> str:
    counts = "COUNTS" if row["counted"] else "DOES NOT COUNT"
    if not row["repo"]:
        return f"{counts}: {row['why']}"
    use = USE_NAMES.get(row["use"] or "", "no use named")
    said = "approved by" if row["counted"] else "in the name of"
    return f"{counts}: {row['repo']}, {use}, {said} {row['by']!r} because {row['reason']!r}: {row['why']}"


def _excepted(verdict: Mapping[str, Any]) -> str:
    lines = [flat(line) for line in waiver_lines(verdict)]
    more = f" ({len(lines) - 3} more in the report.)" if len(lines) > 3 else ""
    return "".join(f" WAIVER {line.rstrip('.')}." for line in lines[:3]) + more


def _duties(verdict: Mapping[str, Any]) -> str:
    """Codes, and each text that no catalogue knows: what it asks for is not listed."""
    unread = [
        f"what {one['file']} asks for (waived, not listed: read it)" for one in verdict["notices"] if one["kind"] == "unknown"
    ]
    return ", ".join([*_union(verdict, "duties"), *unread]) or "none"


def _open(verdict: Mapping[str, Any]) -> str:
    """Duties that nothing fulfils yet: the verdict allows, and packaging stops until they are."""
    rows = [row for row in verdict.get("owed", ()) if row["open"]]
    said = "".join(f" OPEN {flat(sentence(row | {'license': row['name']})).rstrip('.')}." for row in rows[:3])
    more = f" ({len(rows) - 3} more in the report.)" if len(rows) > 3 else ""
    return f"{said}{more} Nothing is packaged before that is done." if rows else ""


def _against(verdict: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Distinct reasons against the paid uses, those of a block before those of a condition."""
    uses = sorted((verdict["uses"][use] for use in PAID_USES), key=lambda said: said["verdict"] != "block")
    found: dict[str, Mapping[str, Any]] = {}
    for said in uses:
        if said["verdict"] not in ALLOWED:
            for reason in said["reasons"]:
                found.setdefault(reason["text"], reason)
    return list(found.values())


def _instead(verdict: Mapping[str, Any]) -> str:
    note = f" {verdict['alternatives_note']}." if verdict.get("alternatives_note") else ""
    if verdict["alternatives"]:
        which = "that may pass" if note else "that pass"
        return f" Bases of the same kind {which}: {', '.join(verdict['alternatives'])}.{note}"
    return note


def _licenses(verdict: Mapping[str, Any]) -> str:
    """What the assets come under; one whose licence nobody could tell is said to be so, whatever waiver lets it pass."""
    return ", ".join(dict.fromkeys(license_name(one["license"]) for one in verdict["nodes"]))


def _placed(reason: Mapping[str, Any], base: str) -> str:
    """A reason's text, which names the asset that it is about where that is not the base."""
    node, text = flat(reason["node"]), flat(reason["text"]).removeprefix(f"{base}: ")
    return text if node in text or node in ("publisher", base) or base.endswith(f"/{node}") else f"{node}: {text}"


def license_name(id: str | None) -> str:
    """A licence in words."""
    known = load().licenses.get(id or "")
    return known.name if known else "own material" if id == "own" else flat(id or "no licence told")


def _union(verdict: Mapping[str, Any], key: str) -> list[str]:
    return sorted({one for said in verdict["uses"].values() for one in said[key]})
