"""The playground calls like any caller: behind the session its requests become those of an account, and no page sees a key."""

from collections.abc import Mapping
from urllib.parse import quote

from starlette.requests import Request
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from ..gateway.replies import Refused
from .guard import isolated
from .visits import PAGE_HEADER, Visits, refused, said

METHODS = ["GET", "POST", "PUT"]
# What a page may do in an account's name: the queue protocol, and uploads for the fields that take a file.
REACHED = ("queue/", "storage/upload/initiate")
KEPT = ("type", "asgi", "http_version", "method", "scheme", "query_string", "client", "server")
OF_THE_PAGE = (b"cookie", b"origin", b"referer", b"authorization", PAGE_HEADER.encode())


class Relay:
    """`/sandbox/as/{nickname}/...` is `...` with the key of that account."""

    def __init__(self, inner: ASGIApp, visits: Visits, keys: Mapping[str, str]) -> None:
        self._inner = inner
        self._visits = visits
        self._keys = keys

    def routes(self) -> list[Route]:
        return [Route("/sandbox/as/{nickname}/{path:path}", self, methods=METHODS)]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope)
        nickname, path = request.path_params["nickname"], request.path_params["path"]
        try:
            self._visits.require(request)
        except Refused as refusal:
            await refused(refusal)(scope, receive, send)
            return
        if nickname not in self._keys or not path.startswith(REACHED):
            await said({"detail": "The playground reaches the queue and the storage only."}, 404)(scope, receive, send)
            return
        headers = [(name, value) for name, value in scope["headers"] if name not in OF_THE_PAGE and not name.startswith(b"sec-")]
        headers.append((b"authorization", f"Key {self._keys[nickname]}".encode()))
        own = {"headers": headers, "path": f"/{path}", "raw_path": quote(f"/{path}").encode(), "path_params": {}, "root_path": ""}
        kept = {name: scope[name] for name in KEPT}
        await self._inner({**kept, **own}, receive, isolated(send))
