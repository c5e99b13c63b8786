"""One HTTP exchange with an ASGI app, message by message, and the platform that sends a request again under its id."""

import asyncio
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

UNITS = b"x-fal-billable-units"
ATTEMPTS = 10  # of fal's queue for one request


@dataclass(kw_only=True)
class Seen:
    """What came back; `complete` unless the connection broke before the end of the answer."""

    status: int = 0
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    body: bytes = b""
    complete: bool = False
    answers: int = 0

    @property
    def units(self) -> list[str]:
        """Every statement of units."""
        return [value.decode() for name, value in self.headers if name.lower() == UNITS]

    def json(self) -> Any:
        return json.loads(self.body)

    def header(self, name: bytes) -> bytes | None:
        return dict(self.headers).get(name)


async def exchange(
    app: Any,
    path: str = "/",
    *,
    method: str = "POST",
    body: bytes | Mapping[str, Any] = b"",
    headers: Iterable[tuple[bytes, bytes]] = (),
    leave: asyncio.Event | None = None,
) -> Seen:
    """Send a request; where `leave` is set before the answer is there, the caller closes the connection."""
    seen, leave, done = Seen(), leave or asyncio.Event(), asyncio.Event()
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    messages = [{"type": "http.request", "body": data, "more_body": False}]

    async def receive() -> dict[str, Any]:
        if messages:
            return messages.pop(0)
        waiting = [asyncio.create_task(leave.wait()), asyncio.create_task(done.wait())]
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in waiting:
                task.cancel()
        return {"type": "http.disconnect"}

    async def send(message: Mapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            seen.answers += 1
            seen.status, seen.headers = message["status"], [*message["headers"]]
        else:
            seen.body += message.get("body", b"")
            seen.complete = not message.get("more_body", False)
            if seen.complete:
                done.set()

    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": b"",
        "headers": [(b"host", b"runner"), (b"content-type", b"application/json"), *headers],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 2),
        "state": {},
    }
    await app(scope, receive, send)
    return seen


@dataclass(kw_only=True)
class Platform:
    """Carries requests to an app as fal's queue does, and bills what it brings back: one row for each request id."""

    app: Any
    ledger: dict[str, tuple[int, int]] = field(default_factory=dict)
    attempts: dict[str, int] = field(default_factory=dict)

    async def carry(self, request_id: str, path: str = "/", *, drops: int = 0, **request: Any) -> Seen:
        """Bring one request to the app until it is answered; the first `drops` connections are lost while it is at work."""
        headers = [(b"x-fal-request-id", request_id.encode()), *request.pop("headers", ())]
        for attempt in range(ATTEMPTS):
            self.attempts[request_id] = attempt + 1
            leave = asyncio.Event()
            if attempt < drops:
                asyncio.get_running_loop().call_later(0.001, leave.set)
            seen = await exchange(self.app, path, headers=headers, leave=leave, **request)
            again = seen.header(b"x-fal-needs-retry") == b"1" or seen.status == 503
            if attempt >= drops and seen.complete and not again:
                break
        self.ledger[request_id] = (seen.status, int("".join(seen.units)))
        return seen
