"""One look at one app: has anything changed that matters, may it cost what it will, and what came of it."""

import json
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from flows.errors import FlowError, GateRejected, NotApproved
from flows.home import home
from flows.job import Job
from flows.licensing.recheck import require_reviewed
from flows.money import spending
from flows.money.training_cost import Estimate, deploy_estimate, training_estimate
from flows.progress import say
from flows.retraining.app_turn import app_turn
from flows.retraining.decision import Decision, Outcome, judgement, newest
from flows.retraining.policy import Change, Snapshot, changes, named, needs_training, over_budget
from flows.retraining.snapshots import Present, at_present, licences_now, on_record
from flows.store import digest
from flows.targets import Target, job_of, registry_url

Publish = Callable[[Job, Target], dict[str, Any]]
LOOKS_AGAIN = "on schedule, or when a dataset.updated event names its dataset"
NEXT: Mapping[Outcome, str] = {
    "nothing to do": f"nothing; the next look is {LOOKS_AGAIN}.",
    "stale": "the next scheduled run looks.",
    "over budget": "raise retrain.monthly_budget_usd in the job and publish it once, or wait for the next month.",
    "kept the champion": "the champion stays live. The same pictures and recipe are not tried again; other ones are.",
    "not approved": "what is live stays as it is until somebody says yes; the next look finds the answer.",
    "promoted": "it is on probation and goes back by itself if it fails its callers; `lorasmith rollback` goes back by hand.",
    "failed": "what is live stays as it is. Mend what the line above says; `lorasmith retrain` looks again.",
}

CAME_TO_NOTHING = {"kept the champion": "the champion was kept", "nothing to do": "came to what is live"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """What is looked at: a live release with its stored job (job None), or a job that was given, with or without a release."""

    app: str
    target: Target
    job: Job | None = None


def look(asked: Asked, publish: Publish) -> Decision:
    """Wait for the app's turn, look, and `publish` where that is worth it; whatever else goes wrong is raised.

    What was published while this one waited is found, so that two looks at once do one training.
    """
    with app_turn(asked.target, asked.app, progress=say):
        release = live(asked)
        if release:
            require_reviewed(release)
        elif asked.job is None:
            return decision(asked, "nothing to do", f"{asked.app} is not live on {asked.target} any more.")
        job = asked.job or job_of(release or {})
        licences = licences_now(job)
        now = at_present(job, licences)
        before = on_record(release, now.dataset) if release else None
        changed = changes(before, now.snapshot)
        seen = {"live": release["package"] if release else None, "seen": digest(asdict(now.snapshot)), "changes": changed}
        if not changed:
            return decision(asked, "nothing to do", "Nothing has changed since the release that is live.", **seen)
        if settled := judged_before(asked, seen):
            return decision(asked, "nothing to do", settled, **seen)
        if release and before is None:
            require_comparable(job, release)
        money = reckoned(job, asked.target, now, changed)
        if fault := over_budget(
            job.retrain.monthly_budget_usd,
            spent=Decimal(money["spent_usd"]),
            unknown=money["unknown"],
            forecast=None if money["forecast_usd"] is None else Decimal(money["forecast_usd"]),
            why="; ".join(money["basis"]),
        ):
            return decision(asked, "over budget", f"{why(changed, before, release)}; not started: {fault}.", **seen, money=money)
        return carried_out(asked, job, publish, why(changed, before, release), release, **seen, money=money)


def carried_out(asked: Asked, job: Job, publish: Publish, reason: str, release: Mapping[str, Any] | None, **known: Any) -> Decision:
    """The decision that a publish ends with; a fault that is no decision is raised."""
    say(f"  retrain     {asked.app} ({asked.target}): {reason}")
    try:
        run = publish(job, asked.target)
    except GateRejected as rejected:
        if rejected.bundle is None:
            raise
        evaluation = judgement(read(rejected.bundle / "evaluation.json"))
        links = {"samples": str(rejected.bundle / "samples" / "grid.png"), "evaluation": str(rejected.bundle / "evaluation.json")}
        made = decision(asked, "kept the champion", f"{reason}; {rejected}.", **known, judged=evaluation, links=links)
        return with_costs(made, job)
    except NotApproved as refused:
        return with_costs(decision(asked, "not approved", f"{reason}; {refused}.", **known), job)
    same = release is not None and release["package"] == run["package"]
    said = f"{reason}; the package that came of it is the one that is live" if same else reason
    made = decision(asked, "nothing to do" if same else "promoted", f"{said}.", **known)
    return with_costs(replace(made, judged=judged_of(run), links=links_of(run), seconds=run["seconds"], price=run["price"]), job)


def decision(asked: Asked, outcome: Outcome, reason: str, **known: Any) -> Decision:
    at = datetime.now(UTC).isoformat(timespec="microseconds")
    return Decision(app=asked.app, target=asked.target, at=at, outcome=outcome, reason=reason, next=NEXT[outcome], **known)


def live(asked: Asked) -> dict[str, Any] | None:
    from serving.release.registry import Registry

    with closing(Registry(registry_url())) as registry:
        return registry.live(asked.app, asked.target)


def judged_before(asked: Asked, seen: Mapping[str, Any]) -> str | None:
    """When the very same was published and came to nothing new; None where it was not, or where another release is live now."""
    for record in newest(asked.app, asked.target):
        if (record["seen"], record["live"]) == (seen["seen"], seen["live"]) and record["outcome"] in CAME_TO_NOTHING:
            came = CAME_TO_NOTHING[record["outcome"]]
            return f"What has changed was judged on {record['at'][:10]}, and {came} ({Path(record['path']).stem})."
    return None


def require_comparable(job: Job, release: Mapping[str, Any]) -> None:
    """FlowError where what is live can not be compared with, and has to be: before a training is paid for."""
    if job.gate.beat_champion:
        where, package = f"{release['app']} on {release['target']}", release["package"][:12]
        raise FlowError(
            f"{where}: what is live (package {package}) is not on this disk, so nothing can be compared with it: "
            "retrain where it was made, or set gate.beat_champion: false and publish once"
        )


def why(changed: tuple[Change, ...], before: Snapshot | None, release: Mapping[str, Any] | None) -> str:
    if release is None:
        return "Nothing of this app is live yet"
    return f"Changed: {named(changed)}" if before else "What the live release was made from is not on this disk any more"


def reckoned(job: Job, target: Target, now: Present, changed: tuple[Change, ...]) -> dict[str, Any]:
    """What this month has cost, and what the retrain may cost by forecast."""
    moment = datetime.now(UTC)
    month, app = spending.month_of(moment), job.serving.app
    found = spending.spent(home(), month, app=app)
    trains = needs_training(changed) and not now.trained
    training = training_estimate(job, target, moment) if trains else Estimate(usd_nano=0, basis="nothing has to be trained")
    parts = (training, deploy_estimate(job, target))
    known = [part.usd_nano for part in parts if part.usd_nano is not None]
    cap = job.retrain.monthly_budget_usd
    return {
        "month": month,
        "cap_usd": None if cap is None else str(cap),
        "spent_usd": spent_on(found, target),
        "unknown": found["unknown"],
        "forecast_usd": spending.usd(sum(known)) if len(known) == len(parts) else None,
        "basis": [part.basis for part in parts],
        "this_run_usd": None,
        "trained_seconds": found["training"]["seconds"],
    }


def spent_on(found: Mapping[str, Any], target: Target) -> str:
    """A month's sum; on the sandbox its ledger counts too, as the platform's bill would."""
    played = Decimal(found["sandbox"]["usd"]) if target == "sandbox" else Decimal(0)
    return spending.usd(spending.nano(Decimal(found["usd"]) + played))


def with_costs(made: Decision, job: Job) -> Decision:
    """The record with what the run has cost, and how long it trained and evaluated: the month's sums now, less those before."""
    after = spending.spent(home(), made.money["month"], app=job.serving.app)
    target: Target = "fal" if made.target == "fal" else "sandbox"
    spent = Decimal(spent_on(after, target)) - Decimal(made.money["spent_usd"])
    unknown = after["unknown"] - made.money["unknown"]
    told = {
        "this_run_usd": None if unknown else spending.usd(spending.nano(spent)),
        "spent_usd": spent_on(after, target),
        "unknown": after["unknown"],
        "trained_seconds": str(Decimal(after["training"]["seconds"]) - Decimal(made.money["trained_seconds"])),
    }
    return replace(made, money={**made.money, **told})


def judged_of(run: Mapping[str, Any]) -> dict[str, Any]:
    return judgement(read(Path(run["bundle"]) / "evaluation.json"))


def links_of(run: Mapping[str, Any]) -> dict[str, str]:
    page = {"page": str(Path(run["listing"]) / "index.html"), "samples": run["grid"], "license report": run["license_report"]}
    return {"endpoint": run["urls"]["run"], "playground": run["urls"].get("playground", run["urls"]["run"]), **page}


def read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found
