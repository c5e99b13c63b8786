"""Batches: who shares a call, whose turn it is, and that every picture has exactly one end whatever happens around it."""

import asyncio
import json
import selectors
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import Executor, Future
from contextvars import Context
from dataclasses import dataclass, field
from typing import Any, TypeVar

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from serving.app.drawing.batching import Batcher, Drawn
from serving.app.drawing.engine import Shape, Wanted
from serving.app.errors import Busy, GpuBroken, OutOfMemory, Stopped, TimedOut
from serving.app.settings import Batching

T = TypeVar("T")

SMALL = Shape(width=32, height=32, steps=2, guidance_scale=2.0, lora_scale=1.0)
LARGE = Shape(width=64, height=64, steps=2, guidance_scale=2.0, lora_scale=1.0)
FOR_EVER = 1e9
CALL = 1.0  # seconds that a call takes on the clock of these tests


class Clockwork(asyncio.SelectorEventLoop):
    """An event loop whose clock stands still while anything can run, and jumps to what comes next when nothing can."""

    def __init__(self) -> None:
        self.now, self.timers = 0.0, 0
        super().__init__(_Jumping(self))

    def time(self) -> float:
        return self.now

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """What is due at the same moment comes in the order in which it was asked for."""
        self.timers += 1
        return super().call_at(when + self.timers * 1e-9, callback, *args, context=context)


class _Jumping(selectors.SelectSelector):
    def __init__(self, loop: Clockwork) -> None:
        super().__init__()
        self.loop = loop

    def select(self, timeout: float | None = None) -> Any:
        assert timeout is not None, "everybody waits for something that never comes"
        self.loop.now += max(0.0, timeout)
        return super().select(0)


class OneThread(Executor):
    """What runs here takes its time on the loop's clock: it begins at once and ends CALL seconds later."""

    def __init__(self, loop: Clockwork) -> None:
        self.loop, self.busy = loop, False

    def submit(self, function: Callable[..., T], /, *arguments: Any, **_: Any) -> "Future[T]":
        assert not self.busy, "two calls at one time"
        self.busy, future = True, Future[T]()
        self.loop.call_later(CALL, self._end, future, function, arguments)
        return future

    def _end(self, future: "Future[Any]", function: Callable[..., Any], arguments: Sequence[Any]) -> None:
        self.busy = False
        try:
            future.set_result(function(*arguments))
        except Exception as error:
            future.set_exception(error)


@dataclass
class Painter:
    """Gives each picture back as its prompt. `fails(shape, prompts)` is what a call of those ends with instead."""

    fails: Callable[[Shape, list[str]], Exception | None] = lambda _shape, _prompts: None
    calls: list[list[str]] = field(default_factory=list)

    def draw(self, shape: Shape, wanted: Sequence[Wanted], *, go_on: Callable[[], bool]) -> list[Any]:
        self.calls.append([one.prompt for one in wanted])
        if not go_on():
            raise Stopped("nobody waits")
        if error := self.fails(shape, self.calls[-1]):
            raise error
        return list(self.calls[-1])


def play(scene: Callable[[Batcher], Coroutine[Any, Any, T]], painter: Painter, *, in_flight: int = 0, **settings: int) -> T:
    """Run a scene on a clock of its own."""
    with asyncio.Runner(loop_factory=Clockwork) as runner:
        loop: Any = runner.get_loop()
        batcher = Batcher(painter, Batching(**settings), in_flight=lambda: in_flight, worker=OneThread(loop), clock=loop.time)
        return runner.run(scene(batcher))


async def draw(
    batcher: Batcher, *prompts: str, caller: str = "", shape: Shape = SMALL, deadline: float = FOR_EVER, at: float = 0
) -> Drawn:
    await asyncio.sleep(at)
    wanted = [Wanted(prompt=prompt, seed=seed) for seed, prompt in enumerate(prompts)]
    return await batcher.draw(shape, wanted, deadline=deadline, caller=caller)


def test_what_comes_while_a_call_is_made_shares_the_next_one() -> None:
    async def scene(batcher: Batcher) -> list[Drawn]:
        return await asyncio.gather(draw(batcher, "a"), *(draw(batcher, name, at=0.5) for name in "bcdef"))

    painter = Painter()
    answers = play(scene, painter, max_batch=4)
    assert painter.calls == [["a"], ["b", "c", "d", "e"], ["f"]]
    assert [answer.results for answer in answers] == [["a"], ["b"], ["c"], ["d"], ["e"], ["f"]]
    waited = [(round(answer.queue, 3), round(answer.inference, 3)) for answer in answers]
    assert waited == [(0, CALL), *[(0.5, CALL)] * 4, (1.5, CALL)]


def test_pictures_of_another_shape_are_not_in_the_call() -> None:
    async def scene(batcher: Batcher) -> Any:
        others = [draw(batcher, f"{name}", shape=shape, at=0.5) for name, shape in zip("1234", [SMALL, LARGE] * 2, strict=True)]
        return await asyncio.gather(draw(batcher, "a"), *others)

    painter = Painter()
    play(scene, painter)
    assert painter.calls == [["a"], ["1", "3"], ["2", "4"]]


def test_a_request_for_more_than_a_batch_is_split() -> None:
    async def scene(batcher: Batcher) -> Drawn:
        return await draw(batcher, *"abcdefg")

    painter = Painter()
    answer = play(scene, painter, max_batch=3)
    assert painter.calls == [["a", "b", "c"], ["d", "e", "f"], ["g"]]
    assert answer.results == list("abcdefg")
    assert round(answer.inference, 3) == 3 * CALL


@pytest.mark.parametrize(
    ("in_flight", "comes_at", "calls"),
    [(2, 0.5, [["a", "b"]]), (2, 0.95, [["a"], ["b"]]), (1, 0.5, [["a"], ["b"]]), (0, 0, [["a", "b"]])],
    ids=["within the window", "after it", "nobody else is at the app", "at the same moment"],
)
def test_the_first_waits_for_others_only_while_there_are_some(in_flight: int, comes_at: float, calls: list[list[str]]) -> None:
    async def scene(batcher: Batcher) -> Any:
        return await asyncio.gather(draw(batcher, "a"), draw(batcher, "b", at=comes_at))

    painter = Painter()
    play(scene, painter, in_flight=in_flight, window_ms=900)
    assert painter.calls == calls


def test_a_full_call_waits_for_nobody() -> None:
    async def scene(batcher: Batcher) -> Drawn:
        return await draw(batcher, "a", "b")

    assert play(scene, Painter(), in_flight=9, max_batch=2, window_ms=900).queue == 0


@pytest.mark.parametrize(
    ("error", "calls"),
    [
        (ValueError("bad"), [["a", "bad", "c", "d"], ["a"], ["bad"], ["c"], ["d"]]),
        (MemoryError(), [["a", "bad", "c", "d"], ["a", "bad"], ["a"], ["bad"], ["c", "d"]]),
    ],
    ids=["each alone", "half as many"],
)
def test_a_picture_that_fails_hurts_nobody_else(
    error: Exception, calls: list[list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    async def scene(batcher: Batcher) -> list[Any]:
        return (await draw(batcher, "a", "bad", "c", "d")).results

    painter = Painter(fails=lambda _shape, prompts: error if "bad" in prompts else None)
    assert play(scene, painter) == ["a", error, "c", "d"]
    assert painter.calls == calls
    told = [json.loads(line)["pictures"] for line in capsys.readouterr().err.splitlines() if "call_failed" in line]
    assert told == [len(call) for call in calls if "bad" in call and len(call) > 1]


def test_a_batch_that_does_not_fit_is_halved_and_the_shape_remembers() -> None:
    async def scene(batcher: Batcher) -> list[Any]:
        return [(await draw(batcher, *"abcd", shape=shape)).results for shape in (LARGE, LARGE, SMALL)]

    painter = Painter(fails=lambda shape, prompts: MemoryError() if shape == LARGE and len(prompts) > 2 else None)
    assert play(scene, painter) == [list("abcd")] * 3
    assert painter.calls == [list("abcd"), ["a", "b"], ["c", "d"], ["a", "b"], ["c", "d"], list("abcd")]


def test_a_lost_context_fails_all_that_is_there_and_all_that_comes() -> None:
    async def scene(batcher: Batcher) -> list[Any]:
        answers = await asyncio.gather(draw(batcher, "a", "b"), *(draw(batcher, name, at=0.5) for name in "cd"))
        with pytest.raises(GpuBroken):
            await draw(batcher, "e")
        assert batcher.broken
        return [type(result) for answer in answers for result in answer.results]

    painter = Painter(fails=lambda *_: RuntimeError("CUDA error: an illegal memory access was encountered"))
    assert play(scene, painter) == [GpuBroken] * 4
    assert painter.calls == [["a", "b"]]


def test_who_leaves_before_the_call_is_not_drawn_and_who_leaves_within_spoils_nothing() -> None:
    async def scene(batcher: Batcher) -> list[Any]:
        tasks = [asyncio.create_task(draw(batcher, name, at=at)) for name, at in (("a", 0), ("b", 0), ("c", 0.5), ("d", 0.5))]
        await asyncio.sleep(0.7)
        tasks[1].cancel()  # its call is at work
        tasks[2].cancel()  # waits
        return await asyncio.gather(*tasks, return_exceptions=True)

    painter = Painter()
    a, b, c, d = play(scene, painter)
    assert painter.calls == [["a", "b"], ["d"]]
    assert (a.results, d.results) == (["a"], ["d"])
    assert isinstance(b, asyncio.CancelledError)
    assert isinstance(c, asyncio.CancelledError)


def test_a_call_that_nobody_waits_for_is_stopped() -> None:
    goes_on = []

    class Watched(Painter):
        def draw(self, shape: Shape, wanted: Sequence[Wanted], *, go_on: Callable[[], bool]) -> list[Any]:
            goes_on.append(go_on())
            return super().draw(shape, wanted, go_on=go_on)

    async def scene(batcher: Batcher) -> Drawn:
        tasks = [asyncio.create_task(draw(batcher, name)) for name in "ab"]
        await asyncio.sleep(0.5)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        return await draw(batcher, "c")

    assert play(scene, Watched()).results == ["c"]
    assert goes_on == [False, True]


def test_a_picture_past_its_deadline_is_late_and_its_mates_are_not() -> None:
    async def scene(batcher: Batcher) -> list[Any]:
        answers = await asyncio.gather(
            draw(batcher, "a"),
            draw(batcher, "in a call", deadline=0.8),
            draw(batcher, "waits", at=0.2, deadline=0.9),
            draw(batcher, "b", at=0.2),
            draw(batcher, "c", at=0.2, deadline=0.1),
        )
        return [answer.results[0] for answer in answers]

    a, called, waits, b, late = play(scene, painter := Painter())
    assert (a, b) == ("a", "b")
    assert {type(one) for one in (called, waits, late)} == {TimedOut}
    assert painter.calls == [["a", "in a call"], ["b"]]


def test_too_many_are_refused_whole_and_one_caller_leaves_room_for_others() -> None:
    async def scene(batcher: Batcher) -> list[str]:
        first = asyncio.create_task(draw(batcher, "first"))
        await asyncio.sleep(0.1)
        said = []
        tasks = []
        for caller, pictures in (("a", 4), ("a", 4), ("a", 3), ("a", 1), ("b", 4), ("b", 3), ("b", 1), ("c", 1)):
            tasks.append(asyncio.create_task(draw(batcher, *["x"] * pictures, caller=caller)))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            said.append(f"{caller} {pictures} {'no' if tasks[-1].done() else 'yes'} {batcher.waiting}")
        ends = await asyncio.gather(first, *tasks, return_exceptions=True)
        assert {type(end) for end in ends} == {Drawn, Busy}
        return said

    said = play(scene, Painter(), max_waiting=16)
    assert said == ["a 4 yes 4", "a 4 yes 8", "a 3 yes 11", "a 1 yes 12", "b 4 no 12", "b 3 yes 15", "b 1 no 15", "c 1 no 15"]


def test_a_request_is_let_in_where_nobody_waits_whatever_its_size() -> None:
    async def scene(batcher: Batcher) -> Drawn:
        return await draw(batcher, *"abcd")

    assert play(scene, Painter(), max_waiting=1).results == list("abcd")


def test_one_caller_with_many_pictures_does_not_keep_another_waiting() -> None:
    async def scene(batcher: Batcher) -> Any:
        flood = draw(batcher, *["x"] * 40, caller="many")
        return await asyncio.gather(flood, *(draw(batcher, name, caller=name, shape=LARGE, at=0.5) for name in ("one", "two")))

    painter = Painter()
    _, one, two = play(scene, painter)
    assert painter.calls[:4] == [["x"] * 4, ["one", "two"], ["x"] * 4, ["x"] * 4]
    assert (round(one.queue, 3), round(two.queue, 3)) == (0.5, 0.5)


@dataclass(frozen=True)
class Ask:
    """A request of the property test: it is cancelled after `patience` seconds, and late after `time` seconds."""

    at: float
    caller: str
    shape: Shape
    prompts: tuple[str, ...]
    patience: float
    time: float


_MOMENTS = st.integers(0, 40).map(lambda tenths: tenths / 10 + 0.05)
_ASKS = st.builds(
    Ask,
    at=_MOMENTS,
    caller=st.sampled_from("ABC"),
    shape=st.sampled_from([SMALL, LARGE]),
    prompts=st.lists(st.sampled_from(["ok"] * 8 + ["bad", "big"]), min_size=1, max_size=6).map(tuple),
    patience=st.one_of(st.just(FOR_EVER), _MOMENTS),
    time=st.one_of(st.just(FOR_EVER), _MOMENTS),
)


@given(asks=st.lists(_ASKS, max_size=14), window=st.sampled_from([0, 300]), max_batch=st.integers(1, 5))
@hypothesis_settings(deadline=None, max_examples=150, derandomize=True)
def test_every_picture_has_one_end_and_is_drawn_once_unless_its_call_failed(asks: list[Ask], window: int, max_batch: int) -> None:
    def fails(_shape: Shape, prompts: list[str]) -> Exception | None:
        kinds = {prompt.split()[-1] for prompt in prompts}
        return ValueError("bad") if "bad" in kinds else MemoryError() if "big" in kinds and len(prompts) > 1 else None

    async def ask(batcher: Batcher, number: int, one: Ask) -> Any:
        prompts = [f"{one.caller} {number} {index} {kind}" for index, kind in enumerate(one.prompts)]
        asked = draw(batcher, *prompts, caller=one.caller, shape=one.shape, deadline=one.at + one.time, at=one.at)
        try:
            return await asyncio.wait_for(asked, one.at + one.patience)
        except (TimeoutError, Busy) as error:
            return error

    async def scene(batcher: Batcher) -> list[Any]:
        ends = await asyncio.gather(*(ask(batcher, number, one) for number, one in enumerate(asks)))
        await asyncio.sleep(CALL)  # one may be made yet that nobody waits for
        assert (batcher.waiting, batcher.running) == (0, 0)
        return ends

    painter = Painter(fails=fails)
    ends = play(scene, painter, in_flight=99, window_ms=window, max_batch=max_batch, max_waiting=30)
    drawn = Counter(prompt for call in painter.calls for prompt in call)
    failed = Counter(prompt for call in painter.calls if fails(SMALL, call) for prompt in call)
    assert all(times <= 1 + failed[prompt] for prompt, times in drawn.items())
    assert all(len(call) <= max_batch for call in painter.calls)
    for number, (one, end) in enumerate(zip(asks, ends, strict=True)):
        if not isinstance(end, Drawn):
            continue
        for index, (kind, result) in enumerate(zip(one.prompts, end.results, strict=True)):
            if not isinstance(result, TimedOut):
                assert isinstance(result, ValueError) if kind == "bad" else result == f"{one.caller} {number} {index} {kind}"
        assert one.time < FOR_EVER or not any(isinstance(result, TimedOut | OutOfMemory) for result in end.results)


@given(
    flood=st.integers(1, 30),
    others=st.lists(st.tuples(st.integers(0, 60), st.sampled_from([SMALL, LARGE])), min_size=1, max_size=5),
)
@hypothesis_settings(deadline=None, max_examples=80, derandomize=True)
def test_nobody_waits_for_more_than_the_call_at_work_and_one_of_each_other_caller(
    flood: int, others: list[tuple[int, Shape]]
) -> None:
    async def scene(batcher: Batcher) -> list[Drawn]:
        floods = [draw(batcher, *["x"] * 4, caller="many", at=0.01 * number) for number in range(flood)]
        single = [
            draw(batcher, "y", caller=f"one {number}", shape=shape, at=tenths / 10 + 0.05)
            for number, (tenths, shape) in enumerate(others)
        ]
        return (await asyncio.gather(*floods, *single))[flood:]

    for answer in play(scene, Painter(), max_waiting=1000):
        assert answer.queue <= CALL * (1 + len(others)) + 0.001


@given(
    asks=st.lists(st.tuples(_MOMENTS, st.sampled_from("AB"), st.sampled_from([SMALL, LARGE]), st.integers(1, 5)), max_size=10),
    failing=st.sets(st.integers(0, 9)),
)
@hypothesis_settings(deadline=None, max_examples=80, derandomize=True)
def test_a_callers_pictures_of_one_shape_are_ready_in_the_order_they_came(
    asks: list[tuple[float, str, Shape, int]], failing: set[int]
) -> None:
    asks = sorted(asks, key=lambda ask: ask[0])

    async def scene(batcher: Batcher) -> Any:
        requests = [
            draw(batcher, *(f"{number} {index}" for index in range(pictures)), caller=caller, shape=shape, at=at)
            for number, (at, caller, shape, pictures) in enumerate(asks)
        ]
        return await asyncio.gather(*requests)

    def fails(_shape: Shape, prompts: list[str]) -> Exception | None:
        return ValueError("bad") if {int(prompt.split()[0]) for prompt in prompts} & failing else None

    painter = Painter(fails=fails)
    play(scene, painter, max_waiting=1000)
    ready = {prompt: place for place, prompt in enumerate(prompt for call in painter.calls for prompt in call)}
    for key in {(caller, shape) for _, caller, shape, _ in asks}:
        came = [f"{n} {index}" for n, ask in enumerate(asks) if ask[1:3] == key for index in range(ask[3])]
        assert [ready[prompt] for prompt in came] == sorted(ready[prompt] for prompt in came)
