"""The outermost layer of the app: no response leaves without its billable units, and no exception leaves at all."""

import json
import sys
import time
import traceback
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from starlette.responses import JSONResponse

from .billing import BillingUnit, Receipt, units_of_response, with_units
from .errors import failure_of

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

RECEIPT = "lorasmith.receipt"  # where an endpoint finds its Receipt in the ASGI scope


class BillingBoundary:
    """ASGI middleware around everything of the SDK's but its last handler, which sees no exception any more.

    That handler sits outside of every middleware and answers 500 without units. So an exception becomes a response here.
    """

    def __init__(self, app: App, *, unit: BillingUnit) -> None:
        self.app, self.unit = app, unit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        receipt = scope[RECEIPT] = Receipt()
        began, sent = time.monotonic(), False

        async def send_billed(message: Message) -> None:
            nonlocal sent
            if message["type"] == "http.response.start":
                sent = True
                units = units_of_response(message["status"], receipt, self.unit)
                message = {**message, "headers": with_units(message.get("headers", ()), units)}
                _log(scope, status=message["status"], units=units, images=len(receipt.images), seconds=time.monotonic() - began)
            await send(message)

        try:
            await self.app(scope, receive, send_billed)
        except Exception as error:
            if sent:  # status and units are out already: all that is left is to break the connection
                raise
            await _answer_to(error)(scope, receive, send_billed)


def _answer_to(error: Exception) -> JSONResponse:
    """The response to an exception that no handler of the app took; its traceback goes to the log, never to the caller."""
    failure = failure_of(error)
    if failure is not error:
        print(json.dumps({"traceback": "".join(traceback.format_exception(error))}), file=sys.stderr, flush=True)
    # The same request would fail the same way; a runner with a lost CUDA context is the one case where another may do.
    headers = {"x-fal-needs-retry": "0"} if failure.status in (500, 504) else {}
    return JSONResponse(failure.body(), failure.status, headers=headers)


def _log(scope: Scope, *, status: int, units: int, images: int, seconds: float) -> None:
    """One line for each request, without its prompt; health checks are left out because they come every few seconds."""
    if scope["path"] == "/health":
        return
    request_id = next((value.decode("latin-1") for name, value in scope["headers"] if name == b"x-fal-request-id"), None)
    line = {"event": "request", "request_id": request_id, "path": scope["path"], "status": status, "units": units, "images": images}
    print(json.dumps({**line, "seconds": round(seconds, 3)}), flush=True)
