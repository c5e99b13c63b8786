"""A package becomes the live release of its app exactly once, however often this is run and wherever it is killed.

    intent ─▶ deployed to `candidate` ─▶ smoke ─▶ the same package to main ─▶ smoke ─▶ live
       └──────────────┴──────────────────┴──────────────────┴─────────▶ failed, main set back to what it ran before

Every effect on the platform is preceded by a line in the registry that says what was there before. A run that finds such a line
asks the platform first: it deploys again only where the platform does not run the package already.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from serving.release.errors import DeployFailed, PlatformError, SharedRefused, SmokeFailed
from serving.release.lease import Lease, deploy_lease
from serving.release.package import load_package
from serving.release.platform import Platform
from serving.release.registry import Registry, Row
from serving.release.smoke import SmokePlan, running_package, smoke_test

CANDIDATE: Final = "candidate"
_MAIN_BEFORE: Final = "main_before"


def publish_package(
    package: Path,
    *,
    platform: Platform,
    registry: Registry,
    verdict_hash: str,
    smoke: SmokePlan,
    progress: Callable[[str], None],
) -> Row:
    """The live release of this package; nothing is done when it is live already.

    Raises PlatformError with main as it was before: as far as the platform could be reached, else the next run sets it back.
    DeployFailed, SharedRefused and SmokeFailed end the release as failed; after any other error (or a kill) the next run goes on.
    """
    packed = load_package(package)
    app = packed.name
    with deploy_lease(registry, target=platform.name, app=app) as lease:
        at = _Deploy(
            package=packed.folder,
            app=app,
            hash=packed.hash,
            platform=platform,
            registry=registry,
            lease=lease,
            plan=smoke,
            progress=progress,
        )
        row = at.row()
        if row is not None and row["state"] == "live" and _still_live(at, row):
            progress(f"release {row['id']} of {app!r} is live already: nothing to do")
            return at.row() or row
        row = _begin(at, verdict_hash)
        try:
            return _main(at, _candidate(at, row))
        except (DeployFailed, SharedRefused, SmokeFailed) as error:
            registry.advance(row["id"], "failed", lease=lease, reason=str(error), log=list(error.tail))
            raise


@dataclass(frozen=True, kw_only=True, slots=True)
class _Deploy:
    """What every step of one deploy needs."""

    package: Path
    app: str
    hash: str
    platform: Platform
    registry: Registry
    lease: Lease
    plan: SmokePlan
    progress: Callable[[str], None]

    def row(self) -> Row | None:
        return self.registry.by_package(self.app, self.hash, self.platform.name)

    def note(self, row: Row, **changes: Any) -> Row:
        """Add evidence without a change of state."""
        return self.registry.advance(row["id"], row["state"], lease=self.lease, **changes)

    def runs(self, environment: str | None) -> bool:
        """Whether this package answers there (which may wake a runner)."""
        return running_package(self.platform, app=self.app, environment=environment) == self.hash

    def smoke(self, environment: str | None) -> dict[str, Any]:
        return smoke_test(
            self.platform, app=self.app, environment=environment, package=self.hash, plan=self.plan, progress=self.progress
        )


def _still_live(at: _Deploy, row: Row) -> bool:
    """Whether main still runs this live release; when somebody put something else there, the release is over."""
    found = at.platform.alias(at.app, None)
    if found is not None and found.revision == row["revision"]:
        return True
    if found is not None and at.runs(None):
        # A deploy whose answer was lost may land after the one that was recorded: the same package under another revision.
        at.note(row, revision=found.revision)
        return True
    reason = f"main runs {'revision ' + found.revision if found else 'nothing'} instead of revision {row['revision']}"
    at.progress(f"release {row['id']} of {at.app!r} is live by the registry, but {reason}: deploying again")
    at.registry.advance(row["id"], "failed", lease=at.lease, reason=reason)
    return False


def _begin(at: _Deploy, verdict_hash: str) -> Row:
    """The intent of this package, new or resumed, after what other deploys of the app left unfinished was put in order."""
    for other in at.registry.releases(app=at.app, target=at.platform.name):
        unfinished = other["state"] in ("intent", "candidate")
        if other["package"] == at.hash and unfinished:
            continue
        if unfinished:
            _set_back(at, other)
            at.registry.advance(other["id"], "failed", lease=at.lease, reason=f"given up for package {at.hash}")
        elif other["state"] == "failed" and other["evidence"].get("set_back") == "pending":
            _set_back(at, other)
    row = at.registry.insert_intent(app=at.app, package=at.hash, target=at.platform.name, verdict_hash=verdict_hash, lease=at.lease)
    at.progress(f"release {row['id']} of {at.app!r}: {row['state']}")
    return row


def _candidate(at: _Deploy, row: Row) -> Row:
    """The package in the environment `candidate`, smoke-tested there."""
    if row["state"] == "intent":
        row, revision, urls = _deployed(at, row, CANDIDATE)
        row = at.registry.advance(row["id"], "candidate", lease=at.lease, candidate_revision=revision, candidate_urls=urls)
    if CANDIDATE not in row["evidence"]:
        row = at.note(row, candidate=at.smoke(CANDIDATE))
    return row


def _main(at: _Deploy, row: Row) -> Row:
    """The same package on main, smoke-tested there and live; main is set back to what it ran before if anything stops this."""
    try:
        row, revision, urls = _deployed(at, row, None)
        row = at.note(row, revision=revision, urls=urls)
        row = at.registry.advance(row["id"], "live", lease=at.lease, main=at.smoke(None), set_back=None)
    except BaseException:  # Ctrl-C too: what main runs now is not proven
        _try_set_back(at)
        raise
    at.progress(f"release {row['id']} of {at.app!r} is live as revision {row['revision']}")
    return row


def _deployed(at: _Deploy, row: Row, environment: str | None) -> tuple[Row, str, dict[str, str]]:
    """Row, revision and URLs once the environment runs the package: found there by an earlier run's traces, or deployed now."""
    place = environment or "main"
    found = at.platform.alias(at.app, environment)
    before = row["evidence"].get(f"{place}_before")
    if before is None:
        row = at.note(row, **{f"{place}_before": {"revision": found.revision if found else None}})
    elif found is not None and found.revision != before["revision"] and at.runs(environment):
        at.progress(f"{place} runs the package already, as revision {found.revision}")
        return row, found.revision, found.urls
    at.progress(f"deploying package {at.hash[:12]} of {at.app!r} to {place} on {at.platform.name}")
    deployed = at.platform.deploy(at.package, app=at.app, environment=environment)
    return row, deployed.revision, deployed.urls


def _try_set_back(at: _Deploy) -> None:
    """Set main back while another error is on its way out; what can not be done now stays pending for the next run."""
    row = at.row()
    if row is None or row["state"] != "candidate":
        return
    try:
        _set_back(at, row)
    except PlatformError as error:
        at.progress(f"main of {at.app!r} could not be set back, the next run tries again: {error}")


def _set_back(at: _Deploy, row: Row) -> None:
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
