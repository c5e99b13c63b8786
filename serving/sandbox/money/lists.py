"""The lists that owners and callers both ask for: requests one by one, and a series of what they come to over time."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse

from ..fleet.records import RunnerRecords
from .ledger import Ledger
from .reports import METRICS, Row, analytics, split
from .rest import Page, Series, chosen, expansions, invalid, many, page, series, span
from .selection import STATUSES, Selection
from .windows import Span, buckets, iso

MOST_REQUESTS, SOME_REQUESTS = 100, 50
LOOK_BACK_DAYS = 90.0
MEASURED = "endpoint, status, error_type, runner, created_at, ended_at, wait_seconds, seconds, served_seconds"


def requests_list(ledger: Ledger, request: Request, *, billing: bool, endpoints: Sequence[str], **whose: str) -> JSONResponse:
    """One page of requests, the last ended first; `whose` is owner=... or caller=..., `billing` lets expand=billing in."""
    expand = expansions(request, ("payloads", "billing") if billing else ("payloads",))
    one = request.query_params.get("request_id")
    asked = page(
        request,
        most=MOST_REQUESTS,
        default=SOME_REQUESTS,
        last=ledger.last(),
        span=span(request, days=LOOK_BACK_DAYS if one else 1),
    )
    order = chosen(request, "sort_by", ("ended_at", "duration"), "ended_at")
    wanted = Selection(
        span=asked.span,
        upto=asked.upto,
        endpoints=endpoints,
        request_ids=(one,) if one else (),
        status=chosen(request, "status", tuple(STATUSES)),
        **whose,  # type: ignore[arg-type]
    )
    rows, more = paged(ledger, wanted, asked, order="ended_at" if order == "ended_at" else "ended_at - created_at")
    return JSONResponse({"items": [_item(row, with_units="billing" in expand) for row in rows], **asked.body(more)})


def paged(ledger: Ledger, wanted: Selection, asked: Page, *, order: str = "ended_at") -> tuple[list[Row], bool]:
    """The rows of a page, and whether there are more."""
    where, values = wanted.where()
    rows = ledger.find(where, values, limit=asked.limit + 1, offset=asked.offset, order=order)
    return [*rows[: asked.limit]], len(rows) > asked.limit


def series_body(
    asked: Series, tell: Callable[[Span], list[dict[str, Any]]], told: Callable[[Sequence[Span]], Iterable[list[dict[str, Any]]]]
) -> dict[str, Any]:
    """time_series (a page of the buckets that hold something) and summary (of the whole span), as far as they are asked for."""
    body: dict[str, Any] = {}
    more = False
    if "time_series" in asked.expand:
        parts = list(buckets(asked.page.span, asked.timeframe, asked.zone))
        results = zip(parts, told([part for _, part in parts]), strict=True)
        full = [{"bucket": begin.isoformat(), "results": found} for (begin, _), found in results if found]
        body["time_series"] = full[asked.page.offset :][: asked.page.limit]
        more = len(full) > asked.page.offset + asked.page.limit
    if "summary" in asked.expand:
        body["summary"] = tell(asked.page.span)
    return body | asked.page.body(more)


def analytics_reply(
    ledger: Ledger, records: RunnerRecords, request: Request, *, endpoints: Sequence[str], **whose: str
) -> JSONResponse:
    """Analytics of the requests that `whose` (owner=... or caller=...) and the endpoints select."""
    asked = series(
        request, last=ledger.last(), expand=("time_series", "summary", *METRICS), default=("time_series", "request_count")
    )
    if not asked.expand & set(METRICS):
        raise invalid(f"expand: at least one metric is needed, such as {METRICS[0]}")
    wanted = Selection(span=asked.page.span, upto=asked.page.upto, endpoints=endpoints, **whose)  # type: ignore[arg-type]
    rows = with_boots(ledger.find(*wanted.where(), columns=MEASURED), records)

    def told(parts: Sequence[Span]) -> Iterable[list[dict[str, Any]]]:
        return (analytics(found, asked.expand) for found in split(rows, parts))

    return JSONResponse(series_body(asked, lambda _: analytics(rows, asked.expand), told))


def with_boots(rows: list[dict[str, Any]], records: RunnerRecords) -> list[Row]:
    """The rows, with `boot_seconds`: how long the start took of the runner that a request had to wait for, else None."""
    earliest = min((row["created_at"] for row in rows), default=0.0)
    starts = {row.id: (row.started_at, row.ready_at) for row in records.rows(since=earliest) if row.ready_at is not None}
    for row in rows:
        began, ready = starts.get(row["runner"], (0.0, 0.0))
        row["boot_seconds"] = ready - began if row["created_at"] < ready else None
    return [*rows]


def endpoint_ids(request: Request, *, needed: bool = False) -> tuple[str, ...]:
    """The endpoints that are asked for, each `owner/app` or a route of it."""
    found = many(request, "endpoint_id", needed=needed)
    for endpoint in found:
        if endpoint.count("/") < 1 or not all(endpoint.split("/", 2)[:2]):
            raise invalid(f"endpoint_id: '{endpoint}' is not of the form owner/app")
    return tuple(endpoint.rstrip("/") for endpoint in found)


def _item(row: Row, *, with_units: bool) -> dict[str, Any]:
    """The fields of fal's request item; payloads are not kept here."""
    item = {
        "request_id": row["request_id"],
        "endpoint_id": row["endpoint"],
        "sent_at": iso(row["created_at"]),
        "started_at": iso(row["created_at"] + row["wait_seconds"]),
        "ended_at": iso(row["ended_at"]),
        "status_code": row["status"],
        "duration": round(row["ended_at"] - row["created_at"], 6),
        "runner_id": row["runner"],
    }
    units = row["billable_units"]
    return item | ({"billable_units": None if units is None else float(units)} if with_units else {})
