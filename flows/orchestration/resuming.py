"""Runs that crashed are scheduled again, a few times: what was done is found in the store, what was begun goes on.

Only runs of deployments with the tag `resume`. A run that failed said why, and one that was cancelled was meant to end: they stay.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final
from uuid import UUID

from flows.events import emit
from flows.orchestration.silence import LIVES, WAITS, pause_before, states_of, suspend_again

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.objects import FlowRun

TAG: Final = "resume"
LIMIT: Final = 3
OLD: Final = timedelta(hours=24)  # what crashed longer ago is somebody else's decision
STUCK: Final = timedelta(minutes=5)  # Pending: taken by a worker, and its process never said anything
EVERY_SECONDS: Final = 5.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Ended:
    """A run that its process has left: when that was seen, how often it crashed before and now, and whether it ever began."""

    id: UUID
    name: str
    seen: datetime
    crashes: int
    stuck: bool = False


def may_go_on(runs: Iterable[Ended], now: datetime, held: Collection[str] = ()) -> list[Ended]:
    """Those that crashed in the last day, at most LIMIT times each; and those that a worker took and never started.

    held: ids of runs whose processes live, which their worker puts right (silence.py); here they would be there twice.
    """
    return [
        run
        for run in runs
        if str(run.id) not in held
        and timedelta() <= now - run.seen <= OLD
        and run.crashes <= LIMIT
        and (not run.stuck or now - run.seen >= STUCK)
    ]


def resume_crashed(client: "SyncPrefectClient", held: Collection[str] = ()) -> list[Ended]:
    """Schedule again what may go on; each is an event and a line of the run's own history."""
    resumed = []
    for run in may_go_on(ended_runs(client), datetime.now(UTC), held):
        if pause := pause_before(states_of(client, run.id)):
            suspend_again(client, run.id, pause)
            continue
        resumed.append(run)
        why = "never started" if run.stuck else f"crash {run.crashes}, {LIMIT} are resumed"
        schedule_again(client, run.id, f"{why}; what is done is found")
        emit(
            "lorasmith.run.resumed",
            f"lorasmith.run.{run.id}",
            {"run": run.name, "id": str(run.id), "crashes": run.crashes, "why": why},
        )
    return resumed


def schedule_again(client: "SyncPrefectClient", run: UUID, message: str) -> None:
    """As `prefect flow-run retry` does: the same run, for whatever worker is there."""
    from prefect.states import AwaitingRetry

    client.set_flow_run_state(run, AwaitingRetry(message=message), force=True)


def ended_runs(client: "SyncPrefectClient") -> list[Ended]:
    """What the server knows of crashed runs, and of those that wait for a process that may never come."""
    from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterState, FlowRunFilterStateType, FlowRunFilterTags
    from prefect.client.schemas.objects import StateType
    from prefect.client.schemas.sorting import FlowRunSort

    left = FlowRunFilter(
        tags=FlowRunFilterTags(all_=[TAG]),
        state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.CRASHED, StateType.PENDING])),
    )
    found = client.read_flow_runs(flow_run_filter=left, sort=FlowRunSort.EXPECTED_START_TIME_DESC, limit=100)
    quick = {pool.name for pool in client.read_work_pools() if pool.type == "process"} if found else set()
    return [ended(client, run) for run in found if run.deployment_id and is_left(run, quick)]


def is_left(run: "FlowRun", quick: Collection[str]) -> bool:
    """Crashed lately; or Pending in a pool of processes, which start at once (a container may wait for its image)."""
    assert run.state
    fresh = datetime.now(UTC) - run.state.timestamp <= OLD
    return fresh and (run.state.is_crashed() or run.work_pool_name in quick)


def ended(client: "SyncPrefectClient", run: "FlowRun") -> Ended:
    from prefect.client.schemas.objects import StateType

    assert run.state
    states = client.read_flow_run_states(run.id)
    crashes = sum(state.type == StateType.CRASHED for state in states) - sum(state.message in (LIVES, WAITS) for state in states)
    stuck = run.state.type == StateType.PENDING
    return Ended(id=run.id, name=run.name, seen=run.state.timestamp, crashes=crashes, stuck=stuck)
