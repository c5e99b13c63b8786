"""monitor: what the live releases answer, earn and cost, how near their papers are to their end, and what needs somebody."""

from collections.abc import Mapping
from typing import Any

from prefect import flow, task
from prefect.cache_policies import NO_CACHE

from flows import views
from flows.errors import FlowError
from flows.monitoring import history
from flows.monitoring.look import Look
from flows.monitoring.round import ask_platform, rounded
from flows.monitoring.telling import as_json, as_row
from flows.targets import Target


@task(name="look-at", cache_policy=NO_CACHE)
def look_at(release: Mapping[str, Any], drawn_today: int) -> Look:
    """One live release, asked as its owner."""
    return ask_platform(release, drawn_today)


@flow(name="monitor")
def monitor(target: Target | None = None) -> list[dict[str, Any]]:
    """One row a live release, with what it means by its job's thresholds. FlowError at the end where one could not be asked."""
    reports = rounded(target, look_at)
    views.table(
        [as_row(report) for report in reports] or [{"app": "no live release"}],
        key="monitor",
        description="Live releases, a row each",
    )
    text = (history.folder() / "report.md").read_text()
    views.page(text, key="monitor-report", description="What they answer, earn and cost, and what needs somebody")
    faults = [f"{one.look.app} on {one.look.target}: {one.look.fault}" for one in reports if one.look.fault]
    if faults:
        raise FlowError(f"{len(faults)} of {len(reports)} releases could not be asked: {'; '.join(faults)}")
    return [as_json(report) for report in reports]
