"""A package becomes the live release of its app exactly once, however often this is run and wherever it is killed.

    intent ─▶ deployed to `candidate` ─▶ smoke ─▶ golden prompts, times, failures ─▶ the same package to main ─▶ smoke ─▶ live
       └──────────────┴──────────────────┴──────────────────┴──────────────────────────┴─────────▶ failed, main set back

Every effect on the platform is preceded by a line in the registry that says what was there before. A run that finds such a line
asks the platform first: it deploys again only where the platform does not run the package already. What is live then is on
probation for a while (probation.py).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from serving.release.budget import USUAL, Budget
from serving.release.errors import DeployFailed, PlatformError, RolledBack, RolloutFailed, SharedRefused, SmokeFailed, Tampered
from serving.release.golden import NO_SAMPLES, GoldenPlan
from serving.release.lease import deploy_lease
from serving.release.package import Package, load_package
from serving.release.platform import Platform
from serving.release.proving import proven
from serving.release.registry import Registry, Row
from serving.release.rollback import finish_pending
from serving.release.signature import Signers, verified
from serving.release.smoke import SmokePlan, running_package, smoke_test
from serving.release.undo import Held, give_up_unfinished, set_back

CANDIDATE: Final = "candidate"
ENDING: Final = (DeployFailed, SharedRefused, SmokeFailed, RolloutFailed)  # of the package's own making: run again changes nothing


def publish_package(
    package: Path,
    *,
    platform: Platform,
    registry: Registry,
    verdict_hash: str,
    smoke: SmokePlan,
    golden: GoldenPlan = NO_SAMPLES,
    budget: Budget = USUAL,
    signers: Signers | None = None,
    again: bool = False,
    wait: float = 0.0,
    progress: Callable[[str], None],
) -> Row:
    """The live release of this package; nothing is done when it is live already.

    signers: whose signature the package must carry (Unsigned, BadSignature); None does not ask. again: deploy it although it was
    rolled back, which is refused otherwise (RolledBack). wait: seconds to wait for another deploy of the app. Raises PlatformError
    with main as it was before: as far as the platform could be reached, else the next run sets it back. DeployFailed,
    SharedRefused, SmokeFailed and RolloutFailed end the release as failed; after any other error (or a kill) the next run goes on.
    """
    packed = _as_signed(package, signers)
    app = packed.name
    with deploy_lease(registry, target=platform.name, app=app, wait=wait, progress=progress) as lease:
        at = _Deploy(
            package=packed.folder,
            app=app,
            hash=packed.hash,
            platform=platform,
            registry=registry,
            lease=lease,
            plan=smoke,
            golden=golden,
            budget=budget,
            signers=signers,
            progress=progress,
        )
        finish_pending(at)
        row = at.row()
        if row is not None and row["state"] == "live" and _still_live(at, row):
            progress(f"release {row['id']} of {app!r} is live already: nothing to do")
            return _clear_candidate(at, at.row() or row)
        if row is not None and not again:
            _require_not_rolled_back(row)
        row = _begin(at, verdict_hash)
        try:
            _require_not_failing(at, row)
            return _clear_candidate(at, _main(at, _candidate(at, row)))
        except ENDING as error:
            evidence = error.evidence if isinstance(error, RolloutFailed) else {}
            said = {"reason": str(error), "log": list(error.tail)}
            _clear_candidate(at, registry.advance(row["id"], "failed", lease=lease, **{**evidence, **said}))
            raise


@dataclass(frozen=True, kw_only=True, slots=True)
class _Deploy(Held):
    """What every step of one deploy needs."""

    package: Path
    hash: str
    plan: SmokePlan
    golden: GoldenPlan
    budget: Budget
    signers: Signers | None

    def row(self) -> Row | None:
        return self.registry.by_package(self.app, self.hash, self.platform.name)

    def runs(self, environment: str | None) -> bool:
        """Whether this package answers there (which may wake a runner)."""
        return running_package(self.platform, app=self.app, environment=environment) == self.hash

    def smoke(self, environment: str | None) -> dict[str, Any]:
        return smoke_test(
            self.platform, app=self.app, environment=environment, package=self.hash, plan=self.plan, progress=self.progress
        )


def _as_signed(package: Path, signers: Signers | None) -> Package:
    return verified(package, signers)[0] if signers else load_package(package)


def _require_unchanged(at: _Deploy) -> None:
    """What goes to main is what went to the candidate, hours before perhaps."""
    if _as_signed(at.package, at.signers).hash != at.hash:
        raise Tampered(f"package {at.app}: {at.package} holds another package than when this deploy began; run again")


def _require_not_rolled_back(row: Row) -> None:
    if past := row["evidence"].get("rolled_back"):
        raise RolledBack(
            f"package {row['package'][:12]} of {row['app']!r} was live and was rolled back: {past['reason']}; "
            "what is live stays so. Mend what it is made of, or deploy it once more on purpose with --again"
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
    give_up_unfinished(at, but=at.hash, reason=f"given up for package {at.hash}")
    plan = {"arguments": [dict(one) for one in at.plan.arguments], "images": at.plan.images, "unit": at.plan.unit}
    past = (at.row() or {"evidence": {}})["evidence"].get("rolled_back")
    kept = {"rolled_back": past} if past else {}  # until it is live: a deliberate try that failed makes it no better
    row = at.registry.insert_intent(
        app=at.app, package=at.hash, target=at.platform.name, verdict_hash=verdict_hash, lease=at.lease, plan=plan, **kept
    )
    at.progress(f"release {row['id']} of {at.app!r}: {row['state']}")
    return row


def _candidate(at: _Deploy, row: Row) -> Row:
    """The package in the environment `candidate`, smoke-tested there and held against its evaluation and its budget."""
    if row["state"] == "intent":
        row, revision, urls = _deployed(at, row, CANDIDATE)
        row = at.registry.advance(row["id"], "candidate", lease=at.lease, candidate_revision=revision, candidate_urls=urls)
    if CANDIDATE not in row["evidence"]:
        row = at.note(row, candidate=at.smoke(CANDIDATE))
    if "budget" not in row["evidence"]:
        row = at.note(row, **_proven(at, row))
    return row


def _proven(at: _Deploy, row: Row) -> dict[str, Any]:
    return proven(
        at.platform,
        app=at.app,
        environment=CANDIDATE,
        golden=at.golden,
        budget=at.budget,
        smoke=row["evidence"][CANDIDATE],
        live=at.registry.live(at.app, at.platform.name) is not None,
        progress=at.progress,
    )


def _main(at: _Deploy, row: Row) -> Row:
    """The same package on main, smoke-tested there and live; main is set back to what it ran before if anything stops this."""
    try:
        row, revision, urls = _deployed(at, row, None)
        row = at.note(row, revision=revision, urls=urls)
        smoke = at.smoke(None)
        row = at.registry.advance(
            row["id"], "live", lease=at.lease, main=smoke, set_back=None, rolled_back=None, probation=_probation(at)
        )
    except BaseException as error:  # Ctrl-C too: what main runs now is not proven
        _try_set_back(at, error)
        raise
    at.progress(f"release {row['id']} of {at.app!r} is live as revision {row['revision']}")
    return row


def _clear_candidate(at: _Deploy, row: Row) -> Row:
    """Take the candidate's name away once its release has ended: runners that it keeps warm would go on costing.

    What can not be done now is no fault of the release: reconcile names it, and gc does it.
    """
    try:
        found = at.platform.alias(at.app, CANDIDATE)
        if found is not None and found.revision == row["candidate_revision"]:
            at.platform.delete(at.app, CANDIDATE)
    except PlatformError as trouble:
        at.progress(f"the candidate of {at.app!r} still answers, lorasmith gc takes it away: {trouble}")
    return row


def _probation(at: _Deploy) -> dict[str, Any]:
    """From when to when the release is watched, and what it is held to."""
    since = at.registry.clock()
    until = since + timedelta(minutes=at.budget.watch_minutes)
    return {"state": "watched", "since": since.isoformat(), "until": until.isoformat(), "budget": asdict(at.budget)}


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
    _require_unchanged(at)
    deployed = at.platform.deploy(at.package, app=at.app, environment=environment)
    return row, deployed.revision, deployed.urls


def _require_not_failing(at: _Deploy, row: Row) -> None:
    """Finish what a run that was killed while it set main back had begun: the package failed, and is not tried once more."""
    if reason := row["evidence"].get("failing"):
        set_back(at, row)
        raise SmokeFailed(f"{reason} (found by an earlier run, which did not end)")


def _try_set_back(at: _Deploy, error: BaseException) -> None:
    """Set main back while another error is on its way out; what can not be done now stays pending for the next run."""
    row = at.row()
    if row is None or row["state"] != "candidate":
        return
    try:
        set_back(at, at.note(row, failing=str(error)) if isinstance(error, ENDING) else row)
    except PlatformError as trouble:
        at.progress(f"main of {at.app!r} could not be set back, the next run tries again: {trouble}")
