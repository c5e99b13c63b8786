"""Registry and platform held against each other, and put in order again where that is asked for.

Looking changes nothing and starts no runner. A repair holds the app's lease, looks once more, writes down what it is about to do,
does it and writes down that it is done; then it looks again, since one repair may show what another one hid.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final

from serving.release.deploy import CANDIDATE
from serving.release.differences import Difference, View, differences, retirement_of
from serving.release.errors import DeployBusy
from serving.release.lease import deploy_lease, held
from serving.release.platform import Alias, Platform
from serving.release.registry import Registry, Row
from serving.release.remote_package import REMOTE
from serving.release.retire import finish
from serving.release.rollback import finish_pending
from serving.release.smoke import running_package
from serving.release.undo import Held, set_back

Progress = Callable[[str], None]
Agreed = Callable[[Difference], bool]
_ROUNDS: Final = 20  # more than an app can have differences


def look(platform: Platform, registry: Registry, *, wake: bool = False) -> Iterator[View]:
    """What registry and platform say of every app that either of them knows. Raises JournalBroken, PlatformError.

    wake: where main runs another revision than the one on record and no runner is up, start one and ask it what it is.
    """
    registry.verify_journal()
    main, candidates = platform.apps(None), platform.apps(CANDIDATE)
    known = {row["app"] for row in registry.releases(target=platform.name)}
    others = {app for app in main.keys() | candidates.keys() if not app.startswith(REMOTE)}  # those are of no release
    for app in sorted(known | others):
        busy = held(registry, target=platform.name, app=app)
        yield _view(platform, registry, app, main.get(app), candidates.get(app), busy=busy, wake=wake)


def look_at(platform: Platform, registry: Registry, app: str, *, wake: bool = False) -> View:
    """One app, for whoever holds its lease."""
    return _view(platform, registry, app, platform.alias(app, None), platform.alias(app, CANDIDATE), wake=wake)


def repair(
    platform: Platform, registry: Registry, app: str, *, agreed: Agreed, wake: bool = False, progress: Progress
) -> tuple[list[Difference], list[Difference]]:
    """(what was repaired, what is left) of one app. `agreed` is asked of every difference that a repair exists for.

    An app that is being deployed is left alone. Raises PlatformError with the intent on record: the next run goes on.
    """
    done: list[Difference] = []
    refused: set[Difference] = set()
    try:
        with deploy_lease(registry, target=platform.name, app=app) as lease:
            at = Held(app=app, platform=platform, registry=registry, lease=lease, progress=progress)
            for _ in range(_ROUNDS):
                view = look_at(platform, registry, app, wake=wake)
                found = differences(view)
                chosen = _next(found, refused, agreed)
                if chosen is None:
                    return done, found
                _repair(at, view, chosen)
                done.append(chosen)
    except DeployBusy:
        return done, differences(View(app=app, rows=(), main=None, candidate=None, busy=True))
    raise AssertionError(f"repairs of {app!r} do not end: {[one.kind for one in done]}")


def _next(found: Sequence[Difference], refused: set[Difference], agreed: Agreed) -> Difference | None:
    """The first difference that may be repaired; each is asked about once."""
    for one in found:
        if one.level in ("safe", "ask") and one not in refused:
            if agreed(one):
                return one
            refused.add(one)
    return None


def _view(
    platform: Platform,
    registry: Registry,
    app: str,
    main: Alias | None,
    candidate: Alias | None,
    *,
    busy: bool = False,
    wake: bool,
) -> View:
    rows = registry.releases(app=app, target=platform.name)
    revisions, candidates = (platform.revisions(app, place) if rows else [] for place in (None, CANDIDATE))
    view = View(
        app=app,
        rows=rows,
        main=main,
        candidate=candidate,
        revisions=revisions,
        candidates=candidates,
        busy=busy,
        last_changed=registry.last_changed(app, platform.name),
    )
    if busy or main is None or view.live is None or main.revision == view.live["revision"]:
        return view
    if wake or any(one.revision == main.revision and one.runners for one in revisions):
        return replace(view, answers=running_package(platform, app=app, environment=None))
    return view


def _repair(at: Held, view: View, difference: Difference) -> None:
    """Intent, effect, evidence."""
    at.progress(f"{difference.app} ({difference.place}): {difference.found}; {difference.remedy}")
    row = next(one for one in view.rows if one["id"] == difference.release)
    mark = {"kind": difference.kind, "found": difference.found}
    row = at.note(row, repaired={**mark, "done": False})
    after = _REPAIRS[difference.kind](at, view, row)
    at.note(after, repaired={**mark, "done": True})


def _finish_retirement(at: Held, view: View, row: Row) -> Row:
    return finish(at, row)


def _finish_rollback(at: Held, view: View, row: Row) -> Row:
    finish_pending(at)
    return _again(at, row)


def _give_up(at: Held, view: View, row: Row) -> Row:
    set_back(at, row)
    return at.registry.advance(row["id"], "failed", lease=at.lease, reason="given up by reconcile: its process was gone")


def _set_back(at: Held, view: View, row: Row) -> Row:
    set_back(at, row)
    return _again(at, row)


def _record_gone(at: Held, view: View, row: Row) -> Row:
    return at.registry.advance(row["id"], "failed", lease=at.lease, reason="the platform has no such app any more")


def _record_revision(at: Held, view: View, row: Row) -> Row:
    assert view.main is not None
    return at.note(row, revision=view.main.revision, urls=view.main.urls)


def _point_back(at: Held, view: View, row: Row) -> Row:
    at.platform.set_revision(at.app, row["revision"], None)
    return _again(at, row)


def _share(at: Held, view: View, row: Row) -> Row:
    at.platform.set_auth(at.app, "shared", None)
    return _again(at, row)


def _retire_again(at: Held, view: View, row: Row) -> Row:
    return finish(at, at.note(row, retirement={**retirement_of(row), "state": "intent"}))


def _delete_candidate(at: Held, view: View, row: Row) -> Row:
    at.platform.delete(at.app, CANDIDATE)
    return _again(at, row)


_REPAIRS: Final[Mapping[str, Callable[[Held, View, Row], Row]]] = {
    "retirement_unfinished": _finish_retirement,
    "rollback_unfinished": _finish_rollback,
    "unfinished": _give_up,
    "set_back_pending": _set_back,
    "gone": _record_gone,
    "same_package": _record_revision,
    "replaced": _point_back,
    "not_shared": _share,
    "retired_answers": _retire_again,
    "candidate_left": _delete_candidate,
}


def _again(at: Held, row: Row) -> Row:
    """The row as it is now."""
    return at.registry.by_package(at.app, row["package"], at.platform.name) or row
