"""Scheduled runs that piled up while no worker was there: only the last of each deployment runs, the others are dropped.

Prefect runs them all, one after the other. A run that somebody asked for is never dropped.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import TYPE_CHECKING
from uuid import UUID

from flows.events import emit

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient

MOST = 200  # what Prefect gives in one answer; the next look has the rest


@dataclass(frozen=True, kw_only=True, slots=True)
class Late:
    """A run of a schedule that should have begun at `due`."""

    id: UUID
    name: str
    deployment: UUID
    due: datetime


def superseded(runs: Iterable[Late]) -> list[Late]:
    """All but the last of each deployment, the oldest first."""
    ordered = sorted(runs, key=lambda run: (run.deployment, run.due))
    return [run for _, late in groupby(ordered, key=lambda run: run.deployment) for run in list(late)[:-1]]


def drop_superseded(client: "SyncPrefectClient") -> list[Late]:
    """Cancel them, with the reason in their state; one event for all."""
    from prefect.states import Cancelled

    dropped = superseded(late_runs(client))
    for run in dropped:
        client.set_flow_run_state(run.id, Cancelled(message="too late: a later run of this schedule waits"), force=True)
    if dropped:
        emit(
            "lorasmith.run.dropped",
            "lorasmith.schedules",
            {"runs": [{"run": run.name, "due": run.due.isoformat()} for run in dropped]},
        )
    return dropped


def late_runs(client: "SyncPrefectClient") -> list[Late]:
    """Of schedules, in state Late: the server says so fifteen seconds after their time."""
    from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterState, FlowRunFilterStateName
    from prefect.client.schemas.sorting import FlowRunSort

    late = FlowRunFilter(state=FlowRunFilterState(name=FlowRunFilterStateName(any_=["Late"])))
    return [
        Late(id=run.id, name=run.name, deployment=run.deployment_id, due=run.expected_start_time)
        for run in client.read_flow_runs(flow_run_filter=late, sort=FlowRunSort.EXPECTED_START_TIME_ASC, limit=MOST)
        if run.auto_scheduled and run.deployment_id and run.expected_start_time
    ]
