"""Spans, buckets and what lies in them: arithmetic of time, with clocks that change."""

import itertools
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.sandbox.money.reports import covered, percentile, working
from serving.sandbox.money.windows import Span, automatic, bound, buckets, floor

ZONES = ("UTC", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "Africa/Cairo")
quickly = settings(max_examples=40, deadline=None)


@quickly
@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 20)), max_size=8), st.integers(0, 20), st.integers(1, 40))
def test_time_that_requests_share_is_counted_once(spans: list[tuple[int, int]], start: int, length: int) -> None:
    rows = [{"ended_at": float(a + b), "seconds": float(b), "served_seconds": None} for a, b in spans]
    seconds = {second for a, b in spans for second in range(a, a + b)} & set(range(start, start + length))
    assert covered(working(rows), Span(start=float(start), end=float(start + length))) == len(seconds)


@quickly
@given(st.floats(1.7e9, 1.9e9), st.floats(1, 400 * 86400), st.sampled_from(ZONES), st.booleans())
def test_buckets_follow_on_each_other_and_cover_the_span(start: float, length: float, name: str, whole: bool) -> None:
    span, zone = Span(start=start, end=start + length), ZoneInfo(name)
    timeframe = automatic(span)
    span = bound(span, timeframe, zone) if whole else span
    parts = list(buckets(span, timeframe, zone))
    assert (parts[0][1].start, parts[-1][1].end) == (span.start, span.end)
    assert all(one.end == other.start for (_, one), (_, other) in itertools.pairwise(parts))
    assert all(begin.timestamp() <= part.start < part.end for begin, part in parts)
    assert floor(start, timeframe, zone).timestamp() <= start


def test_clocks_that_change_make_short_and_long_days() -> None:
    zone = ZoneInfo("America/New_York")
    days = Span(start=datetime(2026, 3, 7, tzinfo=zone).timestamp(), end=datetime(2026, 3, 10, tzinfo=zone).timestamp())
    assert [part.seconds / 3600 for _, part in buckets(days, "day", zone)] == [24, 23, 24]
    midnight = datetime(2026, 11, 1, tzinfo=ZoneInfo("America/Havana")).timestamp()  # there it comes twice
    assert floor(midnight + 5400, "day", ZoneInfo("America/Havana")).timestamp() == midnight
    night = Span(start=datetime(2026, 11, 1, tzinfo=zone).timestamp(), end=datetime(2026, 11, 1, 4, tzinfo=zone).timestamp())
    assert [begin.isoformat()[11:] for begin, _ in buckets(night, "hour", zone)] == [
        *("00:00:00-04:00", "01:00:00-04:00", "01:00:00-05:00", "02:00:00-05:00", "03:00:00-05:00"),
    ]


@pytest.mark.parametrize(("rank", "expected"), [(0, 1.0), (50, 2.5), (75, 3.25), (100, 4.0)])
def test_percentiles_lie_between_their_neighbours(rank: int, expected: float) -> None:
    assert percentile([1.0, 2.0, 3.0, 4.0], rank) == expected
    assert percentile([7.0], rank) == 7.0
