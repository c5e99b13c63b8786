"""SIGINT and SIGTERM: an Interrupted error at once, or a flag where a step should first be finished."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from training.errors import Interrupted

_WATCHED = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def raising() -> Iterator[None]:
    """Within, a signal raises Interrupted."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise Interrupted(f"stopped by {signal.Signals(number).name}: run again and finished work is found")

    with _handled_by(stop):
        yield


@contextmanager
def noted() -> Iterator[Callable[[], bool]]:
    """Within, a signal only makes the yielded function answer True."""
    seen: list[int] = []
    with _handled_by(lambda number, frame: seen.append(number)):
        yield lambda: bool(seen)


@contextmanager
def _handled_by(handler: Callable[[int, FrameType | None], object]) -> Iterator[None]:
    before = {number: signal.signal(number, handler) for number in _WATCHED}
    try:
        yield
    finally:
        for number, former in before.items():
            signal.signal(number, former)
