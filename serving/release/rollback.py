"""The way back: a release that was live before is live again, exactly once, however often this is run and wherever it is killed.

    intent on the live row ─▶ main set to the former revision (rolling) ─▶ smoke ─▶ one transaction: live ends, former is live
                                        └──────────────────────────────────┴─▶ the intent is taken back, what is live stays so

The former revision is on the platform still, so nothing is built or uploaded, and fal moves the name when its runner is healthy.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, Literal

from serving.release.differences import retirement_of
from serving.release.errors import (
    NotPermitted,
    NoWayBack,
    PlatformError,
    PlatformTimeout,
    PlatformUnreachable,
    SmokeFailed,
    WrongKey,
)
from serving.release.lease import deploy_lease
from serving.release.platform import Platform
from serving.release.registry import Registry, Row
from serving.release.smoke import SmokePlan, running_package, smoke_test
from serving.release.undo import Held, give_up_unfinished

_PASSING: Final = (PlatformTimeout, PlatformUnreachable, WrongKey)  # say nothing about the revision: the next run goes on


def roll_back(
    app: str,
    *,
    platform: Platform,
    registry: Registry,
    reason: str,
    to: str | None = None,
    only: str | None = None,
    state: Literal["retired", "failed"] = "retired",
    wait: float = 0.0,
    progress: Callable[[str], None],
) -> Row:
    """The row of the release that is live again: by default the one that was live before, else `to` (start of a revision or id).

    What was live ends as `state` and remembers that it was rolled back. only: id of the release that must be live still. A rollback
    that an earlier run began is finished first. Raises NoWayBack and NotPermitted before anything is touched; SmokeFailed and
    PlatformError with what was live still live, as far as the platform could be reached.
    """
    with deploy_lease(registry, target=platform.name, app=app, wait=wait, progress=progress) as lease:
        at = Held(app=app, platform=platform, registry=registry, lease=lease, progress=progress)
        live = _live(at, only)
        if live["evidence"].get("rollback"):
            return _finished(at, live)
        give_up_unfinished(at, but=None, reason=f"given up for a rollback: {reason}")
        wanted = destination(registry.releases(app=app, target=platform.name), live, to)
        _require_there(at, wanted)
        return _finished(at, at.note(live, rollback={"to": wanted["id"], "reason": reason, "state": state}))


def finish_pending(at: Held) -> Row | None:
    """Finish a rollback that was killed: the row that is live again, None where none was under way."""
    live = at.registry.live(at.app, at.platform.name)
    if live is None or not live["evidence"].get("rollback"):
        return None
    return _finished(at, live)


def destination(rows: Sequence[Row], live: Row, to: str | None) -> Row:
    """The release to go back to, of all rows of the app. Raises NoWayBack and NotPermitted."""
    once_live = [row for row in rows if row["state"] == "retired" and row["revision"]]
    if to is None:
        found = [row for row in once_live if row["id"] == live["evidence"].get("former")]
        what = f"release {live['id']} of {live['app']!r} took over from none that could come back"
    else:
        found = [row for row in once_live if row["id"].startswith(to) or row["revision"].startswith(to)] if to else []
        what = f"{to!r} names {len(found) or 'no'} former releases of {live['app']!r}"
    if len(found) != 1:
        known = ", ".join(f"{row['id']} (revision {row['revision']})" for row in once_live) or "there is none"
        raise NoWayBack(f"{what}; releases that were live on {live['target']}: {known}")
    _require_permitted(found[0])
    return found[0]


def _require_permitted(row: Row) -> None:
    """Raise NotPermitted for a release that was taken down, or whose licences changed since they were accepted."""
    barred, review = row["evidence"].get("barred"), row["evidence"].get("review") or {}
    if barred or review.get("needed"):
        why = barred or next(iter(review.get("changes") or ()), "its licence verdict changed")
        raise NotPermitted(
            f"release {row['id']} of {row['app']!r} may not come back: {why}; name another one with --to, or publish"
        )


def _live(at: Held, only: str | None) -> Row:
    live = at.registry.live(at.app, at.platform.name)
    if live is None:
        raise NoWayBack(f"app {at.app!r} has no live release on {at.platform.name}; `lorasmith status` lists what there is")
    if retirement_of(live).get("state") == "intent":
        raise NoWayBack(f"app {at.app!r} is being retired; run `lorasmith retire {at.app}` again, which finishes that")
    if only is not None and live["id"] != only:
        raise NoWayBack(f"release {only} of {at.app!r} is not live any more, {live['id']} is: nothing to roll back")
    return live


def _finished(at: Held, live: Row) -> Row:
    """The rollback that the live row's intent speaks of, done or taken back."""
    intent = live["evidence"]["rollback"]
    (wanted,) = [row for row in at.registry.releases(app=at.app, target=at.platform.name) if row["id"] == intent["to"]]
    try:
        urls = _pointed(at, wanted)
        evidence = _smoke(at, wanted)
    except _PASSING:
        raise
    except (PlatformError, NoWayBack) as error:
        _take_back(at, live, error)
        raise
    row = at.registry.roll_back(
        live["id"], wanted["id"], state=intent["state"], reason=intent["reason"], lease=at.lease, urls=urls, after_rollback=evidence
    )
    at.progress(f"release {row['id']} of {at.app!r} is live again as revision {row['revision']}: {intent['reason']}")
    return row


def _pointed(at: Held, wanted: Row) -> dict[str, str] | None:
    """URLs of main once it runs the wanted revision."""
    found = at.platform.alias(at.app, None)
    if found is None or found.revision != wanted["revision"]:
        _require_there(at, wanted)
        at.progress(f"setting main of {at.app!r} to revision {wanted['revision']} on {at.platform.name}")
        at.platform.set_revision(at.app, wanted["revision"], None)
        found = at.platform.alias(at.app, None)
    return found.urls if found else None


def _require_there(at: Held, wanted: Row) -> None:
    """NoWayBack where the platform does not have the revision any more: somebody deleted it, or the sandbox was purged."""
    if not _is_there(at, wanted):
        raise NoWayBack(
            f"revision {wanted['revision']} of release {wanted['id']} of {at.app!r} is gone from {at.platform.name}: "
            "publish it again from its job file, or name another release with --to"
        )


def _is_there(at: Held, row: Row) -> bool:
    return any(one.revision == row["revision"] for one in at.platform.revisions(at.app, None))


def _smoke(at: Held, wanted: Row) -> dict[str, Any]:
    """Evidence that main answers as the wanted release: its own smoke test, or its health alone where no plan is on record."""
    plan = wanted["evidence"].get("plan")
    if plan is None:
        serves = running_package(at.platform, app=at.app, environment=None)
        if serves != wanted["package"]:
            raise SmokeFailed(f"main of {at.app!r} says package {serves!r} after the rollback, expected {wanted['package']!r}")
        return {"said": "no smoke test is on record for this release: its health was asked alone"}
    return smoke_test(
        at.platform, app=at.app, environment=None, package=wanted["package"], plan=SmokePlan(**plan), progress=at.progress
    )


def _take_back(at: Held, live: Row, error: PlatformError | NoWayBack) -> None:
    """What was live stays so: main is pointed at it again, and the intent is closed with the reason.

    Where the platform has lost that revision too, the intent is closed all the same: what nobody can do must not keep the app from
    being published. That main runs something else is seen by the next publish, and by reconcile.
    """
    found = at.platform.alias(at.app, None)
    said = f"revision {live['revision']} is live"
    if found is None or found.revision != live["revision"]:
        if _is_there(at, live):
            at.platform.set_revision(at.app, live["revision"], None)
        else:
            said = f"and revision {live['revision']}, live on record, is gone from {at.platform.name} too; publish it again"
    at.note(live, rollback=None, rollback_failed={"to": live["evidence"]["rollback"]["to"], "reason": str(error)})
    at.progress(f"the rollback of {at.app!r} was taken back, {said}: {error}")
