"""Which runs are scheduled again after a crash."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from flows.orchestration.resuming import LIMIT, Ended, may_go_on

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


def run(*, ago: float, crashes: int = 1, stuck: bool = False) -> Ended:
    return Ended(id=UUID(int=1), name="a-run", seen=NOW - timedelta(seconds=ago), crashes=crashes, stuck=stuck)


@pytest.mark.parametrize(
    ("seen", "goes_on"),
    [
        (run(ago=1), True),
        (run(ago=1, crashes=LIMIT), True),
        (run(ago=1, crashes=LIMIT + 1), False),
        (run(ago=23 * 3600), True),
        (run(ago=25 * 3600), False),  # a server that comes back after a week starts nothing by itself
        (run(ago=-5), False),  # the clock was set back: the next look decides
        (run(ago=60, crashes=0, stuck=True), False),  # a worker is about to start it
        (run(ago=301, crashes=0, stuck=True), True),
        (run(ago=301, crashes=LIMIT + 1, stuck=True), False),
    ],
)
def test_a_run_goes_on(seen: Ended, goes_on: bool) -> None:
    assert bool(may_go_on([seen], NOW)) is goes_on


def test_a_run_whose_process_lives_is_left_to_its_worker() -> None:
    assert may_go_on([run(ago=1)], NOW, held={str(UUID(int=1))}) == []
    assert may_go_on([run(ago=1)], NOW, held={str(UUID(int=2))}) == [run(ago=1)]
