"""Where registry and platform disagree about an app: a pure comparison of what both say at one moment."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

from serving.release.platform import Alias, Revision
from serving.release.registry import Row

Level = Literal["safe", "ask", "report", "notice"]
KEPT_REVISIONS: Final = 2  # beside those that are needed
_UNFINISHED: Final = ("intent", "candidate")


@dataclass(frozen=True, kw_only=True, slots=True)
class View:
    """One app: its rows, oldest first, what its names point to, its revisions, and what main's health names, if it was asked.

    last_changed: id of the row that the journal speaks of last.
    """

    app: str
    rows: Sequence[Row]
    main: Alias | None
    candidate: Alias | None
    revisions: Sequence[Revision] = ()
    candidates: Sequence[Revision] = ()
    busy: bool = False
    answers: str | None = None
    last_changed: str | None = None

    @property
    def live(self) -> Row | None:
        return next((row for row in self.rows if row["state"] == "live"), None)

    @property
    def latest(self) -> Row | None:
        return next((row for row in self.rows if row["id"] == self.last_changed), None)

    def keeps(self, revision: object) -> bool:
        """Whether the platform still has this revision."""
        return any(one.revision == revision for one in self.revisions) or (self.main is not None and self.main.revision == revision)


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """What is not as it should be, and its remedy.

    safe: the repair puts in order what nobody can want otherwise. ask: the repair undoes what somebody may have meant. report: only
    a person can mend it. notice: nothing is wrong.
    """

    kind: str
    app: str
    place: str
    release: str | None
    found: str
    remedy: str
    level: Level

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def differences(view: View) -> list[Difference]:
    """All differences of one app, in the order of repair: what was begun, then main, then what is left over."""
    if view.busy:
        return [_made(view, "busy", "registry", None, "a deploy of it is under way", "look again when it has ended", "notice")]
    begun = [*_begun(view)]
    main = [] if begun else [*_main(view)]
    return [*begun, *main, *_left_over(view)]


def retirement_of(row: Row | None) -> Mapping[str, Any]:
    """What is on record of taking a release down: {reason, mode, state: intent | done | lifted}, or nothing."""
    return (row["evidence"].get("retirement") if row is not None else None) or {}


def former_of(rows: Sequence[Row]) -> Row | None:
    """The release that a rollback of the live one would go back to."""
    live = next((row for row in rows if row["state"] == "live"), None)
    wanted = live["evidence"].get("former") if live is not None else None
    return next((row for row in rows if row["id"] == wanted), None)


def _begun(view: View) -> Iterator[Difference]:
    """What a process that is gone began and did not end."""
    live = view.live
    if live is not None and retirement_of(live).get("state") == "intent":
        said = "it was to be retired and that was not finished"
        yield _made(view, "retirement_unfinished", "main", live, said, "finish the retirement", "safe")
        return
    if live is not None and live["evidence"].get("rollback"):
        said = "it was to be rolled back and that was not finished"
        yield _made(view, "rollback_unfinished", "main", live, said, "finish the rollback, with its smoke test", "safe")
        return
    for row in view.rows:
        if row["state"] in _UNFINISHED:
            yield _unfinished(view, row)
        elif row["state"] == "failed" and row["evidence"].get("set_back") == "pending":
            yield _pending(view, row)


def _unfinished(view: View, row: Row) -> Difference:
    said = f"it is {row['state']} and the process that began it is gone"
    again = "run lorasmith publish again, which goes on from there"
    if not _way_back(view, row):
        return _made(view, "unfinished", "main", row, f"{said}; what main ran before is gone from the platform", again, "report")
    return _made(view, "unfinished", "main", row, said, f"{again}; or give it up: main as it was before, the release failed", "ask")


def _pending(view: View, row: Row) -> Difference:
    said = "it failed, and main could not be set back then"
    if not _way_back(view, row):
        text = f"{said}; what main ran before is gone from the platform"
        return _made(view, "set_back_pending", "main", row, text, "run lorasmith publish again", "report")
    return _made(view, "set_back_pending", "main", row, said, "set main back to what it ran before", "safe")


def _way_back(view: View, row: Row) -> bool:
    before = (row["evidence"].get("main_before") or {}).get("revision")
    return before is None or view.keeps(before)


def _main(view: View) -> Iterator[Difference]:
    live, main = view.live, view.main
    if live is None:
        if main is not None:
            yield from _unrecorded(view, main)
    elif main is None:
        yield _made(
            view, "gone", "main", live, "it is live on record, and the platform has no such app", "record it as failed", "ask"
        )
    elif main.revision != live["revision"]:
        yield _elsewhere(view, live, main)
    elif main.auth_mode != "shared":
        said = f"its auth mode is {main.auth_mode!r}: nobody but the owner pays for calls"
        yield _made(view, "not_shared", "main", live, said, "make it shared again", "ask")


def _elsewhere(view: View, live: Row, main: Alias) -> Difference:
    said = f"main points to revision {main.revision}, on record is {live['revision']}"
    if view.answers == live["package"]:
        return _made(view, "same_package", "main", live, f"{said}; both are the same package", "record that revision", "safe")
    if view.answers is None:
        ask = "--wake starts a runner and asks it what it is"
        return _made(view, "unconfirmed", "main", live, f"{said}; no runner could say what that is", ask, "report")
    said = f"{said}; it runs package {view.answers[:12]}, which nobody recorded as live"
    if view.keeps(live["revision"]):
        return _made(view, "replaced", "main", live, said, f"point main at revision {live['revision']} again", "ask")
    gone = "what is on record is gone from the platform: run lorasmith publish again"
    return _made(view, "replaced", "main", live, said, gone, "report")


def _unrecorded(view: View, main: Alias) -> Iterator[Difference]:
    row = next((one for one in reversed(view.rows) if retirement_of(one).get("state") == "done"), None)
    mode = retirement_of(row).get("mode")
    if mode == "private" and main.auth_mode == "private":
        return
    if mode is not None:
        said = f"it was retired, and answers again as revision {main.revision} ({main.auth_mode})"
        remedy = "delete it again" if mode == "delete" else "make it private again"
        yield _made(view, "retired_answers", "main", row, said, remedy, "ask")
    elif view.rows:
        said = f"no release is live on record, and main answers with revision {main.revision}"
        remedy = f"run lorasmith publish again, or lorasmith retire {view.app}"
        yield _made(view, "unrecorded", "main", view.latest, said, remedy, "report")
    else:
        said = f"revision {main.revision} is of no release on record: deployed by hand or from another registry"
        yield _made(view, "orphan", "main", None, said, "leave it to whoever deployed it, or run fal apps delete", "report")


def _left_over(view: View) -> Iterator[Difference]:
    unfinished = any(row["state"] in _UNFINISHED for row in view.rows)
    ended = [row for row in view.rows if row["state"] not in _UNFINISHED]
    if view.candidate is not None and not view.rows:
        said = f"revision {view.candidate.revision} is of no release on record"
        yield _made(view, "orphan", "candidate", None, said, "leave it to whoever deployed it, or run fal apps delete", "report")
    elif view.candidate is not None and any(row["candidate_revision"] == view.candidate.revision for row in ended):
        said = "the candidate of a release that is through still answers"
        yield _made(view, "candidate", "candidate", None, said, "lorasmith gc deletes that name", "notice")
    elif view.candidate is not None and not unfinished:
        said = f"revision {view.candidate.revision} of no release on record still answers"
        yield _made(view, "candidate_left", "candidate", view.latest, said, "delete that name", "safe")
    old = unneeded_revisions(view)
    if view.rows and old:
        said = f"{len(old)} revisions that nothing points to"
        yield _made(view, "old_revisions", "main", None, said, "lorasmith gc removes them", "notice")


def unneeded_revisions(view: View, keep: int = KEPT_REVISIONS) -> list[Revision]:
    """Revisions of main, oldest first, that no name, no live, former or unfinished release needs, without the `keep` newest."""
    needed: set[str | None] = {alias.revision for alias in (view.main, view.candidate) if alias is not None}
    needed |= {row["revision"] for row in (view.live, former_of(view.rows)) if row is not None} | _needed_yet(view)
    return _but(view.revisions, needed, keep)


def unneeded_candidates(view: View, keep: int = KEPT_REVISIONS) -> list[Revision]:
    """The same of `candidate`: once its release has ended, nothing goes back to one."""
    return _but(view.candidates, _needed_yet(view), keep)


def _needed_yet(view: View) -> set[str | None]:
    """Revisions that a release which has not ended, or is to be undone, speaks of."""
    needed: set[str | None] = set()
    for row in view.rows:
        if row["state"] in _UNFINISHED or row["evidence"].get("set_back") == "pending":
            needed |= {row["revision"], row["candidate_revision"], (row["evidence"].get("main_before") or {}).get("revision")}
    return needed


def _but(revisions: Sequence[Revision], needed: set[str | None], keep: int) -> list[Revision]:
    spare = [one for one in sorted(revisions, key=lambda one: one.created_at) if one.revision not in needed]
    return spare[: max(0, len(spare) - keep)]


def _made(view: View, kind: str, place: str, row: Row | None, found: str, remedy: str, level: Level) -> Difference:
    release = row["id"] if row is not None else None
    return Difference(kind=kind, app=view.app, place=place, release=release, found=found, remedy=remedy, level=level)
