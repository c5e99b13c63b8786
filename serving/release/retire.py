"""Taking a release down: a takedown, or a licence that no longer allows it. Nobody but the owner is answered after it.

    intent on the row ─▶ candidate gone ─▶ main private, or gone ─▶ asked what is there now ─▶ retired, with that as evidence

The intent names reason and mode, so that a run that was killed is finished by the next one, or by reconcile, as it was asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Literal

from serving.release.deploy import CANDIDATE
from serving.release.differences import retirement_of
from serving.release.errors import NotRetired, PlatformError, UnknownRelease
from serving.release.lease import deploy_lease
from serving.release.platform import Platform
from serving.release.registry import Registry, Row
from serving.release.undo import Held

Mode = Literal["private", "delete"]
ANSWERS: Final[dict[Mode, str]] = {
    "private": "everybody but the owner is refused (401 or 403); the owner still can call it, and its runners cost the owner",
    "delete": "nobody is answered any more (404); the name is free, and what was deployed can not be called again",
}


def retire(
    app: str,
    *,
    platform: Platform,
    registry: Registry,
    reason: str,
    mode: Mode,
    before: Callable[[], None] = lambda: None,
    wait: float = 0.0,
    progress: Callable[[str], None],
) -> Row:
    """The app's release, retired with its reason; one that was retired this way before is only looked at again.

    before: called once the intent is written and before the platform is touched. A retirement that another run began is finished
    as that one was asked for. Unfinished releases of the app are given up. Raises UnknownRelease for an app that was never
    released here, PlatformError with the intent on record: the next run goes on.
    """
    with deploy_lease(registry, target=platform.name, app=app, wait=wait, progress=progress) as lease:
        at = Held(app=app, platform=platform, registry=registry, lease=lease, progress=progress)
        row = _row(at)
        if retirement_of(row).get("state") not in ("intent", "done"):
            row = at.note(row, retirement={"reason": reason, "mode": mode, "state": "intent"})
        before()
        return finish(at, row)


def finish(at: Held, row: Row) -> Row:
    """Do what the row's retirement says, as far as it is not done, and record what is there then."""
    retirement = retirement_of(row)
    row = _nothing_begun(at, row)
    _delete(at, CANDIDATE)
    found = {"main": _taken_down(at, retirement["mode"])}
    state = "retired" if row["state"] == "live" else row["state"]
    if retirement["state"] == "done" and retirement["found"] == found:
        return row
    done = {**retirement, "state": "done", "found": found}
    row = at.registry.advance(row["id"], state, lease=at.lease, retirement=done, barred=retirement["reason"])
    at.progress(f"release {row['id']} of {at.app!r} is retired: {retirement['reason']}")
    return row


def retirement_in_force(registry: Registry, app: str, target: str) -> Row | None:
    """The release whose retirement keeps the app from being published again, None where there is none."""
    rows = registry.releases(app=app, target=target)
    return next((row for row in reversed(rows) if retirement_of(row).get("state") in ("intent", "done")), None)


def lift(app: str, *, registry: Registry, target: str, reason: str) -> Row:
    """Let a retired app be published again, on purpose; nothing is deployed by this. NotRetired where nothing was to be lifted."""
    with deploy_lease(registry, target=target, app=app) as lease:
        row = retirement_in_force(registry, app, target)
        if row is None:
            raise NotRetired(f"app {app!r} on {target} is not retired: it can be published as it is")
        if row["state"] == "live":
            raise NotRetired(
                f"app {app!r} on {target} is being retired; run lorasmith retire {app} again, which finishes it, first"
            )
        lifted = {**retirement_of(row), "state": "lifted", "lifted": reason}
        return registry.advance(row["id"], row["state"], lease=lease, retirement=lifted, barred=None)


def _row(at: Held) -> Row:
    """The live release, else the one that was retired, else the last one."""
    rows = at.registry.releases(app=at.app, target=at.platform.name)
    if not rows:
        raise UnknownRelease(f"app {at.app!r} was never released to {at.platform.name} from here; `lorasmith status` lists those")
    live = at.registry.live(at.app, at.platform.name)
    last = at.registry.last_changed(at.app, at.platform.name)
    return live or retirement_in_force(at.registry, at.app, at.platform.name) or next(row for row in rows if row["id"] == last)


def _nothing_begun(at: Held, retired: Row) -> Row:
    """Give up what is unfinished without setting main back, which would bring an answer to callers again; the row as it is then."""
    for row in at.registry.releases(app=at.app, target=at.platform.name):
        if row["state"] in ("intent", "candidate"):
            row = at.registry.advance(
                row["id"], "failed", lease=at.lease, reason="given up: the app is retired", set_back="not needed"
            )
        elif row["evidence"].get("set_back") == "pending":
            row = at.note(row, set_back="not needed")
        if row["id"] == retired["id"]:
            retired = row
    return retired


def _taken_down(at: Held, mode: Mode) -> dict[str, Any] | None:
    """What main's name is once it is private or gone; raises PlatformError where the platform did not do as it was told."""
    if mode == "delete":
        _delete(at, None)
        return None
    found = at.platform.alias(at.app, None)
    if found is not None and found.auth_mode != "private":
        at.progress(f"making {at.app!r} private on {at.platform.name}")
        at.platform.set_auth(at.app, "private", None)
        found = at.platform.alias(at.app, None)
    if found is not None and found.auth_mode != "private":
        raise PlatformError(
            f"{at.platform.name} still serves {at.app!r} as {found.auth_mode}; run again, or delete it with --delete"
        )
    return {"revision": found.revision, "auth_mode": found.auth_mode} if found is not None else None


def _delete(at: Held, environment: str | None) -> None:
    if at.platform.alias(at.app, environment) is None:
        return
    at.progress(f"deleting {at.app!r} ({environment or 'main'}) on {at.platform.name}")
    at.platform.delete(at.app, environment)
    if at.platform.alias(at.app, environment) is not None:
        raise PlatformError(f"{at.platform.name} still has {at.app!r} ({environment or 'main'}) after it was deleted; run again")
