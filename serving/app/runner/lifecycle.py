"""The life of a runner as its requests see it: ready, draining after SIGTERM, or lost with its GPU; and who is in flight."""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from ..errors import Draining, RequestFailure

_LAST_WORDS = 2.0  # seconds of the grace period kept for answers to what is not done, and for teardown()


def _future() -> "asyncio.Future[RequestFailure]":
    return asyncio.get_running_loop().create_future()


@dataclass(frozen=True, slots=True, eq=False)
class Flight:
    """A request at work. `ended` holds what it must be answered with at once, whatever is done of it."""

    ended: "asyncio.Future[RequestFailure]" = field(default_factory=_future)

    def end(self, failure: RequestFailure) -> None:
        """Answer this request with `failure`."""
        if not self.ended.done():
            self.ended.set_result(failure)

    def end_in(self, seconds: float, failure: RequestFailure) -> None:
        """The same in a while; from any thread, and from a signal handler."""
        loop = self.ended.get_loop()
        loop.call_soon_threadsafe(loop.call_later, seconds, self.end, failure)


class Lifecycle:
    """Lets requests in while the runner is well, and ends those that are still here when its time is up.

    grace: seconds between SIGTERM and SIGKILL, as the package sets it. The last of them are kept for the answers.
    """

    def __init__(self, *, grace: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._grace, self._clock = grace, clock
        self._flights: set[Flight] = set()
        self._answer_by: float | None = None
        self._lost = False

    @property
    def in_flight(self) -> int:
        """How many requests are at work."""
        return len(self._flights)

    @property
    def draining(self) -> bool:
        """Whether the runner ends: what is here is finished, nothing new is let in."""
        return self._answer_by is not None

    @property
    def lost(self) -> bool:
        """Whether the GPU can not be used any more."""
        return self._lost

    @property
    def seconds_left(self) -> float:
        """How long what is in flight may still take; infinite while the runner is not draining."""
        return float("inf") if self._answer_by is None else max(0.0, self._answer_by - self._clock())

    @contextmanager
    def request(self) -> Iterator[Flight]:
        """Count a request as in flight. Raises Draining where another runner must do it: this one ends, or has lost its GPU."""
        flight = Flight()
        self._flights.add(flight)  # before the look at the flag: a signal between the two then finds it
        try:
            if self.draining or self._lost:
                raise Draining
            yield flight
        finally:
            self._flights.discard(flight)

    def drain(self) -> None:
        """Let nothing new in, and answer at the last moment what is not done then. For handle_exit(): safe in a signal handler."""
        if self._answer_by is not None:
            return
        seconds = self._grace - min(_LAST_WORDS, self._grace / 4)
        self._answer_by = self._clock() + seconds
        for flight in [*self._flights]:
            flight.end_in(seconds, Draining())

    def lose(self) -> bool:
        """The CUDA context is lost: nothing new is let in. True for the first to say so."""
        first, self._lost = not self._lost, True
        return first
