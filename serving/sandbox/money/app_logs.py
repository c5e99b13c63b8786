"""What apps wrote, in the shape of fal's log history; as long as their runner's log is held in memory."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import BaseModel, TypeAdapter, ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse

from ..accounts import Account
from ..fleet.fleet import Fleet
from ..state import Revision, State
from .rest import chosen, invalid, limit_of, many, span

LEVEL, ABOVE = "info", ("warning", "error", "critical")
SOURCES = ("grpc-run", "grpc-register", "gateway", "cron")
NOT_KEPT = ("request_id", "job_id")


class LabelFilter(BaseModel):
    """One condition on a label of a line."""

    key: str
    value: str | list[str]
    condition_type: Literal["equals", "in", "not_equals", "not_in"] = "equals"

    def lets_through(self, labels: Mapping[str, str]) -> bool:
        values = [self.value] if isinstance(self.value, str) else self.value
        return (labels.get(self.key) in values) is not self.condition_type.startswith("not_")


FILTERS = TypeAdapter(list[LabelFilter])


async def log_page(request: Request, account: Account, state: State, fleet: Fleet) -> JSONResponse:
    """A page of lines of the account's apps, the newest first; the cursor is the time before which the next page ends."""
    for name in NOT_KEPT:
        if name in request.query_params:
            raise invalid(f"{name}: the sandbox keeps lines by revision only; leave it out")
    try:
        filters = FILTERS.validate_json(await request.body() or b"[]")
    except ValidationError as error:
        raise invalid(f"body: a list of label filters is needed ({error.error_count()} faults)") from error
    limit, (start, end) = limit_of(request, most=1000, default=100), _moments(request)
    of_gateway = chosen(request, "run_source", SOURCES, "gateway") == "gateway"
    shown = of_gateway and request.query_params.get("level", LEVEL).lower() not in ABOVE
    search = request.query_params.get("search", "").lower()
    lines = [
        line
        for line in (_lines(_wanted(request, account, state), fleet) if shown else ())
        if start <= line["at"] < end and search in line["message"].lower()
        if all(one.lets_through(line["labels"]) for one in filters)
    ]
    lines.sort(key=lambda line: line["at"], reverse=True)
    count = limit
    while 0 < count < len(lines) and lines[count]["at"] == lines[count - 1]["at"]:
        count += 1  # what was written at one moment stays together
    more = count < len(lines)
    body = {"next_cursor": _stamp(lines[count - 1]["at"]) if more else None, "has_more": more}
    items = [{"timestamp": _stamp(line.pop("at")), **line} for line in lines[:count]]
    return JSONResponse({"items": items, **body})


def _wanted(request: Request, account: Account, state: State) -> list[Revision]:
    apps, revision = many(request, "app_id"), request.query_params.get("revision")
    revisions = state.revisions(account.nickname)
    named = [found for found in revisions if not apps or f"{found.owner}/{found.alias}" in apps]
    return [found for found in named if revision in (None, found.id)]


def _lines(revisions: Iterable[Revision], fleet: Fleet) -> Iterable[dict[str, Any]]:
    for revision in revisions:
        log = fleet.log_of(revision.id)
        names = {"app": revision.alias, "revision": revision.id}
        labels = {"app": revision.alias, "app_id": revision.id, "source": "gateway", "isolate_source": "USER"}
        for line in log.since(0) if log is not None else ():
            if line.source == "user":
                yield {"at": datetime.fromtimestamp(line.at, UTC), "level": LEVEL, "message": line.text, **names, "labels": labels}


def _moments(request: Request) -> tuple[datetime, datetime]:
    """From when to before when; a cursor stands for the end. As datetimes, which like the cursor are whole microseconds."""
    asked, cursor = span(request), request.query_params.get("cursor")
    start, end = (datetime.fromtimestamp(moment, UTC) for moment in (asked.start, asked.end))
    if cursor is None:
        return start, end
    try:
        before = datetime.fromisoformat(cursor)
    except ValueError as error:
        raise invalid(f"cursor: '{cursor}' is no time in ISO 8601") from error
    if before.tzinfo is None:
        raise invalid(f"cursor: '{cursor}' has no time zone; give the cursor as it was told")
    return start, before


def _stamp(moment: datetime) -> str:
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")
