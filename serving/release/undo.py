"""Undoing what a deploy that did not end left behind: main is set back to what it ran before."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from serving.release.lease import Lease
from serving.release.platform import Platform
from serving.release.registry import Registry, Row

_MAIN_BEFORE: Final = "main_before"


@dataclass(frozen=True, kw_only=True, slots=True)
class Held:
    """One app on one platform, held by its lease: what every change of it needs."""

    app: str
    platform: Platform
    registry: Registry
    lease: Lease
    progress: Callable[[str], None]

    def note(self, row: Row, **changes: Any) -> Row:
        """Add evidence without a change of state."""
        return self.registry.advance(row["id"], row["state"], lease=self.lease, **changes)


def give_up_unfinished(at: Held, *, but: str | None, reason: str) -> None:
    """End the app's unfinished releases as failed, but that of package `but`, with main as it was before each."""
    for other in at.registry.releases(app=at.app, target=at.platform.name):
        unfinished = other["state"] in ("intent", "candidate")
        if unfinished and other["package"] == but:
            continue
        if unfinished:
            other = at.note(other, left_behind=_left_behind(at, other))
            set_back(at, other)
            at.registry.advance(other["id"], "failed", lease=at.lease, reason=reason)
        elif other["state"] == "failed" and other["evidence"].get("set_back") == "pending":
            set_back(at, other)


def _left_behind(at: Held, row: Row) -> dict[str, str]:
    """By environment, the revision of a deploy whose answer was never recorded: without this line nobody would know of it."""
    left = {}
    for environment, column in (("candidate", "candidate_revision"), (None, "revision")):
        before = row["evidence"].get(f"{environment or 'main'}_before")
        if before is None or row[column] is not None:
            continue
        found = at.platform.alias(at.app, environment)
        if found is not None and found.revision != before["revision"]:
            left[environment or "main"] = found.revision
    return left


def set_back(at: Held, row: Row) -> None:
    """Point main at what it ran before this release touched it. Raises PlatformError and leaves the row as pending."""
    before = row["evidence"].get(_MAIN_BEFORE)
    if before is None:
        return
    found = at.platform.alias(at.app, None)
    runs = found.revision if found else None
    if runs == before["revision"]:
        at.note(row, set_back="not needed")
    elif before["revision"] is None:
        at.note(row, set_back="impossible")
        at.progress(f"main of {at.app!r} ran nothing before, so there is nothing to set back: it answers with revision {runs}")
    else:
        at.note(row, set_back="pending")
        at.platform.set_revision(at.app, before["revision"], None)
        at.note(row, set_back="done")
        at.progress(f"main of {at.app!r} was set back to revision {before['revision']}")
