"""Who may look: the owner's key makes a link, the link a session, the session opens the pages' data and nothing else does."""

from collections.abc import Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ..accounts import OWNER
from ..gateway.gateway import Gateway
from ..gateway.replies import Refused
from .notice import NOTICE
from .sessions import LINK_SECONDS, SESSION_SECONDS, Sessions

COOKIE = "__Host-lorasmith-sandbox"
PAGE_HEADER = "x-sandbox-session"
RIGHTS = ("call", "read", "billing")  # what a session can do
LONGEST_TOKEN = 200
LOCKED = "A session is needed: run `lorasmith sandbox open` and follow the link that it prints."
STALE = "This link is not valid (any more): it works once, for five minutes. Run `lorasmith sandbox open` again."


class Visits:
    """Routes of links and sessions, and the two questions that the other rooms of the web ask."""

    def __init__(self, gateway: Gateway, sessions: Sessions, address: str) -> None:
        self._gateway = gateway
        self._sessions = sessions
        self._origin = f"https://{address}"

    def routes(self) -> list[Route]:
        return [
            Route("/sandbox/link", self.link, methods=["POST"]),
            Route("/sandbox/session", self.open, methods=["POST"]),
            Route("/sandbox/session", self.close, methods=["DELETE"]),
        ]

    def shown(self, request: Request) -> bool:
        """Whether a page, which holds no data, may be the one of a session."""
        return self._sessions.knows_cookie(request.cookies.get(COOKIE, ""))

    def require(self, request: Request) -> None:
        """Refused unless the request is of a session's own page, or carries a key of the owner that may all that a session may."""
        account = self._gateway.account(request)
        if account is not None and account.nickname == OWNER and all(account.may(right) for right in RIGHTS):
            return
        self._require_own_page(request)
        if not self._sessions.knows(request.cookies.get(COOKIE, ""), request.headers.get(PAGE_HEADER, "")):
            raise Refused(status=401, detail=LOCKED, error_type="unauthorized")

    def data(self, answer: Callable[[Request], dict[str, Any]]) -> Callable[[Request], Any]:
        """A route that gives JSON to whom it may be shown; the JSON says what this is, a refusal too."""

        async def endpoint(request: Request) -> Response:
            try:
                self.require(request)
                return said(answer(request))
            except Refused as refusal:
                return refused(refusal)

        return endpoint

    async def link(self, request: Request) -> Response:
        """A link for whoever holds the owner's key; the token is in its fragment, which no request and no log carries."""
        try:
            account = self._gateway.account(request)
        except Refused as refusal:
            return refused(refusal)
        if account is None or account.nickname != OWNER or not all(account.may(right) for right in RIGHTS):
            detail = "Only a key of the owner that may call, read and see bills makes a link."
            return refused(Refused(status=403, detail=detail, error_type="forbidden"))
        return said({"url": f"{self._origin}/sandbox/open#{self._sessions.link()}", "expires_in": LINK_SECONDS})

    async def open(self, request: Request) -> Response:
        try:
            self._require_own_page(request)
            opened = self._sessions.redeem(await _token(request))
            if opened is None:
                raise Refused(status=403, detail=STALE, error_type="forbidden")
        except Refused as refusal:
            return refused(refusal)
        reply = said({"session": opened.page})
        reply.set_cookie(COOKIE, opened.cookie, max_age=int(SESSION_SECONDS), secure=True, httponly=True, samesite="strict")
        return reply

    async def close(self, request: Request) -> Response:
        try:
            self.require(request)
        except Refused as refusal:
            return refused(refusal)
        self._sessions.close(request.cookies.get(COOKIE, ""))
        reply = said({"closed": True})
        reply.delete_cookie(COOKIE, secure=True, httponly=True, samesite="strict")
        return reply

    def _require_own_page(self, request: Request) -> None:
        """What a page of another origin can not send: its own header, and an Origin that is ours."""
        origin, site = request.headers.get("origin"), request.headers.get("sec-fetch-site", "same-origin")
        named = origin == self._origin or (origin is None and request.method == "GET")
        if not named or site != "same-origin" or PAGE_HEADER not in request.headers:
            raise Refused(status=401, detail=LOCKED, error_type="unauthorized")


async def _token(request: Request) -> str:
    """The body, as far as a token can reach: whoever sends it is nobody yet."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > LONGEST_TOKEN:
            raise Refused(status=413, detail=STALE, error_type="payload_too_large")
    return body.decode("ascii", "replace")


def said(body: dict[str, Any], status: int = 200) -> JSONResponse:
    """JSON of a page."""
    return JSONResponse({"sandbox": True, "notice": NOTICE, **body}, status, headers={"cache-control": "no-store"})


def refused(refusal: Refused) -> JSONResponse:
    return said({"detail": refusal.detail, "error_type": refusal.error_type}, refusal.status)
