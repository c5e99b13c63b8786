"""The outermost layer of the app: no response leaves without its billable units, and no exception leaves at all."""

import asyncio
import time
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI
from starlette.middleware import Middleware
from starlette.responses import JSONResponse

from ..billing import BillingUnit, Receipt, units_of_response, with_units
from ..errors import BodyTooLarge, Cancelled, Draining, GpuBroken, RequestFailure, TimedOut, failure_of
from . import logs, metrics
from .contained import contained
from .lifecycle import Flight, Lifecycle
from .logs import NOTES, Asked, Notes

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

# JSON of very many small values takes seconds and gigabytes to read; a picture in base64 is one value.
_BEFORE_A_VALUE = (b",", b"[", b"{")
_MOST_VALUES = 100_000

RECEIPT = "lorasmith.receipt"  # where an endpoint finds its Receipt in the ASGI scope


@dataclass(frozen=True, kw_only=True, slots=True)
class Bounds:
    """What holds for every request: the unit it is billed in, the platform's timeout, bytes it may have, the app's own paths."""

    unit: BillingUnit
    timeout: float
    max_body: int
    paths: frozenset[str] = frozenset()
    prompts: bool = False  # whether the log may hold them


def bound(app: FastAPI, lifecycle: Lifecycle, bounds: Bounds) -> None:
    """Put the boundary around everything of the app's but its last handler, which sees no exception any more.

    That handler sits outside of every middleware and answers 500 without units.
    """
    app.add_middleware(BillingBoundary, lifecycle=lifecycle, bounds=bounds)  # added last, so it is the outermost
    app.user_middleware.append(Middleware(Contained))  # the innermost: what it catches ends the event loop further out


class BillingBoundary:
    """ASGI middleware: one answer for each request, ours where the app gives none in time, with exactly one statement of units."""

    def __init__(self, app: App, *, lifecycle: Lifecycle, bounds: Bounds) -> None:
        self.app, self.lifecycle, self.bounds = app, lifecycle, bounds
        self._given_up: set[asyncio.Task[None]] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            asked = logs.asked(scope, self.bounds.paths)
            with logs.telling(asked, prompts=self.bounds.prompts):
                await self._exchange(asked, scope, receive, send)
        elif scope["type"] == "websocket":
            await _refuse_socket(scope, send)
        else:
            await self.app(scope, receive, send)

    async def _exchange(self, asked: Asked, scope: Scope, receive: Receive, send: Send) -> None:
        receipt, notes = Receipt(), Notes()
        scope[RECEIPT], scope[NOTES] = receipt, notes
        reply, began = _Reply(send=send, receipt=receipt, unit=self.bounds.unit), time.monotonic()
        try:
            if _said_length(scope) > self.bounds.max_body:
                raise _too_large(self.bounds.max_body)
            with self._flight(asked) as flight:
                await self._answer(flight, scope, receive, reply)
        except RequestFailure as refusal:  # before the app saw the request
            await reply.fail(refusal, scope, receive)
        finally:
            if asked.path != "/health":  # it comes every few seconds
                story: dict[str, Any] = {**reply.told(), "notes": notes, "seconds": time.monotonic() - began}
                logs.ended(asked, **story)
                metrics.ended(asked, **story)

    def _flight(self, asked: Asked) -> AbstractContextManager[Flight]:
        """Counted as work, unless it is about the runner or about other requests: those are answered to the end."""
        if asked.path == "/health" or asked.path.endswith("/cancel"):
            return nullcontext(Flight())
        return self.lifecycle.request()

    async def _answer(self, flight: Flight, scope: Scope, receive: Receive, reply: "_Reply") -> None:
        """Let the app answer, or answer in its place where it fails, is too slow, or must end."""
        limited = _limited(receive, flight, reply, self.bounds.max_body)
        work = asyncio.create_task(Contained(self.app)(scope, limited, reply.from_app))
        try:
            first: set[asyncio.Future[Any]] = {work, flight.ended}
            await asyncio.wait(first, timeout=_answered_within(self.bounds.timeout), return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:  # by the server, which does not wait any longer
            self._give_up(work)
            await reply.fail(Draining() if self.lifecycle.draining else Cancelled(), scope, receive)
            raise
        must_end = flight.ended.done() and not reply.complete
        if work.done() and not must_end:
            failure = self._failure(work, reply)
        else:
            self._give_up(work)
            failure = flight.ended.result() if must_end else TimedOut("the request took longer than this app allows")
        if failure is not None:
            await reply.fail(self._shown(failure, scope), scope, receive)

    def _give_up(self, work: "asyncio.Task[None]") -> None:
        """End what the app still does for a request."""
        work.cancel()
        self._given_up.add(work)  # the event loop alone would let it be collected
        work.add_done_callback(self._forget)  # called too where it is done already

    def _forget(self, work: "asyncio.Task[None]") -> None:
        self._given_up.discard(work)
        if not work.cancelled() and (error := work.exception()) and not isinstance(failure_of(error), Cancelled):
            logs.failed(error, event="error_after_answer")

    def _failure(self, work: "asyncio.Task[None]", reply: "_Reply") -> RequestFailure | None:
        """What the app's work ended with; its traceback goes to the log, never to the caller."""
        error = asyncio.CancelledError() if work.cancelled() else work.exception()
        if error is None:
            return None if reply.complete else RequestFailure()
        failure = failure_of(error)
        if failure is not error:
            logs.failed(error)
        return Draining() if self.lifecycle.draining and type(failure) is RequestFailure else failure

    def _shown(self, failure: RequestFailure, scope: Scope) -> RequestFailure:
        """A lost GPU is told once, as 503: the platform then ends this runner. Whoever else meets it is sent to another one."""
        if isinstance(failure, GpuBroken) and scope["path"] != "/health" and not self.lifecycle.lose():
            return Draining("the GPU of this runner failed: send the request again")
        return failure


class Contained:
    """ASGI middleware: what would end the event loop ends the request that did it."""

    def __init__(self, app: App) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await contained(self.app(scope, receive, send))


@dataclass(kw_only=True, slots=True)
class _Reply:
    """What goes out for one request: the app's answer or ours, under one status and one statement of units."""

    send: Send
    receipt: Receipt
    unit: BillingUnit
    status: int | None = None
    units: int = 0
    complete: bool = False
    given_up: bool = False  # nothing of the app's goes out any more

    async def from_app(self, message: Message) -> None:
        """Where the app sends to."""
        if not self.given_up:
            await self._out(message)

    async def fail(self, failure: RequestFailure, scope: Scope, receive: Receive) -> None:
        """Answer with a failure; what the app still says is not heard. After a status nothing is left to say but to break off."""
        self.given_up = True
        if self.status is None:
            response = JSONResponse(failure.body(), failure.status, headers=dict(failure.headers))
            await response(scope, receive, self._out)

    def told(self) -> dict[str, int]:
        """Status, units and images of what went out; an answer that was cut off has delivered nothing."""
        delivered = self.complete and self.units > 0
        return {
            "status": self.status if self.complete and self.status is not None else Cancelled.status,
            "units": self.units if self.complete else 0,
            "images": len(self.receipt.images) if delivered else 0,
        }

    async def _out(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.units = units_of_response(message["status"], self.receipt, self.unit)
            message = {**message, "headers": with_units(message.get("headers", ()), self.units)}
        elif message["type"] == "http.response.body":
            self.complete = not message.get("more_body", False)
        await self.send(message)


def _answered_within(timeout: float) -> float:
    """A moment less than the platform's clock allows: its 504 would send the request to another runner, to be too slow there."""
    return timeout - min(1.0, timeout / 20)


def _limited(receive: Receive, flight: Flight, reply: _Reply, limit: int) -> Receive:
    """`receive` that ends the flight where its caller is gone, or has sent more than `limit` bytes or any request's values."""
    read = values = 0

    async def limited() -> Message:
        nonlocal read, values
        message = await receive()
        if message["type"] == "http.disconnect" and not reply.complete:
            reply.given_up = True
            flight.end(Cancelled("the caller closed the connection"))
        body = message.get("body", b"")
        read, values = read + len(body), values + sum(map(body.count, _BEFORE_A_VALUE))
        if read > limit or values > _MOST_VALUES:
            flight.end(_too_large(limit))
            await asyncio.Event().wait()  # the app gets no more of it; its work is ended meanwhile
        return message

    return limited


def _said_length(scope: Scope) -> int:
    """Bytes of body that a request announces."""
    said = next((value for name, value in scope["headers"] if name == b"content-length"), b"")
    return int(said.lstrip(b"0")[:20] or b"0") if said.isdigit() else 0


def _too_large(limit: int) -> BodyTooLarge:
    return BodyTooLarge(f"the body of the request has more than {limit} bytes or {_MOST_VALUES} values: send less")


async def _refuse_socket(scope: Scope, send: Send) -> None:
    """This app has no websockets; where the server can say it in HTTP, it says that it costs nothing."""
    if "websocket.http.response" not in scope.get("extensions", {}):
        await send({"type": "websocket.close", "code": 1000})
        return
    headers = with_units([(b"content-type", b"text/plain")], 0)
    await send({"type": "websocket.http.response.start", "status": 404, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": b"this app has no websockets"})
