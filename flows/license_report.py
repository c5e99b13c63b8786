"""license-report: is what is live still allowed? Live releases and bases that are waited for, and a mark where terms changed."""

from typing import Any

from prefect import flow, task
from prefect.cache_policies import NO_CACHE

from flows import views
from flows.errors import FlowError
from flows.job import Job
from flows.licensing import license_files, recheck, rights
from flows.targets import Target


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
    """The given job, or every live release and each of `bases`: verdict now, what changed since it was accepted, and the report.

    Without parameters also the bases that were asked about before. Files in HOME/reports/licenses and an artifact each time;
    events only where the report says something else than the last one. FlowError at the end where something was not checked.
    """
    if job:
        found = license_files.checked_rows([check_now(job)], {})
    else:
        found = license_files.checked(target, bases or [], publisher or {})
        license_files.keep(found)
    views.page(license_files.page(found), key="license-report-live", description="Whether what is live is still allowed")
    if found.faults:
        raise FlowError(
            f"{len(found.faults)} of {len(found.rows) + len(found.faults)} could not be checked: {'; '.join(found.faults)}"
        )
    return [dict(row) for row in found.rows]
