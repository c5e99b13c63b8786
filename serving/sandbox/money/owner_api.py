"""fal's platform API for who owns apps (/v1/serverless, /v1/account): requests, usage, analytics, metrics, logs, queue."""

from collections.abc import Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from ..accounts import Account, Keyring
from ..fleet.fleet import Fleet
from ..state import Alias, State
from .app_logs import log_page
from .ledger import Ledger
from .lists import analytics_reply, endpoint_ids, requests_list, series_body
from .machines import machine_lines, paid_work
from .metrics import OpenRequests, exposition
from .prices import CURRENCY, NANO, app_of
from .reports import dollars
from .rest import ADMIN_SCOPE, LATEST, Denied, expansions, many, route, series
from .windows import Span

CREDIT_USD = 100  # what every account of the sandbox begins with; play money
DEFAULTS = {"keep_alive": 60, "min_concurrency": 0, "max_concurrency": 2, "request_timeout": 3600, "startup_timeout": 600}


class OwnerApi:
    """Answers accounts about the apps that they own, and nobody about those of others."""

    def __init__(self, state: State, ledger: Ledger, keyring: Keyring, fleet: Fleet, queue: OpenRequests) -> None:
        self._state = state
        self._ledger = ledger
        self._keyring = keyring
        self._fleet = fleet
        self._queue = queue

    def routes(self) -> list[Route]:
        ring = self._keyring
        return [
            route(ring, "/serverless/requests/by-endpoint", self.requests),
            route(ring, "/serverless/usage", self.usage, scope=ADMIN_SCOPE),
            route(ring, "/serverless/analytics", self.analytics),
            route(ring, "/serverless/metrics", self.metrics),
            route(ring, "/serverless/logs/history", self.logs, method="POST"),
            route(ring, "/serverless/apps", self.apps),
            route(ring, "/serverless/apps/{owner}/{name}/queue", self.queue_size),
            route(ring, "/serverless/apps/{owner}/{name}/queue", self.flush_queue, scope=("deploy",), method="DELETE"),
            route(ring, "/account/billing", self.billing, scope=ADMIN_SCOPE),
        ]

    async def requests(self, account: Account, request: Request) -> Response:
        endpoints = self._own(account, endpoint_ids(request, needed=True))
        return requests_list(self._ledger, request, billing=True, endpoints=endpoints, owner=account.nickname)

    async def usage(self, account: Account, request: Request) -> Response:
        """Machine seconds of the account's apps. What callers of a shared app pay for is not charged to its owner again."""
        asked = series(request, last=self._ledger.last(), expand=("time_series", "summary"), default=("time_series",))
        apps, search = many(request, "app"), request.query_params.get("search", "").lower()

        paid = paid_work(self._ledger, account.nickname, since=asked.page.span.start, upto=asked.page.upto)

        def tell(span: Span) -> list[dict[str, Any]]:
            lines = machine_lines(self._fleet.records, self._state.db, account.nickname, span, paid)
            shown = [line.body() for line in lines if not apps or dict(line.keys)["app"] in apps]
            return [line | {"is_surge": False} for line in shown if search in line["app"].lower()]

        return JSONResponse(series_body(asked, tell, lambda parts: map(tell, parts)))

    async def analytics(self, account: Account, request: Request) -> Response:
        endpoints = self._own(account, endpoint_ids(request, needed=True))
        return analytics_reply(self._ledger, self._fleet.records, request, endpoints=endpoints, owner=account.nickname)

    async def metrics(self, account: Account, request: Request) -> Response:
        text = exposition(account.nickname, self._state, self._ledger, self._fleet, self._queue)
        return PlainTextResponse(text)

    async def logs(self, account: Account, request: Request) -> Response:
        return await log_page(request, account, self._state, self._fleet)

    async def apps(self, account: Account, request: Request) -> Response:
        environment = request.query_params.get("environment") or "main"
        search = request.query_params.get("search", "").lower()
        expand = expansions(request, ("endpoints",))
        aliases = self._state.aliases(account.nickname, environment=environment)
        found = [alias for alias in aliases if search in alias.name.lower()]
        bodies = [_app(alias) | ({"endpoints": self._routes_of(alias)} if "endpoints" in expand else {}) for alias in found]
        return JSONResponse({"apps": bodies})

    async def queue_size(self, account: Account, request: Request) -> Response:
        return JSONResponse({"queue_size": len(self._waiting(account, request))})

    async def flush_queue(self, account: Account, request: Request) -> Response:
        """Cancels what waits; what runs goes on."""
        self._queue.flush(self._waiting(account, request))
        return Response(status_code=204)

    async def billing(self, account: Account, request: Request) -> Response:
        body: dict[str, Any] = {"username": account.nickname}
        if "credits" in expansions(request, ("credits",)):
            body["credits"] = {"current_balance": dollars(self._credit(account.nickname)), "currency": CURRENCY}
        return JSONResponse(body)

    def _waiting(self, account: Account, request: Request) -> Sequence[Any]:
        owner, name = request.path_params["owner"], request.path_params["name"]
        self._own(account, (f"{owner}/{name}",))
        return self._queue.waiting(owner, name)

    def _credit(self, account: str) -> int:
        """Nano-USD that are left after the account's requests and machines, as far as their prices are known."""
        paid = paid_work(self._ledger, account, since=0.0, upto=self._ledger.last())
        machines = machine_lines(self._fleet.records, self._state.db, account, Span(start=0.0, end=LATEST), paid)
        spent = self._ledger.paid_by(account) + sum(line.cost_nano or 0 for line in machines)
        return max(0, CREDIT_USD * NANO - spent)

    def _routes_of(self, alias: Alias) -> list[str]:
        """The endpoint ids of an app's routes, as its OpenAPI names them."""
        revision = self._state.revision(alias.revision)
        paths = (revision.metadata.get("openapi") or {}).get("paths", {}) if revision is not None else {}
        return sorted(f"{alias.owner}/{alias.name}{path.rstrip('/')}" for path in paths)

    def _own(self, account: Account, endpoints: Sequence[str]) -> Sequence[str]:
        """The endpoints, if they are all the account's own (403) and known (404)."""
        for endpoint in endpoints:
            owner, name = app_of(endpoint).split("/")
            if owner != account.nickname:
                raise Denied(403, "authorization_error", f"Access denied: '{endpoint}' belongs to somebody else")
            if self._state.alias(owner, name) is None and not self._ledger.knows(app_of(endpoint)):
                raise Denied(404, "not_found", f"Endpoint '{endpoint}' not found")
        return endpoints


def _app(alias: Alias) -> dict[str, Any]:
    """The fields of fal's list of apps; where the app set nothing, the platform's own number."""
    settings = DEFAULTS | alias.settings
    return {
        "endpoint_id": f"{alias.owner}/{alias.name}",
        "name": alias.name,
        "owner": alias.owner,
        "environment": alias.environment,
        "machine_type": next(iter(settings.get("machine_types") or ()), "S"),
        "auth_mode": alias.auth_mode,
        "valid_regions": list(settings.get("valid_regions") or ()),
        **{name: settings[name] for name in DEFAULTS},
    }
