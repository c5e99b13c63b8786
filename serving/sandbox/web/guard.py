"""What every HTTP request must show before anything else looks at it, and what apps may not do to the origin of the pages."""

import json
from collections.abc import Iterable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .notice import NOTICE

OWN_PLACES = ("/sandbox/", "/models/")
# Apps and stored files answer on the origin of the pages: what a browser shows of them runs nothing and knows nothing here.
ISOLATED = (b"content-security-policy", b"sandbox; default-src 'none'")
KEPT_AWAY = frozenset((b"content-security-policy", b"set-cookie", b"clear-site-data", b"service-worker-allowed"))


class Guard:
    """Answers only to the address that it was bound to, so that no name that somebody points at 127.0.0.1 reaches it."""

    def __init__(self, app: ASGIApp, *, address: str) -> None:
        self._app = app
        self._address = address

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = scope.get("headers", ())
        if [value for name, value in headers if name == b"host"] != [self._address.encode()]:
            detail = f"This is a lorasmith sandbox: it answers at https://{self._address} only, and to no other name."
            await _refuse(scope, send, 421, detail, "misdirected_request")
        elif _is_own(scope["path"]) and scope.get("method") == "OPTIONS":
            await _refuse(scope, send, 405, "The pages of the sandbox are for no other origin.", "bad_request")
        elif _from_browser(headers) and not _is_own(scope["path"]):
            await self._app(scope, receive, isolated(send))
        else:
            await self._app(scope, receive, send)


def isolated(send: Send) -> Send:
    """A `send` whose response can touch nothing of the pages: no script, no cookie."""

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = [(name, value) for name, value in message.get("headers", ()) if name.lower() not in KEPT_AWAY]
            message = {**message, "headers": [*headers, ISOLATED]}
        await send(message)

    return sending


def _from_browser(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    return any(name.startswith(b"sec-fetch-") or name == b"origin" for name, _ in headers)


def _is_own(path: str) -> bool:
    return path == "/" or path.startswith(OWN_PLACES)


async def _refuse(scope: Scope, send: Send, status: int, detail: str, error_type: str) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008})
        return
    body = json.dumps({"sandbox": True, "notice": NOTICE, "detail": detail, "error_type": error_type}).encode()
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-type", b"application/json")]})
    await send({"type": "http.response.body", "body": body})
