"""license-report: is what is live still allowed? One report over every live release, and a mark on each whose verdict changed."""

import json
from collections.abc import Mapping
from typing import Any

from prefect import flow, task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE
from prefect.events import emit_event

from flows import rights
from flows.home import home
from flows.job import Job
from flows.records import write_json
from flows.targets import Target, each, job_of, live_releases


@task(name="check-again", cache_policy=NO_CACHE)
def check_again(job: Job, release: Mapping[str, Any] | None) -> dict[str, Any]:
    """Today's verdict beside the one that the live release carries."""
    verdict = rights.verdict_of(job)
    kept = rights.keep_report(verdict)
    return {
        "app": job.serving.app,
        "base": verdict["base"],
        "verdict": verdict["verdict"],
        "changed": release is not None and release["verdict_hash"] != verdict["hash"],
        "as_of": verdict["as_of"],
        "report": str(kept.path / "report.html"),
    }


@flow(name="license-report")
def license_report(job: Job | None = None, target: Target | None = None) -> list[dict[str, Any]]:
    """The given job, or every live release: verdict now, whether it changed since the release, and where the report is."""
    if job:
        rows = [check_again(job, None)]
    else:
        rows = each(live_releases(target), lambda release: check_again(job_of(release), release))
    for row in rows:
        if row["changed"]:
            emit_event("lorasmith.release.re-review", resource={"prefect.resource.id": f"lorasmith.app.{row['app']}"}, payload=row)
    create_markdown_artifact(as_markdown(rows), key="license-report-live")
    write_json(home() / "license-report.json", {"releases": json.loads(json.dumps(rows))})
    return rows


def as_markdown(rows: list[dict[str, Any]]) -> str:
    """One line a release; what changed comes first."""
    if not rows:
        return "No live release: nothing to check.\n"
    lines = ["| app | base | verdict | changed since release | as of |", "|---|---|---|---|---|"]
    for row in sorted(rows, key=lambda row: (not row["changed"], row["app"])):
        changed = "**yes: review again**" if row["changed"] else "no"
        lines.append(f"| {row['app']} | {row['base']} | {row['verdict']} | {changed} | {row['as_of']} |")
    return "\n".join(lines) + "\n"
