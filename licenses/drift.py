"""What has changed in the rights behind something that was allowed: yesterday's verdict against today's. Pure."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from difflib import SequenceMatcher
from typing import Any

from licenses.card import Card, read_card
from licenses.catalogue import RANK, USES
from licenses.errors import SourceFailure, flat
from licenses.verdict import ALLOWED

UNASKED = ("hub_unreachable", "hub_timeout", "hub_error", "hub_rate_limited", "hub_bad_answer")
GONE = ("hub_not_found", "hub_disabled", "hub_revision_not_found", "hub_refused")
GATED = ("hub_gated",)
EXPIRED = ("facts_expired", "waiver_void", "waiver_expired")
TAG = ("license", "license_name", "license_link", "base_models")
SHOWN, LENGTH = 12, 300  # clauses a diff shows at most, and characters of each


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """`level`: error and warning ask for a review, unknown says that nobody could be asked, note asks for nothing."""

    code: str
    level: str
    node: str
    text: str
    file: str | None = None
    removed: tuple[str, ...] = ()
    added: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}


def compare(
    before: Mapping[str, Any], after: Mapping[str, Any], *, read: Callable[[str], bytes | None] = lambda sha256: None
) -> tuple[Change, ...]:
    """Changes from one verdict JSON to a later one, the gravest first; `read` gives the bytes of evidence by sha256, where kept.

    An answer that could not be had changes nothing but what is known: such a check is to be run again.
    """
    reasons = [*_reasons(before, after)]
    silent = {change.node for change in reasons if change.level == "unknown"}
    found = [*reasons, *_nodes(before, after, silent), *_files(before, after, silent, read)]
    asked = not silent or any(change.level in ("error", "warning") for change in found)
    found += _uses(before, after) if asked else ()
    order = {"error": 0, "warning": 1, "unknown": 2, "note": 3}
    return tuple(sorted(dict.fromkeys(found), key=lambda change: (order[change.level], change.code, change.node)))


def state(changes: Iterable[Change]) -> str:
    """re-review where terms changed, unconfirmed where somebody could not be asked, else unchanged."""
    levels = {change.level for change in changes}
    if levels & {"error", "warning"}:
        return "re-review"
    return "unconfirmed" if "unknown" in levels else "unchanged"


def clauses(before: str, after: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Sentences that a text lost and gained, each shortened, in their order; layout and case do not count."""
    old, new = _sentences(before), _sentences(after)
    matcher = SequenceMatcher(a=[_key(one) for one in old], b=[_key(one) for one in new], autojunk=False)
    changed = [code for code in matcher.get_opcodes() if code[0] != "equal"]
    removed = [one for _, start, stop, _, _ in changed for one in old[start:stop]]
    added = [one for _, _, _, start, stop in changed for one in new[start:stop]]
    return tuple(one[:LENGTH] for one in removed[:SHOWN]), tuple(one[:LENGTH] for one in added[:SHOWN])


def _reasons(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Change]:
    """What stands against a use now and did not before."""
    known = {(use, one["code"], one["node"]) for use in USES for one in before["uses"][use]["reasons"]}
    for use in USES:
        if after["uses"][use]["verdict"] in ALLOWED:
            continue
        for one in after["uses"][use]["reasons"]:
            if (use, one["code"], one["node"]) not in known:
                code, level = _meaning(one["code"])
                quote = f' ("{flat(one["quote"])[:LENGTH]}")' if one["quote"] and one["quote"] not in one["text"] else ""
                yield Change(code=code, level=level, node=one["node"], text=f"{flat(one['text'])}{quote}", file=one["file"])


def _meaning(reason: str) -> tuple[str, str]:
    table = ((UNASKED, "not_asked", "unknown"), (GONE, "gone", "error"), (GATED, "gated", "error"), (EXPIRED, "expired", "warning"))
    return next(((code, level) for listed, code, level in table if reason in listed), (reason, "error"))


def _nodes(before: Mapping[str, Any], after: Mapping[str, Any], silent: set[str]) -> Iterator[Change]:
    old, new = _by_place(before), _by_place(after)
    for place in sorted(old.keys() - new.keys()):
        if not silent:
            yield Change(code="asset_gone", level="note", node=place[1], text=f"{place[1]} ({place[0]}) stands behind it no longer")
    for place in sorted(new.keys() - old.keys()):
        text = f"{place[1]} ({place[0]}) stands behind it now, under {new[place]['license'] or 'no licence that could be told'}"
        yield Change(code="asset_added", level="warning", node=place[1], text=text)
    for place in sorted(old.keys() & new.keys()):
        if place[1] not in silent:
            yield from _node(place[1], old[place], new[place])


def _node(name: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Change]:
    if old["license"] != new["license"]:
        text = f"{name}: its licence was {old['license']}, now it is {new['license'] or 'none that could be told'}"
        yield Change(code="license_changed", level="error", node=name, text=text)
    if bool(old.get("gated")) != bool(new.get("gated")):
        said = "asks for its terms to be accepted now" if new.get("gated") else "may be had without accepting terms now"
        yield Change(code="gated_changed", level="warning", node=name, text=f"{name} {said}")
    if old["revision"] != new["revision"]:
        text = f"{name}: revision {str(old['revision'])[:19]} was checked, now it is {str(new['revision'])[:19]}"
        yield Change(code="revision_moved", level="note", node=name, text=text)


def _files(
    before: Mapping[str, Any], after: Mapping[str, Any], silent: set[str], read: Callable[[str], bytes | None]
) -> Iterator[Change]:
    """Licence texts, notices and cards whose bytes are others now; of a card only what names the licence counts."""
    old, new = _by_file(before), _by_file(after)
    for place in sorted(old.keys() | new.keys()):
        node, file = place
        if node in silent or old.get(place) == new.get(place) or not _speaks(file):
            continue
        was, now = (read(side[place]) if place in side else None for side in (old, new))
        if place not in new:
            yield Change(code="text_gone", level="error", node=node, text=f"{node}: {file} is not there any more", file=file)
        elif file.casefold().endswith("readme.md"):
            yield from _card_change(node, file, was, now)
        else:
            removed, added = (
                clauses(_text(was), _text(now)) if now is not None and (was is not None or place not in old) else ((), ())
            )
            said = "another text" if place in old else "a new text"
            yield Change(
                code="text_changed",
                level="error",
                node=node,
                text=f"{node}: {file} is {said}",
                file=file,
                removed=removed,
                added=added,
            )


def _card_change(node: str, file: str, was: bytes | None, now: bytes | None) -> Iterator[Change]:
    old, new = _card(was), _card(now)
    told = [(key, getattr(old, key, None), getattr(new, key, None)) for key in TAG]
    differs = [(key, then, today) for key, then, today in told if then != today]
    if not differs or old is None:
        yield Change(code="card_changed", level="note", node=node, text=f"{node}: {file} reads differently", file=file)
    for key, then, today in differs if old is not None else ():
        text = f"{node}: {file} says {key} {flat(today)[:80]!r} now, it said {flat(then)[:80]!r}"
        yield Change(code="tag_changed", level="error", node=node, text=text, file=file)


def _uses(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Change]:
    base = str(after["base"])
    for use in USES:
        old, new = before["uses"][use], after["uses"][use]
        if RANK[old["verdict"]] != RANK[new["verdict"]]:
            worse = RANK[new["verdict"]] > RANK[old["verdict"]]
            text = f"{use}: the verdict was {old['verdict']}, now it is {new['verdict']}"
            yield Change(
                code="verdict_worse" if worse else "verdict_better", level="error" if worse else "note", node=base, text=text
            )
        if new["verdict"] not in ALLOWED:
            continue  # what is not allowed lists no duties
        for duty in sorted(set(new["duties"]) - set(old["duties"])):
            yield Change(code="duty_added", level="warning", node=base, text=f"{use}: the duty {duty} came to it")
        for duty in sorted(set(old["duties"]) - set(new["duties"])):
            yield Change(code="duty_gone", level="note", node=base, text=f"{use}: the duty {duty} is gone")


def _by_place(verdict: Mapping[str, Any]) -> dict[tuple[str, str], Mapping[str, Any]]:
    return {(str(node["role"]), str(node["id"])): node for node in verdict["nodes"]}


def _by_file(verdict: Mapping[str, Any]) -> dict[tuple[str, str], str]:
    return {(str(one["node"]), str(one["file"])): str(one["sha256"]) for one in verdict.get("evidence", ())}


def _speaks(file: str) -> bool:
    """A file that says something of rights: a card, a licence text, a policy or a notice."""
    name = file.rpartition("/")[2].casefold()
    return name == "readme.md" or not name.endswith((".json", ".safetensors", ".yaml", ".yml"))


def _card(raw: bytes | None) -> Card | None:
    try:
        return read_card(raw) if raw is not None else None
    except SourceFailure:
        return None


def _text(raw: bytes | None) -> str:
    return (raw or b"").decode("utf-8", "replace")


def _sentences(text: str) -> list[str]:
    return [" ".join(one.split()) for one in re.split(r"(?<=[.;:!?])\s+|\n\s*\n", text) if one.strip()]


def _key(sentence: str) -> str:
    return " ".join(re.findall(r"\w+", sentence.casefold()))
