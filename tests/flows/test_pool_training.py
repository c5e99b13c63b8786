"""What a publish makes of the run that trains for it."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from prefect.client.schemas.objects import FlowRun
from prefect.states import Cancelled, Completed, Crashed, Failed, Running, Scheduled, State

from flows.errors import StepFailed, StepKilled
from flows.machines.pool_training import (
    CODE,
    LINE,
    PATIENCE,
    has_ended,
    hint,
    next_attempt,
    require_completed,
    though_killed,
    unended,
)
from flows.orchestration.resuming import LIMIT


def run(state: State, labels: dict[str, Any] | None = None) -> FlowRun:
    return FlowRun(flow_id=uuid4(), name="toy", state=state, labels=labels or {}, work_pool_name="gpu")


@pytest.mark.parametrize(
    ("keys", "attempt"),
    [
        ([], 1),
        (["training-0f-1"], 2),
        (["training-0f-2", "training-0f-10"], 11),  # 1 was deleted: numbers are not used again
        ([None, "by hand"], 1),
    ],
)
def test_an_attempt_is_never_that_of_a_run_which_has_ended(keys: list[str | None], attempt: int) -> None:
    assert next_attempt(iter(keys)) == attempt


@pytest.mark.parametrize(
    ("state", "labels", "says", "code"),
    [
        (Failed(message="Flow run encountered an exception"), {LINE: "no room to write", CODE: 2}, "no room to write", 2),
        (Failed(message="Flow could not be retrieved"), {}, "ended as Failed (Flow could not be retrieved)", 1),
        (Crashed(message="killed"), {LINE: "of an attempt before", CODE: 3}, "ended as Crashed (killed)", 1),
        (Cancelled(), {}, "was cancelled; run again", 130),
    ],
)
def test_how_a_training_ended_is_the_publishs_line_and_code(state: State, labels: dict[str, Any], says: str, code: int) -> None:
    with pytest.raises(StepFailed) as error:
        require_completed(run(state, labels))
    assert says in str(error.value)
    assert error.value.exit_code == code


def test_one_that_completed_has_nothing_to_say() -> None:
    require_completed(run(Completed()))


NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("state", "ended"),
    [
        (Running(), False),
        (Completed(), True),
        (Failed(), True),
        (Crashed(timestamp=NOW - PATIENCE / 2), False),  # scheduled again any moment
        (Crashed(timestamp=NOW - PATIENCE - timedelta(seconds=1)), True),
    ],
)
def test_a_crash_is_not_the_end_at_once(state: State, ended: bool) -> None:
    assert has_ended(run(state), NOW) is ended


def test_a_training_that_may_be_resumed_is_not_begun_beside_it() -> None:
    """It stands behind one that goes on, and keeps a new one from being made until it is over."""
    crashed, lost = run(Crashed(timestamp=NOW)), run(Crashed(timestamp=NOW - 2 * PATIENCE))
    under_way, over = run(Running()), run(Completed())
    assert unended([over, lost, crashed, under_way], NOW) == [under_way, crashed]
    assert unended([over, lost, crashed], NOW + 2 * PATIENCE) == []


@pytest.mark.parametrize(("kills", "holds"), [(0, True), (1, True), (LIMIT, True), (LIMIT + 1, False)])
def test_a_trainer_that_is_killed_is_started_again_a_few_times(kills: int, holds: bool) -> None:
    ends = iter([StepKilled("it said nothing", exit_code=1)] * kills + [None])

    def step() -> str:
        if (end := next(ends)) is not None:
            raise end
        return "an adapter"

    if holds:
        assert though_killed(step) == "an adapter"
        return
    with pytest.raises(StepKilled):
        though_killed(step)
    assert list(ends) == [None], "it was started once and LIMIT times again"


def test_a_trainer_that_said_why_it_ended_is_not_started_again() -> None:
    tries = []

    def step() -> None:
        tries.append("begun")
        raise StepFailed("no room to write", exit_code=2)

    with pytest.raises(StepFailed, match="no room"):
        though_killed(step)
    assert tries == ["begun"]


def test_a_run_that_nobody_takes_says_what_takes_it() -> None:
    late = run(Scheduled(name="Late"))
    assert "lorasmith worker up --pool gpu" in hint("Late", late)
    assert hint("Running", late) == ""
