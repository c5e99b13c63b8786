"""fal's platform API for who calls apps (/v1/models): what there is, what it costs, and what the account itself used."""

import json
import time
from decimal import Decimal
from typing import Any, Literal

from pydantic import BaseModel, Field, TypeAdapter, ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ..accounts import Account, Keyring
from ..fleet.records import RunnerRecords
from ..state import Alias, State
from .billing import SHARED, cost_nano
from .ledger import Ledger
from .lists import LOOK_BACK_DAYS, analytics_reply, endpoint_ids, paged, requests_list, series_body
from .prices import CURRENCY, SECOND, Price, Prices, app_of, machine_rate
from .reports import Row, dollars, split, usage
from .rest import ADMIN_SCOPE, NO_SCOPE, Denied, expansions, invalid, many, page, route, series, span
from .selection import Selection
from .windows import DAY, Span, iso

MOST_EVENTS, MOST_MODELS = 10_000, 1000
HISTORY_DAYS = 30.0
CHARGED = "endpoint, ended_at, unit, quantity, unit_price_nano, cost_nano"


class Calls(BaseModel):
    call_quantity: int = Field(ge=1, le=10**9)


class Units(BaseModel):
    unit_quantity: Decimal = Field(ge=Decimal("1e-6"), le=10**12)


class ByHistory(BaseModel):
    estimate_type: Literal["historical_api_price"]
    endpoints: dict[str, Calls] = Field(min_length=1, max_length=50)


class ByUnit(BaseModel):
    estimate_type: Literal["unit_price"]
    endpoints: dict[str, Units] = Field(min_length=1, max_length=50)


ESTIMATE: TypeAdapter[ByHistory | ByUnit] = TypeAdapter(ByHistory | ByUnit)


class ModelsApi:
    """Answers accounts about the apps that they may call, and about their own requests only."""

    def __init__(self, state: State, ledger: Ledger, keyring: Keyring, records: RunnerRecords) -> None:
        self._state = state
        self._ledger = ledger
        self._keyring = keyring
        self._records = records
        self._prices = Prices(state.db)

    def routes(self) -> list[Route]:
        ring = self._keyring
        return [
            route(ring, "/models", self.models, scope=NO_SCOPE),
            route(ring, "/models/pricing", self.pricing),
            route(ring, "/models/pricing/estimate", self.estimate, method="POST"),
            route(ring, "/models/usage", self.usage, scope=ADMIN_SCOPE),
            route(ring, "/models/analytics", self.analytics),
            route(ring, "/models/billing-events", self.billing_events, scope=ADMIN_SCOPE),
            route(ring, "/models/requests/by-endpoint", self.requests),
        ]

    async def models(self, account: Account, request: Request) -> Response:
        """Apps that the account may call; a card (`metadata`) is what fal's team writes, so here there is none."""
        expand, named = expansions(request, ("openapi-3.0", "enterprise_status")), endpoint_ids(request)
        words = request.query_params.get("q", "").lower()
        found = [alias for alias in self._state.aliases() if _may_call(account, alias) and words in alias.name.lower()]
        found = [alias for alias in found if not named or f"{alias.owner}/{alias.name}" in named]
        asked = page(request, most=MOST_MODELS, default=50, last=0, span=Span(start=0.0, end=1.0))
        shown = found[asked.offset :][: asked.limit]
        bodies = [self._model(alias, with_openapi="openapi-3.0" in expand) for alias in shown]
        return JSONResponse({"models": bodies, **asked.body(len(found) > asked.offset + asked.limit)})

    async def pricing(self, account: Account, request: Request) -> Response:
        prices = [self._price(account, endpoint) for endpoint in endpoint_ids(request, needed=True)]
        bodies = [
            {"endpoint_id": price.endpoint, "unit_price": dollars(price.nano), "unit": price.unit, "currency": CURRENCY}
            for price in prices
        ]
        return JSONResponse({"prices": bodies, "next_cursor": None, "has_more": False})

    async def estimate(self, account: Account, request: Request) -> Response:
        try:
            asked = ESTIMATE.validate_python(json.loads(await request.body(), parse_float=Decimal))
        except (ValueError, RecursionError, ValidationError) as error:
            raise invalid("body: estimate_type (historical_api_price or unit_price) and endpoints are needed") from error
        if isinstance(asked, ByUnit):
            units = [(self._price(account, name).nano, item.unit_quantity) for name, item in asked.endpoints.items()]
            total = sum(cost_nano(quantity, nano) or 0 for nano, quantity in units)
        else:
            total = sum(self._of_history(account, name, item.call_quantity) for name, item in asked.endpoints.items())
        return JSONResponse({"estimate_type": asked.estimate_type, "total_cost": dollars(total), "currency": CURRENCY})

    async def usage(self, account: Account, request: Request) -> Response:
        """What the account pays for by request; a line for each endpoint, unit and price."""
        asked = series(request, last=self._ledger.last(), expand=("time_series", "summary"), default=("time_series",))
        wanted = Selection(
            span=asked.page.span,
            upto=asked.page.upto,
            caller=account.nickname,
            payer=account.nickname,
            endpoints=endpoint_ids(request),
        )
        rows: list[Row] = [*self._ledger.find(*wanted.where(), columns=CHARGED)]

        def tell(found: list[Row]) -> list[dict[str, Any]]:
            return [line.body() for line in usage(found)]

        return JSONResponse(series_body(asked, lambda _: tell(rows), lambda parts: map(tell, split(rows, parts))))

    async def analytics(self, account: Account, request: Request) -> Response:
        endpoints = endpoint_ids(request, needed=True)
        return analytics_reply(self._ledger, self._records, request, endpoints=endpoints, caller=account.nickname)

    async def billing_events(self, account: Account, request: Request) -> Response:
        """One event a billed request of the account, the last first; what ended in 5xx or reached no runner has none."""
        expansions(request, ())
        asked_span = span(request, most_days=LOOK_BACK_DAYS)
        asked = page(request, most=MOST_EVENTS, default=MOST_EVENTS, last=self._ledger.last(), span=asked_span)
        wanted = Selection(
            span=asked.span,
            upto=asked.upto,
            caller=account.nickname,
            payer=account.nickname,
            endpoints=endpoint_ids(request),
            request_ids=many(request, "request_id"),
            billed=True,
        )
        rows, more = paged(self._ledger, wanted, asked)
        return JSONResponse({"billing_events": [_event(row) for row in rows], **asked.body(more)})

    async def requests(self, account: Account, request: Request) -> Response:
        endpoints = endpoint_ids(request, needed=True)
        return requests_list(self._ledger, request, billing=False, endpoints=endpoints, caller=account.nickname)

    def _price(self, account: Account, endpoint: str) -> Price:
        """The price that was set, else the rate of the app's machine by the second; 404 where neither is known."""
        owner, name = app_of(endpoint).split("/")
        alias = self._state.alias(owner, name)
        if alias is None or not _may_call(account, alias):
            raise Denied(404, "not_found", f"Endpoint '{endpoint}' not found")
        price = self._prices.of(endpoint)
        if price is not None:
            return Price(endpoint=endpoint, unit=price.unit, nano=price.nano, set_at=price.set_at)
        machine = next(iter(alias.settings.get("machine_types") or ()), "")
        rate = machine_rate(machine, int(alias.settings.get("num_gpus") or 1))
        if rate is None:
            raise Denied(
                404, "not_found", f"No price is set for '{endpoint}', and the rate of machine type '{machine}' is not known"
            )
        return Price(endpoint=endpoint, unit=SECOND, nano=rate, set_at=0.0)

    def _of_history(self, account: Account, endpoint: str, calls: int) -> int:
        """Nano-USD of so many calls, each at the mean of what callers paid in the last 30 days."""
        self._price(account, endpoint)
        now = time.time()
        wanted = Selection(
            span=Span(start=now - HISTORY_DAYS * DAY, end=now), upto=self._ledger.last(), endpoints=(endpoint,), billed=True
        )
        costs = [
            row["cost_nano"] for row in self._ledger.find(*wanted.where(), columns="cost_nano") if row["cost_nano"] is not None
        ]
        if not costs:
            raise Denied(404, "not_found", f"No request to '{endpoint}' was billed in the last {HISTORY_DAYS:.0f} days")
        return cost_nano(Decimal(calls) / len(costs), sum(costs)) or 0

    def _model(self, alias: Alias, *, with_openapi: bool) -> dict[str, Any]:
        body: dict[str, Any] = {"endpoint_id": f"{alias.owner}/{alias.name}"}
        if not with_openapi:
            return body
        revision = self._state.revision(alias.revision)
        openapi = revision.metadata.get("openapi") if revision is not None else None
        fault = {"error": {"code": "expansion_failed", "message": "The app was deployed without OpenAPI."}}
        return body | {"openapi": openapi or fault}


def _may_call(account: Account, alias: Alias) -> bool:
    return alias.auth_mode in (SHARED, "public") or alias.owner == account.nickname


def _event(row: Row) -> dict[str, Any]:
    """The fields of fal's billing event; money of unknown price is null."""
    cost = dollars(row["cost_nano"])
    return {
        "request_id": row["request_id"],
        "endpoint_id": row["endpoint"],
        "timestamp": iso(row["ended_at"]),
        "output_units": float(row["quantity"]),
        "unit_price": dollars(row["unit_price_nano"]),
        "percent_discount": None,
        "cost_subtotal": cost,
        "cost_discount": 0,
        "cost_total": cost,
        "cost_estimate_nano_usd": row["cost_nano"],
    }
