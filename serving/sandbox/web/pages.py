"""The few pages that a browser can see; every one says that this is a sandbox."""

from html import escape

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from ..accounts import Account
from ..gateway.gateway import Gateway, Refused
from ..state import State, full_name

NOTICE = "This is a lorasmith sandbox on 127.0.0.1, a stand-in for fal in development, demos and tests. No real money moves here."
PAGE = """<!doctype html><meta charset="utf-8"><title>{title} (sandbox)</title>
<style>body{{font:16px/1.5 system-ui;max-width:60rem;margin:2rem auto;padding:0 1rem}}
aside{{background:#fff3cd;border:1px solid #d9b84a;padding:.6rem 1rem}}td,th{{text-align:left;padding:.2rem 1rem .2rem 0}}</style>
<aside>{notice}</aside><h1>{title}</h1>{body}"""


class Pages:
    """An index without secrets, a page an app, the OpenAPI of an app, and who am I."""

    def __init__(self, state: State, gateway: Gateway, *, instance: str) -> None:
        self._state = state
        self._gateway = gateway
        self._instance = instance

    def routes(self) -> list[Route]:
        return [
            Route("/", self.index),
            Route("/sandbox.json", self.health),
            Route("/users/current", self.current_user),
            Route("/models/{owner}/{app}", self.app),
            Route("/models/{owner}/{app}/{path:path}", self.app),
            Route("/openapi/{owner}/{app}.json", self.openapi),
            Route("/logs/{owner}/{app}", self.log),
        ]

    async def index(self, request: Request) -> Response:
        return _page("lorasmith sandbox", "<p>Apps and requests: <code>lorasmith sandbox status</code>.</p>")

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

    async def app(self, request: Request) -> Response:
        """What a visitor may know of an app that is not private."""
        owner, name = request.path_params["owner"], request.path_params["app"]
        alias = self._state.alias(owner, name)
        if alias is None or alias.auth_mode == "private":
            raise Refused(status=404, detail=f"Application '{owner}/{name}' not found.", error_type="not_found")
        rows = {"revision": alias.revision, "environment": alias.environment, "auth": alias.auth_mode}
        table = "".join(f"<tr><th>{escape(key)}<td>{escape(value)}" for key, value in rows.items())
        link = f"/openapi/{escape(owner)}/{escape(name)}.json"
        return _page(f"{owner}/{name}", f"<table>{table}</table><p><a href='{link}'>OpenAPI</a></p>")

    async def openapi(self, request: Request) -> Response:
        """The OpenAPI that the app was deployed with, for who may call it; no runner is woken."""
        owner, name = request.path_params["owner"], request.path_params["app"]
        account = self._gateway.account(request)
        alias = self._state.alias(owner, full_name(name, ""))
        revision = self._state.revision(alias.revision) if alias is not None else None
        private = alias is not None and alias.auth_mode == "private" and (account is None or account.nickname != owner)
        if alias is None or revision is None or private:
            raise Refused(status=404, detail=f"Application '{owner}/{name}' not found.", error_type="not_found")
        return JSONResponse(revision.metadata.get("openapi") or {})

    async def log(self, request: Request) -> Response:
        account = self._known(request)
        alias = self._state.alias(account.nickname, request.path_params["app"])
        if alias is None or request.path_params["owner"] != account.nickname:
            raise Refused(status=404, detail="No such application.", error_type="not_found")
        return PlainTextResponse(f"{NOTICE}\nlogs of {alias.name}: sandbox/logs/{alias.name}-{alias.revision[:8]}.log\n")

    def _known(self, request: Request) -> Account:
        account = self._gateway.account(request)
        if account is None:
            raise Refused(status=401, detail="A key is required.", error_type="unauthorized")
        return account


def _page(title: str, body: str) -> HTMLResponse:
    policy = "default-src 'none'; style-src 'unsafe-inline'"
    return HTMLResponse(PAGE.format(title=escape(title), notice=NOTICE, body=body), headers={"content-security-policy": policy})
