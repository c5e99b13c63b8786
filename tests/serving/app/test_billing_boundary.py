"""The boundary around any app at all: one answer, one statement of units, whatever the app does or does not do."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from serving.app.billing import Delivered
from serving.app.errors import Busy
from serving.app.runner.boundary import RECEIPT, BillingBoundary, Bounds
from serving.app.runner.lifecycle import Lifecycle
from tests.serving.app.exchange import Seen, exchange

BOUNDS = Bounds(unit="image", timeout=30, max_body=64, paths=frozenset({"/", "/health"}))
App = Callable[[Any, Any, Any], Awaitable[None]]


def delivered(scope: Any, images: int) -> None:
    scope[RECEIPT].images = tuple(Delivered(index=index, width=8, height=8) for index in range(images))


async def respond(send: Any, *parts: bytes, status: int = 200, headers: Any = ()) -> None:
    await send({"type": "http.response.start", "status": status, "headers": [*headers]})
    for part in parts:
        await send({"type": "http.response.body", "body": part, "more_body": True})
    await send({"type": "http.response.body"})


def through(app: App, *, lifecycle: Lifecycle | None = None, bounds: Bounds = BOUNDS, **request: Any) -> Seen:
    return asyncio.run(exchange(BillingBoundary(app, lifecycle=lifecycle or Lifecycle(grace=30), bounds=bounds), **request))


def raising(error: BaseException) -> App:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        delivered(scope, 2)
        raise error

    return app


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (KeyError("x"), 500),
        (MemoryError(), 500),
        (RecursionError(), 500),
        (TimeoutError(), 504),
        (SystemExit(0), 500),
        (KeyboardInterrupt(), 500),
        (asyncio.CancelledError(), 500),
        (GeneratorExit(), 500),
        (BaseExceptionGroup("both", [SystemExit(0), ValueError()]), 500),
        (Busy("full"), 429),
        (RuntimeError("CUDA error: unspecified launch failure"), 503),
        (RuntimeError("CUDA error: out of memory"), 500),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else str(value),
)
def test_an_exception_is_an_answer_that_costs_nothing(error: BaseException, status: int) -> None:
    seen = through(raising(error))
    assert (seen.status, seen.units, seen.complete) == (status, ["0"], True)
    assert seen.json()["detail"][0]["loc"] == ["body"]


def test_an_app_that_says_nothing_is_answered_for() -> None:
    async def silent(scope: Any, receive: Any, send: Any) -> None:
        delivered(scope, 2)

    seen = through(silent)
    assert (seen.status, seen.units) == (500, ["0"])


def test_an_answer_that_breaks_off_has_one_status_and_no_second_one() -> None:
    async def broken(scope: Any, receive: Any, send: Any) -> None:
        delivered(scope, 2)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})
        raise ValueError("in the middle")

    seen = through(broken)
    assert (seen.status, seen.complete, seen.body) == (200, False, b"half")


@pytest.mark.parametrize(("before", "units"), [(True, "2"), (False, "0")])
def test_a_stream_bills_what_was_delivered_when_it_began(before: bool, units: str) -> None:
    async def stream(scope: Any, receive: Any, send: Any) -> None:
        if before:
            delivered(scope, 2)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"x-fal-billable-units", b"9")]})
        delivered(scope, 2)
        await send({"type": "http.response.body", "body": b"event", "more_body": True})
        await send({"type": "http.response.body"})

    seen = through(stream)
    assert (seen.units, seen.complete) == ([units], True)


@pytest.mark.parametrize("obedient", [True, False])
def test_what_hangs_is_answered_in_time_and_ended(obedient: bool) -> None:
    ended = []

    async def hangs(scope: Any, receive: Any, send: Any) -> None:
        delivered(scope, 1)
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            ended.append(True)
            if obedient:
                raise
        await respond(send, b"too late")

    async def and_after() -> Seen:
        bounds = Bounds(unit="image", timeout=0.01, max_body=64)
        seen = await exchange(BillingBoundary(hangs, lifecycle=Lifecycle(grace=30), bounds=bounds))
        for _ in range(100):
            await asyncio.sleep(0)
        assert ended == [True]
        return seen

    seen = asyncio.run(and_after())
    assert seen.answers == 1
    assert (seen.status, seen.units, seen.header(b"x-fal-needs-retry")) == (504, ["0"], b"0")
    assert b"too late" not in seen.body


def test_a_request_that_the_server_gives_up_is_answered_first() -> None:
    began = asyncio.Event()

    async def hangs(scope: Any, receive: Any, send: Any) -> None:
        delivered(scope, 1)
        began.set()
        await asyncio.Event().wait()

    async def given_up() -> Seen:
        seen: list[Seen] = []

        async def keep(message: Any) -> None:
            if message["type"] == "http.response.start":
                seen.append(Seen(status=message["status"], headers=message["headers"]))

        boundary = BillingBoundary(hangs, lifecycle=Lifecycle(grace=30), bounds=BOUNDS)
        request = asyncio.create_task(boundary({"type": "http", "path": "/", "headers": []}, asyncio.Event().wait, keep))
        await began.wait()
        request.cancel()
        with pytest.raises(asyncio.CancelledError):
            await request
        (only,) = seen
        return only

    answer = asyncio.run(given_up())
    assert (answer.status, answer.units) == (499, ["0"])


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"x" * 64, [], 200),
        (b"x" * 65, [], 413),
        (b"", [(b"content-length", b"65")], 413),
        (b"", [(b"content-length", b"9" * 5000)], 413),
        (b"", [(b"content-length", b"0" * 5000 + b"64")], 200),
        (b"", [(b"content-length", b"-1")], 200),
    ],
)
def test_a_body_that_is_too_large_is_not_read_to_its_end(body: bytes, headers: Any, status: int) -> None:
    async def reads(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        delivered(scope, 1)
        await respond(send)

    seen = through(reads, body=body, headers=headers)
    assert (seen.status, seen.units) == (status, ["1" if status == 200 else "0"])


def test_a_caller_who_leaves_while_sending_is_no_fault_of_the_app() -> None:
    async def reads(scope: Any, receive: Any, send: Any) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        await asyncio.sleep(0)
        delivered(scope, 1)
        await respond(send, status=400)

    left = asyncio.Event()
    left.set()
    seen = through(reads, body=b"{", leave=left)
    assert (seen.answers, seen.status, seen.units) == (1, 499, ["0"])


@pytest.mark.parametrize(("value", "status"), [(b"[],", 413), (b"abc", 200)])
def test_a_body_of_very_many_values_is_not_read(value: bytes, status: int) -> None:
    async def reads(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await respond(send)

    seen = through(reads, body=value * 60_000, bounds=Bounds(unit="image", timeout=30, max_body=10**6))
    assert (seen.status, seen.units) == (status, ["0"])


def test_a_runner_that_drains_finishes_and_answers_in_time() -> None:
    async def story() -> tuple[Seen, ...]:
        go_on, lifecycle = asyncio.Event(), Lifecycle(grace=1)
        begun = 0

        async def app(scope: Any, receive: Any, send: Any) -> None:
            nonlocal begun
            begun += 1
            if scope["path"] == "/":
                await (go_on.wait() if begun == 1 else asyncio.Event().wait())
                delivered(scope, 1)
            await respond(send)

        boundary = BillingBoundary(app, lifecycle=lifecycle, bounds=BOUNDS)
        first, second = asyncio.create_task(exchange(boundary)), asyncio.create_task(exchange(boundary))
        while lifecycle.in_flight < 2 or begun < 2:
            await asyncio.sleep(0)
        lifecycle.drain()
        lifecycle.drain()  # a second signal changes nothing
        late, health = await exchange(boundary), await exchange(boundary, "/health")
        go_on.set()
        return await first, await second, late, health

    finished, cut, late, health = asyncio.run(story())
    assert (finished.status, finished.units) == (200, ["1"])
    assert (health.status, health.units) == (200, ["0"])
    for refused in (cut, late):  # another runner does it: a 503 would end this one with all that is at work on it
        assert (refused.status, refused.units, refused.header(b"x-fal-needs-retry")) == (429, ["0"], b"1")


def test_a_lost_gpu_is_told_once_and_nothing_more_is_let_in() -> None:
    lifecycle, calls = Lifecycle(grace=30), []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        calls.append(scope["path"])
        if scope["path"] == "/":
            raise RuntimeError("CUDA error: device-side assert triggered")
        await respond(send)

    async def story() -> list[Seen]:
        boundary = BillingBoundary(app, lifecycle=lifecycle, bounds=BOUNDS)
        both = await asyncio.gather(exchange(boundary), exchange(boundary))
        return [*both, await exchange(boundary), await exchange(boundary, "/health")]

    first, mate, later, health = asyncio.run(story())
    assert [seen.status for seen in (first, mate, later, health)] == [503, 429, 429, 200]
    assert [seen.header(b"x-fal-needs-retry") for seen in (mate, later)] == [b"1", b"1"]
    assert calls == ["/", "/", "/health"]  # nothing more is tried on it
    assert [seen.units for seen in (first, mate, later, health)] == [["0"]] * 4


@pytest.mark.parametrize("extensions", [{"websocket.http.response": {}}, {}])
def test_a_websocket_is_refused_for_nothing(extensions: dict[str, Any]) -> None:
    sent: list[Any] = []

    async def keep(message: Any) -> None:
        sent.append(message)

    boundary = BillingBoundary(raising(AssertionError("reached")), lifecycle=Lifecycle(grace=30), bounds=BOUNDS)
    scope = {"type": "websocket", "path": "/", "headers": [], "extensions": extensions}
    asyncio.run(boundary(scope, asyncio.Event().wait, keep))
    if extensions:
        assert Seen(headers=sent[0]["headers"]).units == ["0"]
    assert sent[0]["type"] == ("websocket.http.response.start" if extensions else "websocket.close")


# What an app does on its way to an answer: waits, delivers, fails, or is too early with its status.
steps = st.lists(
    st.one_of(
        st.tuples(st.just("wait"), st.integers(0, 5)),
        st.tuples(st.just("deliver"), st.integers(0, 4)),
        st.tuples(st.just("start"), st.sampled_from([200, 201, 204, 302, 404, 500])),
        st.tuples(st.just("raise"), st.sampled_from([KeyError("x"), SystemExit(1), asyncio.CancelledError(), MemoryError()])),
    ),
    max_size=6,
)


@given(scripts=st.lists(steps, min_size=1, max_size=6))
@hypothesis_settings(deadline=None, max_examples=100, derandomize=True)
def test_units_are_those_delivered_before_the_status_and_of_no_other_request(scripts: list[list[tuple[str, Any]]]) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        for what, value in scripts[int(scope["path"][1:])]:
            match what:
                case "wait":
                    for _ in range(value):
                        await asyncio.sleep(0)
                case "deliver":
                    delivered(scope, value)
                case "raise":
                    raise value
                case "start":
                    await respond(send, status=value, headers=[(b"X-Fal-Billable-Units", b"7")])
                    return

    async def together() -> list[Seen]:
        boundary = BillingBoundary(app, lifecycle=Lifecycle(grace=30), bounds=BOUNDS)
        return await asyncio.gather(*(exchange(boundary, f"/{number}") for number in range(len(scripts))))

    for script, seen in zip(scripts, asyncio.run(together()), strict=True):
        status, images = _expected(script)
        assert (seen.answers, seen.status, seen.units, seen.complete) == (1, status, [str(images)], True)


def _expected(script: list[tuple[str, Any]]) -> tuple[int, int]:
    images = 0
    for what, value in script:
        if what == "deliver":
            images = value
        if what == "raise":
            return 500, 0
        if what == "start":
            return value, images if value < 300 else 0
    return 500, 0
