"""How fal's platform API is asked and how it refuses: keys, parameters, spans, cursors, error bodies."""

import base64
import binascii
import time
import uuid
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ..accounts import Account, Keyring
from .windows import DAY, SHORTEST, TIMEFRAMES, Span, Timeframe, automatic, bound

MOST_IDS = 50
MOST_BUCKETS = 10_000
LATEST = 4102444800.0  # 2100-01-01
# Keys of fal's API scope read most of it; what tells of money asks for the admin scope.
API_SCOPE = ("read", "call")
ADMIN_SCOPE = ("billing",)
NO_SCOPE = ()  # a key is not needed
NOBODY = Account(nickname="", preset="AGENT")

Handler = Callable[[Account, Request], Awaitable[Response]]


class Denied(Exception):
    """A question that is not answered, with the status and the type that fal's error body has."""

    def __init__(self, status: int, kind: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind


@dataclass(frozen=True, kw_only=True, slots=True)
class Page:
    """One page of a list: `number` from 1; rows after `upto` came later and are not part of the list."""

    number: int
    limit: int
    upto: int
    span: Span

    @property
    def offset(self) -> int:
        return (self.number - 1) * self.limit

    def body(self, more: bool) -> dict[str, Any]:
        """next_cursor and has_more."""
        text = f"{self.number + 1}_{self.upto}_{self.span.start!r}_{self.span.end!r}"
        cursor = base64.urlsafe_b64encode(text.encode()).decode() if more else None
        return {"next_cursor": cursor, "has_more": more}


@dataclass(frozen=True, kw_only=True, slots=True)
class Series:
    """How a list over time is told."""

    page: Page
    timeframe: Timeframe
    zone: ZoneInfo
    expand: frozenset[str]


def route(keyring: Keyring, path: str, handler: Handler, *, scope: Sequence[str] = API_SCOPE, method: str = "GET") -> Route:
    """A route that answers keys with one of the rights of `scope`."""

    async def answer(request: Request) -> Response:
        try:
            return await handler(allowed(keyring, request, scope), request)
        except Denied as denial:
            return refusal(denial)

    return Route(f"/v1{path}", answer, methods=[method])


def unknown() -> Route:
    """What of the platform API the sandbox has not: it must not be taken for an app called `v1`."""

    async def answer(request: Request) -> Response:
        return refusal(Denied(404, "not_found", f"{request.method} {request.url.path} is not part of the sandbox"))

    return Route("/v1/{path:path}", answer, methods=["GET", "POST", "PUT", "PATCH", "DELETE"])


def allowed(keyring: Keyring, request: Request, scope: Sequence[str]) -> Account:
    """The account of the request's key: 401 without a known one, 403 where it has none of the rights of the scope."""
    header = request.headers.get("authorization")
    if header is None and not scope:
        return NOBODY
    account = keyring.account_of_header(header or "")
    if account is None:
        raise Denied(401, "authorization_error", "Authentication required")
    if scope and not any(account.may(right) for right in scope):
        raise Denied(403, "authorization_error", f"Access denied: a key of preset {account.preset} may not read this")
    return account


def refusal(denial: Denied) -> JSONResponse:
    error = {"type": denial.kind, "message": str(denial), "request_id": str(uuid.uuid4())}
    return JSONResponse({"error": error}, denial.status)


def invalid(message: str) -> Denied:
    return Denied(400, "validation_error", message)


def many(request: Request, name: str, *, needed: bool = False) -> tuple[str, ...]:
    """Values of a parameter that may be repeated and may hold commas; at most 50."""
    values = tuple(value for text in request.query_params.getlist(name) for value in text.split(",") if value)
    if needed and not values:
        raise invalid(f"{name}: give 1 to {MOST_IDS}")
    if len(values) > MOST_IDS:
        raise invalid(f"{name}: {len(values)} were given, at most {MOST_IDS} are taken")
    return tuple(dict.fromkeys(values))


def chosen(request: Request, name: str, allowed_values: Sequence[str], default: str | None = None) -> str | None:
    value = request.query_params.get(name, default)
    if value is not None and value not in allowed_values:
        raise invalid(f"{name}: '{value}' is none of {', '.join(allowed_values)}")
    return value


def expansions(request: Request, allowed_values: Sequence[str], default: Sequence[str] = ()) -> frozenset[str]:
    values = many(request, "expand") or tuple(default)
    for value in values:
        if value not in allowed_values:
            raise invalid(f"expand: '{value}' is none of {', '.join(allowed_values)}")
    return frozenset(values)


def page(request: Request, *, most: int, default: int, last: int, span: Span) -> Page:
    """The page that is asked for; the first one fixes the span and the newest row for those that follow."""
    limit = limit_of(request, most=most, default=default)
    cursor = request.query_params.get("cursor")
    if cursor is None:
        return Page(number=1, limit=limit, upto=last, span=span)
    try:
        number, upto, start, end = base64.b64decode(cursor.encode(), altchars=b"-_", validate=True).decode().split("_")
        found = Page(number=int(number), limit=limit, upto=int(upto), span=Span(start=float(start), end=float(end)))
    except (ValueError, binascii.Error) as error:
        raise invalid("cursor: not one of this list; start again without it") from error
    if found.number < 1 or not _told(found.span):
        raise invalid("cursor: not one of this list; start again without it")
    return found


def span(request: Request, *, days: float = 1.0, most_days: float | None = None) -> Span:
    """`start` and `end`, by default the last 24 hours; dates are midnights of the time zone asked for."""
    zone, now = timezone(request), time.time()
    end = _moment(request, "end", zone) or now
    start = _moment(request, "start", zone) or end - days * DAY
    if not _told(Span(start=start, end=end)):
        raise invalid("start: must be before end, and both from 1970 to 2100")
    if most_days is not None and end - start > most_days * DAY + 1:
        raise invalid(f"start, end: {(end - start) / DAY:.0f} days were asked for, at most {most_days:.0f} are told at once")
    return Span(start=start, end=end)


def series(request: Request, *, last: int, expand: Sequence[str], default: Sequence[str]) -> Series:
    """Span, bucket size and page of a list over time; `time_series` or `summary` must be among the expansions."""
    zone, asked = timezone(request), span(request)
    named = chosen(request, "timeframe", TIMEFRAMES)
    timeframe = next((one for one in TIMEFRAMES if one == named), automatic(asked))
    if chosen(request, "bound_to_timeframe", ("true", "false"), "true") == "true":
        asked = bound(asked, timeframe, zone)
    if asked.seconds / SHORTEST[timeframe] > MOST_BUCKETS:
        raise invalid(f"timeframe: more than {MOST_BUCKETS} buckets; ask for less time, or for longer buckets")
    wanted = expansions(request, expand, default)
    if not wanted & {"time_series", "summary"}:
        raise invalid("expand: time_series or summary is needed")
    one = page(request, most=MOST_BUCKETS, default=MOST_BUCKETS, last=last, span=asked)
    return Series(page=one, timeframe=timeframe, zone=zone, expand=wanted)


def timezone(request: Request) -> ZoneInfo:
    name = request.query_params.get("timezone", "UTC")
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise invalid(f"timezone: '{name}' is not known; give a name such as Europe/Berlin") from error


def _moment(request: Request, name: str, zone: ZoneInfo) -> float | None:
    text = request.query_params.get(name)
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise invalid(f"{name}: '{text}' is no date in ISO 8601, such as 2025-01-01 or 2025-01-01T00:00:00Z") from error
    try:
        return (moment if moment.tzinfo is not None else moment.replace(tzinfo=zone)).timestamp()
    except OverflowError as error:
        raise invalid(f"{name}: '{text}' is too far away") from error


def _told(asked: Span) -> bool:
    """Whether there is such a span in the years that calendars of all zones can tell."""
    return 0.0 <= asked.start < asked.end <= LATEST


def limit_of(request: Request, *, most: int, default: int) -> int:
    text = request.query_params.get("limit", str(default))
    if not text.isdecimal() or not 1 <= int(text) <= most:
        raise invalid(f"limit: '{text}' is no number from 1 to {most}")
    return int(text)
