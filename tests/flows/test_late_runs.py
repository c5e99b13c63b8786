"""Scheduled runs that piled up: the last of each deployment is enough."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from flows.orchestration.late_runs import Late, superseded

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


def late(number: int, deployment: int, minutes: float) -> Late:
    return Late(id=UUID(int=number), name=f"run-{number}", deployment=UUID(int=deployment), due=NOON - timedelta(minutes=minutes))


def test_only_the_last_of_each_deployment_runs() -> None:
    runs = [late(1, 1, 30), late(2, 1, 15), late(3, 1, 0), late(4, 2, 5), late(5, 3, 4), late(6, 3, 8)]
    assert [run.name for run in superseded(runs)] == ["run-1", "run-2", "run-6"]


def test_one_that_is_late_alone_runs() -> None:
    assert superseded([late(1, 1, 600)]) == []
    assert superseded([]) == []
