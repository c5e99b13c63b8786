"""The pages that a browser gets: shells that say what this is and hold no data, and what they are made of."""

from html import escape
from pathlib import Path
from string import Template
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from ..accounts import Account
from ..gateway.gateway import Gateway
from ..gateway.replies import Refused
from ..state import Alias, Revision, State
from .notice import NOTICE
from .visits import Visits, said

STATIC = Path(__file__).with_name("static")
METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]
TYPES = {".js": "text/javascript", ".css": "text/css"}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data: blob:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}


class Pages:
    """Overview, playground, the page that a link opens; the OpenAPI and log of an app; who am I."""

    def __init__(self, state: State, gateway: Gateway, visits: Visits, *, instance: str) -> None:
        self._state = state
        self._gateway = gateway
        self._visits = visits
        self._instance = instance
        self._shell = Template((STATIC / "page.html").read_text())
        self._static = {path.name: path.read_bytes() for path in STATIC.iterdir() if path.suffix in TYPES}

    def routes(self) -> list[Route]:
        return [
            Route("/", self.overview),
            Route("/sandbox.json", self.health),
            Route("/sandbox/open", self.open),
            Route("/sandbox/static/{name}", self.static),
            Route("/users/current", self.current_user),
            Route("/models/{owner}/{app}", self.playground),
            Route("/models/{owner}/{app}/{path:path}", self.playground),
            Route("/openapi/{owner}/{app}.json", self.openapi),
            Route("/logs/{owner}/{app}", self.log),
        ]

    def last_routes(self) -> list[Route]:
        """After all others of the web: nothing under its places is ever taken for an app of an account called `sandbox`."""
        return [Route(f"/{place}/{{path:path}}", self.nothing, methods=METHODS) for place in ("sandbox", "models")]

    async def overview(self, request: Request) -> Response:
        return self._page(request, "Overview", "overview")

    async def playground(self, request: Request) -> Response:
        """The same page for every name: whether there is such an app is told to a session only."""
        return self._page(request, f"{request.path_params['owner']}/{request.path_params['app']}", "playground")

    async def open(self, request: Request) -> Response:
        """Its script takes the token from the fragment; without one the page says how to come by a link."""
        return self._answer("Open", "open")

    async def static(self, request: Request) -> Response:
        name = str(request.path_params["name"])
        content = self._static.get(name)
        if content is None:
            raise Refused(status=404, detail="No such file.", error_type="not_found")
        return Response(content, media_type=TYPES[Path(name).suffix], headers=HEADERS | {"cache-control": "no-cache"})

    async def nothing(self, request: Request) -> Response:
        return said({"detail": "There is nothing here.", "error_type": "not_found"}, 404)

    async def health(self, request: Request) -> Response:
        return JSONResponse({"sandbox": True, "instance": self._instance, "notice": NOTICE})

    async def current_user(self, request: Request) -> Response:
        account = self._known(request)
        return JSONResponse(
            {
                "full_name": f"{account.nickname} (sandbox)",
                "nickname": account.nickname,
                "user_id": account.user_id,
                "is_personal": True,
                "is_locked": False,
                "is_paying": False,
            }
        )

    async def openapi(self, request: Request) -> Response:
        """The OpenAPI that the app was deployed with, for who may call it; no runner is woken."""
        alias, revision = self._called(request)
        account = self._gateway.account(request)
        if alias.auth_mode != "public" and (account is None or (alias.auth_mode == "private" and account.nickname != alias.owner)):
            raise _unknown(alias.owner, alias.name)
        return JSONResponse(revision.metadata.get("openapi") or {})

    async def log(self, request: Request) -> Response:
        """For a key, where the lines are; a browser is shown them at the foot of the playground."""
        owner, name = request.path_params["owner"], request.path_params["app"]
        if "authorization" not in request.headers:
            return RedirectResponse(f"/models/{owner}/{name}#log", 303)
        account = self._known(request)
        alias = self._state.alias(account.nickname, name)
        if alias is None or owner != account.nickname:
            raise _unknown(owner, name)
        return PlainTextResponse(f"{NOTICE}\nlogs of {alias.name}: sandbox/logs/{alias.name}-{alias.revision[:8]}.log\n")

    def _called(self, request: Request) -> tuple[Alias, Revision]:
        owner, name = request.path_params["owner"], request.path_params["app"]
        alias = self._state.alias(owner, name)
        revision = self._state.revision(alias.revision) if alias is not None else None
        if alias is None or revision is None:
            raise _unknown(owner, name)
        return alias, revision

    def _known(self, request: Request) -> Account:
        account = self._gateway.account(request)
        if account is None:
            raise Refused(status=401, detail="A key is required.", error_type="unauthorized")
        return account

    def _page(self, request: Request, title: str, kind: str) -> HTMLResponse:
        return self._answer(title, kind) if self._visits.shown(request) else self._answer("Locked", "open")

    def _answer(self, title: str, kind: str) -> HTMLResponse:
        filled: dict[str, Any] = {"title": escape(title), "notice": escape(NOTICE), "kind": kind}
        return HTMLResponse(self._shell.substitute(filled), headers=HEADERS)


def _unknown(owner: str, name: str) -> Refused:
    return Refused(status=404, detail=f"Application '{owner}/{name}' not found.", error_type="not_found")
