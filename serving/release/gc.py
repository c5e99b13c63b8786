"""What a platform keeps of releases that have ended: names in `candidate`, and revisions that no rollback goes back to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from serving.release.deploy import CANDIDATE
from serving.release.differences import View, unneeded_candidates, unneeded_revisions
from serving.release.errors import DeployBusy
from serving.release.lease import deploy_lease
from serving.release.platform import Platform
from serving.release.reconcile import look, look_at
from serving.release.registry import Registry


@dataclass(frozen=True, kw_only=True, slots=True)
class Leftover:
    """The name of an app in `candidate`, or a revision."""

    app: str
    kind: Literal["candidate", "revision"]
    revision: str


def leftovers(platform: Platform, registry: Registry, *, keep: int, before: float) -> list[Leftover]:
    """Of every app that is on record and not being deployed. `keep` newest revisions stay, and those made after `before`."""
    return [one for view in look(platform, registry) for one in leftovers_of(view, keep=keep, before=before)]


def leftovers_of(view: View, *, keep: int, before: float) -> list[Leftover]:
    """What one app leaves behind; never what is live, what a rollback would bring back, or what an unfinished release needs."""
    if view.busy or not view.rows:
        return []
    ended = all(row["state"] not in ("intent", "candidate") for row in view.rows)
    names = [view.candidate.revision] if view.candidate is not None and ended else []
    unneeded = [*unneeded_revisions(view, keep), *(unneeded_candidates(view, keep) if ended else ())]
    old = [one.revision for one in unneeded if one.created_at < before]
    return [
        *(Leftover(app=view.app, kind="candidate", revision=revision) for revision in names),
        *(Leftover(app=view.app, kind="revision", revision=revision) for revision in old),
    ]


def remove(
    chosen: Sequence[Leftover],
    *,
    platform: Platform,
    registry: Registry,
    keep: int,
    before: float,
    progress: Callable[[str], None],
) -> list[Leftover]:
    """Those of the chosen that were removed: each app is held by its lease and looked at again, what is needed now stays."""
    done: list[Leftover] = []
    for app in sorted({one.app for one in chosen}):
        try:
            with deploy_lease(registry, target=platform.name, app=app) as lease:
                view = look_at(platform, registry, app)
                going = [one for one in leftovers_of(view, keep=keep, before=before) if one in chosen]
                if not going or view.latest is None:
                    continue
                row = view.latest
                collected = [f"{one.kind} {one.revision}" for one in going]
                registry.advance(row["id"], row["state"], lease=lease, collected={"what": collected, "done": False})
                for one in going:
                    progress(f"removing {one.kind} {one.revision} of {app!r} on {platform.name}")
                    if one.kind == "candidate":
                        platform.delete(app, CANDIDATE)
                    else:
                        platform.delete_revision(one.revision)
                    done.append(one)
                registry.advance(row["id"], row["state"], lease=lease, collected={"what": collected, "done": True})
        except DeployBusy as busy:
            progress(str(busy))
    return done
