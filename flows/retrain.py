"""retrain-and-redeploy: a look at live releases; what has not changed costs nothing, what has is published or judged."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from prefect import flow
from prefect.context import FlowRunContext

from flows import views
from flows.approvals.asking import listed_price
from flows.errors import FlowError, JobError
from flows.events import emit
from flows.job import Job
from flows.progress import say
from flows.publish import published
from flows.retraining.decision import Decision, as_json, keep, markdown
from flows.retraining.looking import Asked, decision, look
from flows.retraining.policy import lateness
from flows.targets import Target, job_of, live_releases


@flow(name="retrain-and-redeploy")
def retrain(
    job: Job | None = None,
    target: Target | None = None,
    app: str | None = None,
    folder: str | None = None,
    stale_minutes: float | None = None,
) -> list[dict[str, Any]]:
    """The decision about the given job (on `target`, or the sandbox), or about every live release; on `target`, or on both.

    app, folder: only this app, only apps whose dataset lies in this folder (or is hf://owner/name), as a dataset.updated event
    names them; a folder that is nobody's dataset is no fault. stale_minutes: in place of the jobs' retrain.stale_minutes.
    Raises FlowError at the end where an app could not be looked at or published; a gate that keeps the champion is no fault.
    """
    found, faults = [], []
    for asked in chosen(job, target, app, folder):
        try:
            made = too_late(asked, stale_minutes) or look(asked, publish_here)
        except Exception as error:  # one app keeps no other from its look
            faults.append(error)
            made = decision(asked, "failed", " ".join(str(error).split()))
        found.append(tell(made))
    if faults:
        raise end(faults, len(found))
    return found


def chosen(job: Job | None, target: Target | None, app: str | None, folder: str | None) -> Iterator[Asked]:
    """What is looked at; JobError for an event that names neither app nor folder, and would mean everything."""
    if job:
        yield Asked(app=job.serving.app, target=target or "sandbox", job=job)
        return
    if (app, folder).count(None) < 2 and not (app or folder):
        raise JobError("dataset.updated: its payload names neither folder nor app: send one, as `lorasmith data watch` does")
    for release in live_releases(target):
        if app in (None, "", release["app"]) and (not folder or draws_on(release, folder)):
            yield Asked(app=release["app"], target=release["target"])


def draws_on(release: Mapping[str, Any], folder: str) -> bool:
    """Whether a folder, or what lies in it, is what the release's job trains on or is judged by; or a Hub dataset its dataset."""
    dataset = job_of(release).dataset
    if folder.startswith("hf://"):
        return dataset.repo is not None and dataset.repo == folder.removeprefix("hf://").partition("@")[0]
    places = [place for place in (dataset.path, dataset.held_out) if isinstance(place, str) and Path(place).is_absolute()]
    return any(Path(place).resolve().is_relative_to(Path(folder).resolve()) for place in places)


def too_late(asked: Asked, stale_minutes: float | None) -> Decision | None:
    """The decision to drop a scheduled run that waited for longer than it may: of those that piled up, the newest is enough.

    A run that a person or an event started is never too late, and one that is resumed started when it first did.
    """
    context = FlowRunContext.get()
    run = context.flow_run if context else None
    if run is None or not run.auto_scheduled:
        return None
    if stale_minutes is None:
        stale_minutes = (asked.job or job_of({"app": asked.app, "target": asked.target})).retrain.stale_minutes
    late = lateness(run.expected_start_time, run.start_time or datetime.now(UTC), stale_minutes)
    if late is None:
        return None
    said = f"Planned for {run.expected_start_time:%Y-%m-%d %H:%M} UTC, it started {late.total_seconds() / 3600:.1f} hours later"
    return decision(asked, "stale", f"{said}; retrain.stale_minutes allows {stale_minutes:g}.")


def publish_here(job: Job, target: Target) -> dict[str, Any]:
    """Publish within this run, which has the app's turn."""
    before = listed_price(job.serving.app, target)
    return published(job, target) | {"price": {"before": before, "after": listed_price(job.serving.app, target)}}


def tell(made: Decision) -> dict[str, Any]:
    """Keep the record, show it in Prefect, send the event, say the line."""
    context = FlowRunContext.get()
    made = replace(made, run=context.flow_run.name) if context and context.flow_run else made
    path = keep(made)
    say(f"{'!' if made.outcome == 'failed' else '✓'} decision    {made.line}")
    record = as_json(made) | {"path": str(path)}
    if context:
        shown = markdown(replace(made, links={}))  # the files of the record are on this disk, where no page can open them
        views.page(shown, key=f"decision-{made.app}", description=f"{made.target}: {made.outcome}")
    emit(f"lorasmith.retrain.{made.outcome.replace(' ', '-')}", f"lorasmith.app.{made.target}.{made.app}", record)
    return record


def end(faults: list[Exception], looked_at: int) -> Exception:
    """The only fault as it is, with its exit code; of several, one line."""
    if looked_at == 1:
        return faults[0]
    return FlowError(f"{len(faults)} of {looked_at} apps: {'; '.join(str(fault) for fault in faults)}")
