"""What callers get: an app's reply as it came, or a fault of the platform in the form that clients read."""

import json
from collections.abc import Iterable
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Send

CANCELLED = 499
LARGEST_HEADERS = 16 * 1024  # of a response, names and values together
UNITS = "x-fal-billable-units"
REQUEST_ID = "x-fal-request-id"
ERROR_TYPE = "x-fal-error-type"
NEEDS_RETRY = "x-fal-needs-retry"
STOP_RUNNER = "x-fal-stop-runner"
TIMEOUT_TYPE = "x-fal-request-timeout-type"
SERVED_FROM = "x-fal-served-from"
HOP_BY_HOP = frozenset(
    ("connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "te", "trailer", "transfer-encoding", "upgrade")
)
# Said by the platform alone, or meant for it.
NOT_PASSED = HOP_BY_HOP | {"content-length", "date", "server", REQUEST_ID, ERROR_TYPE, STOP_RUNNER, TIMEOUT_TYPE, SERVED_FROM}
ANY_ORIGIN = {"access-control-allow-origin": "*", "access-control-expose-headers": "*"}
_RAW_ANY_ORIGIN = [(name.encode(), value.encode()) for name, value in ANY_ORIGIN.items()]

Pairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Reply:
    """A whole reply; `error_type` is set where it is not the app that speaks. A streamed one has its body behind it already.

    ends_runner: what the app said about its runner in x-fal-stop-runner.
    """

    status: int
    headers: Pairs
    body: bytes
    error_type: str | None = None
    streamed: bool = False
    ends_runner: bool | None = None

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key == name), None)

    @property
    def units(self) -> str | None:
        return None if self.error_type else self.header(UNITS)


class Refused(Exception):
    """A request that reaches no app."""

    def __init__(self, *, status: int, detail: str, error_type: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.error_type = error_type


class Sender:
    """One response on its way to the caller: whole(), or begin(), pass_on() and end()."""

    def __init__(self, send: Send, request_id: str) -> None:
        self.begun = False
        self._send = send
        self._request_id = request_id

    async def whole(self, reply: Reply) -> None:
        await self.begin(reply.status, reply.headers, len(reply.body))
        await self._send({"type": "http.response.body", "body": reply.body})

    async def begin(self, status: int, headers: Pairs, length: int | None) -> None:
        self.begun = True
        raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
        raw.append((REQUEST_ID.encode(), self._request_id.encode()))
        if length is not None and status >= 200 and status != 204:
            raw.append((b"content-length", str(length).encode()))
        await self._send({"type": "http.response.start", "status": status, "headers": raw + _RAW_ANY_ORIGIN})

    async def pass_on(self, chunk: bytes) -> None:
        await self._send({"type": "http.response.body", "body": chunk, "more_body": True})

    async def end(self) -> None:
        await self._send({"type": "http.response.body", "body": b""})


def fault(status: int, detail: str, error_type: str, **headers: str) -> Reply:
    """A fault of the platform; it carries no units."""
    body = json.dumps({"detail": detail, "error_type": error_type}).encode()
    own = (("content-type", "application/json"), (ERROR_TYPE, error_type))
    return Reply(status=status, headers=(*own, *headers.items()), body=body, error_type=error_type)


def cancelled() -> Reply:
    return fault(CANCELLED, "The request was cancelled.", "client_cancelled")


def passed_headers(status: int, headers: Iterable[tuple[str, str]], runner_id: str) -> Pairs:
    """What of an app's headers, named in lower case, reaches the caller, and which runner it was."""
    pairs = list(headers)
    hop = {word.strip().lower() for name, value in pairs if name == "connection" for word in value.split(",")}
    if not is_retryable(status):
        hop.add(NEEDS_RETRY)
    kept = [pair for pair in pairs if pair[0] not in NOT_PASSED and pair[0] not in hop and pair[0] not in ANY_ORIGIN]
    return (*kept, (SERVED_FROM, runner_id))


def is_retryable(status: int) -> bool:
    """The statuses at which an app may say whether it shall be asked again."""
    return status >= 500 or status == 429


def size_of(headers: Pairs) -> int:
    """Bytes of a header block, line ends included."""
    return sum(len(name) + len(value) + 4 for name, value in headers)


def refusal_response(refusal: Refused, request_id: str) -> JSONResponse:
    headers = {REQUEST_ID: request_id, ERROR_TYPE: refusal.error_type, **ANY_ORIGIN}
    return JSONResponse({"detail": refusal.detail, "error_type": refusal.error_type}, refusal.status, headers=headers)


def said(body: object, status: int, request_id: str) -> JSONResponse:
    """JSON of the platform itself."""
    return JSONResponse(body, status, headers={REQUEST_ID: request_id, **ANY_ORIGIN})


def preflight_response(request: Request) -> Response | None:
    """The answer to a browser that asks whether a page of another origin may call; None for any other request."""
    if request.method != "OPTIONS":
        return None
    asked = request.headers.get("access-control-request-headers", "*")
    headers = {
        "access-control-allow-methods": "GET, POST, PUT, PATCH, DELETE, OPTIONS",
        "access-control-allow-headers": asked,
        "access-control-max-age": "600",
    }
    return Response(status_code=204, headers=headers | ANY_ORIGIN)
