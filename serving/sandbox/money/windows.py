"""Spans of time as fal's platform API takes them, and the buckets that a span is told in."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

Timeframe = Literal["minute", "hour", "day", "week", "month"]
TIMEFRAMES: tuple[Timeframe, ...] = ("minute", "hour", "day", "week", "month")
DAY = 86400.0
SHORTEST: dict[Timeframe, float] = {"minute": 60, "hour": 3600, "day": DAY - 3600, "week": 7 * DAY - 3600, "month": 28 * DAY - 3600}
# Up to how many seconds a span is told in which buckets, where the question does not say.
AUTOMATIC: tuple[tuple[float, Timeframe], ...] = ((2 * 3600, "minute"), (2 * DAY, "hour"), (64 * DAY, "day"), (183 * DAY, "week"))


@dataclass(frozen=True, kw_only=True, slots=True)
class Span:
    """From `start` up to, not including, `end` (Unix seconds)."""

    start: float
    end: float

    @property
    def seconds(self) -> float:
        return self.end - self.start


def automatic(span: Span) -> Timeframe:
    """Minutes for less than two hours, hours for less than two days, days (64), weeks (183), else months."""
    return next((timeframe for limit, timeframe in AUTOMATIC if span.seconds < limit), "month")


def bound(span: Span, timeframe: Timeframe, zone: ZoneInfo) -> Span:
    """The span, widened to whole buckets."""
    last = floor(span.end, timeframe, zone)
    end = last if last.timestamp() == span.end else following(last, timeframe)
    return Span(start=floor(span.start, timeframe, zone).timestamp(), end=end.timestamp())


def buckets(span: Span, timeframe: Timeframe, zone: ZoneInfo) -> Iterator[tuple[datetime, Span]]:
    """Each bucket's begin in the zone, and the part of the span that falls into it; oldest first."""
    begin = floor(span.start, timeframe, zone)
    while begin.timestamp() < span.end:
        after = following(begin, timeframe)
        yield begin, Span(start=max(span.start, begin.timestamp()), end=min(span.end, after.timestamp()))
        begin = after


def floor(moment: float, timeframe: Timeframe, zone: ZoneInfo) -> datetime:
    """Begin of the bucket that holds a moment; weeks begin on Monday."""
    local = datetime.fromtimestamp(moment, zone)
    if timeframe == "minute":
        return local.replace(second=0, microsecond=0)
    if timeframe == "hour":
        return local.replace(minute=0, second=0, microsecond=0)
    day = local.replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
    if timeframe == "week":
        return day - timedelta(days=day.weekday())
    return day.replace(day=1) if timeframe == "month" else day


def following(begin: datetime, timeframe: Timeframe) -> datetime:
    """Begin of the next bucket: on the wall for days and longer, in elapsed time for hours and minutes."""
    if timeframe in ("minute", "hour"):
        step = timedelta(minutes=1) if timeframe == "minute" else timedelta(hours=1)
        return (begin.astimezone(UTC) + step).astimezone(begin.tzinfo)
    if timeframe == "month":
        return (begin + timedelta(days=32)).replace(day=1)
    return begin + timedelta(days=7 if timeframe == "week" else 1)


def iso(moment: float) -> str:
    """`2025-01-01T00:00:08.250Z`."""
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
