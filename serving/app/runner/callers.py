"""Requests that nobody waits for any more: the caller closed the connection, or the platform cancels one by its id."""

import asyncio
import hashlib
import secrets
from collections import defaultdict
from collections.abc import Coroutine
from typing import Any, TypeVar

from fastapi import Request

from ..errors import Cancelled
from .contained import contained

T = TypeVar("T")

_REQUEST_ID, _CALLER = "x-fal-request-id", "x-fal-caller-user-id"  # both are the platform's: callers can not send them


def caller_of(request: Request) -> str:
    """Who asks, as the platform names it; the same for all where it names nobody."""
    return request.headers.get(_CALLER, "")


def seed_for(request: Request) -> int:
    """The seed of a request that names none, in 0 .. 2^32-1: from its id, so that the platform's retries draw the same pictures."""
    name = request.headers.get(_REQUEST_ID, "")
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:4]) if name else secrets.randbelow(2**32)


class Callers:
    """Who waits for what: keeps the work of each request, to end it once nobody waits for it."""

    def __init__(self) -> None:
        self._work: defaultdict[str, set[asyncio.Task[Any]]] = defaultdict(set)

    def __len__(self) -> int:
        """How many requests are at work."""
        return sum(map(len, self._work.values()))

    async def wait(self, request: Request, work: Coroutine[Any, Any, T]) -> T:
        """The result of `work`. Raises Cancelled as soon as the caller is gone or `cancel` was called; the work is then stopped."""
        task, gone = asyncio.create_task(contained(work)), asyncio.create_task(_gone(request))
        name = request.headers.get(_REQUEST_ID, "")
        self._work[name].add(task)
        task.add_done_callback(_seen)
        task.add_done_callback(lambda _: work.close())  # a task that is cancelled before its first step never begins it
        try:
            await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
            if not task.done() or task.cancelled():
                raise Cancelled
            return task.result()
        finally:
            task.cancel()
            gone.cancel()
            self._work[name].discard(task)
            if not self._work[name]:
                del self._work[name]

    def cancel(self, request: Request) -> bool:
        """Stop the work of the request whose id this one carries; whether there was any."""
        name = request.headers.get(_REQUEST_ID, "")
        found = [task for task in self._work.get(name, ()) if name and task.cancel()]
        return bool(found)


def _seen(task: asyncio.Task[Any]) -> None:
    """Take the error of a task that nobody waits for any more, or the event loop reports it as lost."""
    if not task.cancelled():
        task.exception()


async def _gone(request: Request) -> None:
    """Return when the caller has closed the connection. To be called when the body was read."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
