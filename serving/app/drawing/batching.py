"""Many requests, one model: pictures of equal shape share calls of the engine, which one thread makes, one after the other."""

import asyncio
import time
import traceback
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextvars import Context
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias, Union

from ..errors import Busy, GpuBroken, OutOfMemory, Stopped, TimedOut, failure_of
from ..runner import logs
from ..runner.contained import contained_call
from ..settings import Batching
from .engine import Engine, Shape, Wanted
from .turns import Place, Turns

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

Result: TypeAlias = Union["Picture", Exception]
_Call = tuple[float, float, int]  # when it began and ended, and its pictures

_SHAPES_REMEMBERED = 256


@dataclass(frozen=True, kw_only=True, slots=True)
class Drawn:
    """What was drawn for a request: a picture or an error for each wanted, in order.

    queue, inference: seconds until its first call and seconds of its calls; batch: pictures of the largest of them.
    """

    results: list[Result]
    queue: float
    inference: float
    batch: int


@dataclass(kw_only=True, slots=True, eq=False)
class _Place(Place):
    wanted: Wanted
    result: "asyncio.Future[Result]"
    calls: list[_Call] = field(default_factory=list)  # those that it was part of

    @property
    def left(self) -> bool:
        """Whether nobody waits for this picture any more. Read by the worker's thread too."""
        return self.result.done()


class Batcher:
    """Draws the pictures of all requests. All its state belongs to the event loop; only the engine runs in the worker's thread.

    in_flight: how many requests are at the app now, those here among them. While there are others, the first picture waits
    up to settings.window_ms for them.
    """

    def __init__(
        self,
        engine: Engine,
        settings: Batching,
        *,
        in_flight: Callable[[], int] = lambda: 0,
        worker: Executor | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.broken = False  # the CUDA context is lost: nothing can be drawn until the runner is replaced
        self._engine, self._settings, self._in_flight, self._clock = engine, settings, in_flight, clock
        self._worker = worker or ThreadPoolExecutor(1, thread_name_prefix="draw")
        self._turns: Turns[_Place] = Turns()
        self._running: list[_Place] = []
        self._requests = 0
        self._limits: dict[Shape, int] = {}
        self._serving: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()

    @property
    def waiting(self) -> int:
        """Pictures that wait for a call."""
        return len(self._turns)

    @property
    def running(self) -> int:
        """Pictures of the call that is made now."""
        return len(self._running)

    async def draw(self, shape: Shape, wanted: Sequence[Wanted], *, deadline: float, caller: str) -> Drawn:
        """Draw these pictures in as few calls as others leave room for; `deadline` on time.monotonic(), TimedOut for what is late.

        A picture that fails in company is drawn again alone, so that it spoils only itself. Cancelling takes the pictures out.
        Raises Busy if too many wait already, GpuBroken after the CUDA context was lost.
        """
        self._admit(caller, len(wanted))
        asked = self._clock()
        loop = asyncio.get_running_loop()
        places = [_Place(caller=caller, shape=shape, arrived=asked, wanted=one, result=loop.create_future()) for one in wanted]
        self._requests += 1
        try:
            for place in places:
                self._turns.append(place)
            self._wake()
            await asyncio.wait([place.result for place in places], timeout=max(0.0, deadline - asked))
        finally:
            self._requests -= 1
            self._leave(places)
        return _drawn(places, asked)

    def close(self) -> None:
        """Let the worker's thread go once its call has ended. For when all requests are answered."""
        self._worker.shutdown(wait=False, cancel_futures=True)

    def _admit(self, caller: str, pictures: int) -> None:
        """Let a request in whole or not at all: at most max_waiting together, each caller at most three times what is left free.

        So one caller fills three quarters, and a newcomer finds a place. Where nobody waits a request of any size is let in.
        """
        if self.broken:
            raise GpuBroken("the GPU of this runner failed")
        free = self._settings.max_waiting - len(self._turns) - pictures
        if self._turns and self._turns.held_by(caller) + pictures > 3 * free:
            raise Busy(f"{len(self._turns)} images wait here already: send the request again in a moment")

    def _wake(self) -> None:
        if self._serving is None or self._serving.done():
            # without the context of the request that happens to be first: the others' calls are made from here too
            self._serving = asyncio.create_task(self._serve(), context=Context())
        self._changed.set()

    async def _serve(self) -> None:
        """Make calls until nobody waits."""
        while self._turns:
            await self._gather()
            if call := self._turns.take(self._limit):
                await self._make(call)
                self._turns.end_turn(call[0].caller)

    async def _gather(self) -> None:
        """Wait for others of the first one's shape, unless its call is full, its time is up or there are no others at the app."""
        while call := self._turns.next_call(self._limit):
            first = call[0]
            left = first.arrived + self._settings.window_ms / 1000 - self._clock()
            if first.alone or len(call) >= self._limit(first.shape) or left <= 0 or self._in_flight() <= self._requests:
                return
            self._changed = asyncio.Event()
            await asyncio.wait([waiter := asyncio.create_task(self._changed.wait())], timeout=left)
            waiter.cancel()

    async def _make(self, call: list[_Place]) -> None:
        self._running, began = call, self._clock()
        try:
            pictures = await asyncio.get_running_loop().run_in_executor(self._worker, contained_call(self._draw), call)
        except Exception as error:
            self._note(call, began)
            self._failed(call, error)
        else:
            self._note(call, began)
            for place, picture in zip(call, pictures, strict=True):
                _finish(place, picture)
        finally:
            self._running = []

    def _draw(self, call: list[_Place]) -> list["Picture"]:
        """One call of the engine, in the worker's thread. It goes on while anybody waits for one of its pictures."""
        pictures = self._engine.draw(
            call[0].shape, [place.wanted for place in call], go_on=lambda: not all(place.left for place in call)
        )
        assert len(pictures) == len(call), (len(pictures), len(call))
        return pictures

    def _note(self, call: list[_Place], began: float) -> None:
        made = (began, self._clock(), len(call))
        for place in call:
            place.calls.append(made)

    def _failed(self, call: list[_Place], error: Exception) -> None:
        """End what can not be drawn, and let the others of the call wait for another one: a smaller one, or one each."""
        traceback.clear_frames(error.__traceback__)  # they hold tensors, which the next call needs the memory of
        failure = failure_of(error)
        broken = isinstance(failure, GpuBroken)
        if broken or (len(call) > 1 and not isinstance(error, Stopped)):  # any other is told by the request that it is for
            logs.failed(error, event="call_failed", pictures=len(call))
        if broken:
            self.broken = True
            self._end_all(failure)
        elif len(call) == 1:
            _finish(call[0], error)
            if isinstance(failure, OutOfMemory):
                self._limits.pop(call[0].shape, None)  # what does not fit alone says nothing of how many would
        else:
            if isinstance(failure, OutOfMemory):
                self._learn(call[0].shape, (len(call) + 1) // 2)
            for place in call:
                place.alone = place.alone or not isinstance(failure, OutOfMemory)
            self._turns.put_back(place for place in call if not place.left)

    def _learn(self, shape: Shape, limit: int) -> None:
        if len(self._limits) >= _SHAPES_REMEMBERED:
            del self._limits[next(iter(self._limits))]
        self._limits[shape] = limit

    def _limit(self, shape: Shape) -> int:
        return self._limits.get(shape, self._settings.max_batch)

    def _end_all(self, error: Exception) -> None:
        for place in [*self._turns, *self._running]:
            _finish(place, error)
            self._turns.discard(place)

    def _leave(self, places: Iterable[_Place]) -> None:
        for place in places:
            place.result.cancel()  # no-op where there is a result
            self._turns.discard(place)
        self._changed.set()


def _finish(place: _Place, result: Result) -> None:
    if not place.left:
        place.result.set_result(result)


def _drawn(places: Sequence[_Place], asked: float) -> Drawn:
    late = TimedOut("the request took longer than this app allows")
    calls = {call for place in places for call in place.calls}
    return Drawn(
        results=[late if place.result.cancelled() else place.result.result() for place in places],
        queue=min((began for began, _, _ in calls), default=asked) - asked,
        inference=sum(ended - began for began, ended, _ in calls),
        batch=max((pictures for _, _, pictures in calls), default=0),
    )
