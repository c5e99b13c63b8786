"""What a person sees while a step runs: how far, how fast, and how long it still takes; in a log as whole lines."""

import io
from collections.abc import Iterator

import pytest
from rich.console import Console
from rich.progress import Progress, TextColumn, TimeRemainingColumn

from flows.progress import LineBar, RichBar, duration


class Clock:
    """Moves when it is told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def out() -> Iterator[io.StringIO]:
    with io.StringIO() as stream:
        yield stream


def lines(out: io.StringIO, steps: list[tuple[float, float, float, str]]) -> list[str]:
    """What a plain log shows of updates (seconds, done, total, note)."""
    clock = Clock()
    bar = LineBar(Console(file=out, soft_wrap=True), "train", clock)
    for clock.now, done, total, note in steps:
        bar.update(done, total, note)
    return out.getvalue().splitlines()


def test_a_line_a_tenth_says_how_long_it_still_takes(out: io.StringIO) -> None:
    shown = lines(out, [(0.0, 0, 100, "(train)"), *((float(step), float(step), 100, "(train) loss 0.5") for step in range(1, 101))])
    assert len(shown) == 10
    assert shown[0] == "  train (train) loss 0.5 10%, 1:30 left"
    assert shown[5] == "  train (train) loss 0.5 60%, 0:40 left"
    assert shown[-1] == "  train (train) loss 0.5 100%"


def test_a_run_that_goes_on_is_judged_by_its_own_speed(out: io.StringIO) -> None:
    shown = lines(out, [(0.0, 0, 100, "(train)"), (5.0, 50, 100, "(train)"), (15.0, 60, 100, "(train)")])
    assert shown[0].startswith("  train (train) 50%")
    assert shown[1] == "  train (train) 60%, 0:40 left"


def test_the_stage_before_does_not_count(out: io.StringIO) -> None:
    encoded = [(0.0, 1, 9, "(encode)"), (90.0, 9, 9, "(encode)")]
    shown = lines(out, [*encoded, (91.0, 0, 100, "(train)"), (92.0, 1, 100, "(train)"), (101.0, 10, 100, "(train)")])
    assert shown[-1] == "  train (train) 10%, 1:30 left"


def test_nothing_is_promised_where_nothing_moves(out: io.StringIO) -> None:
    assert lines(out, [(0.0, 0, 0, ""), (3.0, 0, 0, "starts a runner")]) == ["  train starts a runner"]


@pytest.mark.parametrize(("seconds", "said"), [(0.4, "0:00"), (65, "1:05"), (3600 * 2 + 61, "2:01:01")])
def test_durations_are_told_as_clocks_do(seconds: float, said: str) -> None:
    assert duration(seconds) == said


def test_another_stage_has_a_clock_of_its_own(out: io.StringIO) -> None:
    clock = Clock()
    columns = (TextColumn("{task.description}"), TimeRemainingColumn())
    with Progress(*columns, console=Console(file=out), auto_refresh=False, get_time=clock) as progress:
        bar = RichBar(progress, "train")
        for clock.now in (1.0, 2.0, 3.0):
            bar.update(clock.now * 30, 100, "(encode)")
        bar.update(0, 100, "(train)")
        task = progress.tasks[0]
        assert (task.completed, task.description, task.time_remaining) == (0, "train (train)", None)
        clock.now = 4.0
        bar.update(1, 100, "(train)")
        clock.now = 5.0
        bar.update(2, 100, "(train)")
        assert progress.tasks[0].time_remaining == 98
