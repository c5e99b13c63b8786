"""license-report: is what is live still allowed? Live releases and bases that are waited for, and a mark where terms changed."""

from typing import Any

from prefect import flow, task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE
from prefect.events import emit_event

from flows import recheck, rights
from flows.drift_text import as_markdown
from flows.errors import FlowError
from flows.home import home
from flows.job import Job
from flows.records import write_json
from flows.targets import Target

RE_REVIEW = "lorasmith.release.re-review"


@task(name="check-now", cache_policy=NO_CACHE)
def check_now(job: Job) -> dict[str, Any]:
    """Today's verdict of a job, with nothing to hold it against."""
    verdict = rights.verdict_of(job)
    kept = rights.keep_report(verdict)
    return {
        "app": job.serving.app,
        "target": None,
        **recheck.as_row(verdict, kept, changes=[], state="unchanged"),
        "waits_for": [],
    }


@flow(name="license-report")
def license_report(
    job: Job | None = None,
    target: Target | None = None,
    bases: list[str] | None = None,
    publisher: dict[str, Any] | None = None,
) -> list[dict[str, Any]]:
    """The given job, or every live release and each of `bases`: verdict now, what changed since it was accepted, and the report."""
    asked = [("", check_now(job))] if job else list(recheck.every(target, bases or [], publisher or {}))
    rows = [row for _, row in asked if isinstance(row, dict)]
    faults = [f"{name}: {error}" for name, error in asked if not isinstance(error, dict)]
    for row in rows:
        if row["state"] == "re-review":
            name = row["app"] or row["base"]
            emit_event(RE_REVIEW, resource={"prefect.resource.id": f"lorasmith.app.{name}"}, payload=row)
    create_markdown_artifact(as_markdown(rows), key="license-report-live")
    write_json(home() / "license-report.json", {"releases": rows, "faults": faults})
    if faults:
        raise FlowError(f"{len(faults)} of {len(asked)} could not be checked: {'; '.join(faults)}")
    return rows
