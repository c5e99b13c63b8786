"""Requests that are told to end: at any moment, and nothing of their work is left."""

import asyncio
import inspect
from typing import Any

import pytest
from fastapi import Request

from serving.app.errors import Cancelled
from serving.app.runner.callers import Callers


async def _silent() -> dict[str, Any]:
    await asyncio.Event().wait()
    raise AssertionError("never set")


def _request(request_id: str) -> Request:
    return Request({"type": "http", "headers": [(b"x-fal-request-id", request_id.encode())]}, receive=_silent)


@pytest.mark.parametrize("steps", range(1, 6))
def test_work_that_is_cancelled_at_any_step_is_ended_or_answered(steps: int) -> None:
    """The first of them is before the work has begun, the last when it is done."""

    async def made() -> str:
        await asyncio.sleep(0)
        return "pictures"

    async def story() -> tuple[bool, str | None]:
        callers, request, work = Callers(), _request("r"), made()
        waiting = asyncio.create_task(callers.wait(request, work))
        for _ in range(steps):
            await asyncio.sleep(0)
        cancelled = callers.cancel(request)
        try:
            answer: str | None = await waiting
        except Cancelled:
            answer = None
        await asyncio.sleep(0)
        assert inspect.getcoroutinestate(work) == inspect.CORO_CLOSED
        assert len(callers) == 0
        return cancelled, answer

    assert asyncio.run(story()) == ((True, None) if steps <= 2 else (False, "pictures"))


def test_another_id_or_none_cancels_nothing() -> None:
    async def story() -> None:
        callers, go_on = Callers(), asyncio.Event()
        waiting = [asyncio.create_task(callers.wait(_request(name), go_on.wait())) for name in ("r", "", "r")]
        await asyncio.sleep(0)
        assert [callers.cancel(_request(name)) for name in ("other", "", "r")] == [False, False, True]
        go_on.set()
        ends = await asyncio.gather(*waiting, return_exceptions=True)
        assert [isinstance(end, Cancelled) for end in ends] == [True, False, True]

    asyncio.run(story())
