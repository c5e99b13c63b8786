"""What rows of the ledger come to: usage by endpoint and price, machine seconds by app, analytics; pure functions of rows."""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from math import inf
from typing import Any

from .billing import cost_nano
from .prices import CURRENCY, NANO, SECOND
from .windows import Span

Row = Mapping[str, Any]
STARTUP_ERRORS = frozenset(("startup_timeout", "runner_scheduling_failure"))
CONNECTION_ERRORS = frozenset(
    ("runner_connection_timeout", "runner_disconnected", "runner_connection_refused", "runner_connection_error")
)
NOT_RUNTIME = STARTUP_ERRORS | CONNECTION_ERRORS | {"request_timeout"}
COLD_SECONDS = 1.0
TALLIES: dict[str, Callable[[Row], bool]] = {
    "request_count": lambda row: True,
    "success_count": lambda row: 200 <= row["status"] < 300,
    "user_error_count": lambda row: 400 <= row["status"] < 500,
    "error_count": lambda row: row["status"] >= 500,
    "startup_error_count": lambda row: row["error_type"] in STARTUP_ERRORS,
    "connection_error_count": lambda row: row["error_type"] in CONNECTION_ERRORS,
    "timeout_error_count": lambda row: row["error_type"] == "request_timeout",
    "runtime_error_count": lambda row: row["status"] >= 500 and row["error_type"] not in NOT_RUNTIME,
    "cold_boot_count": lambda row: (row["boot_seconds"] or 0.0) > COLD_SECONDS,
}
PERCENTILES: dict[str, tuple[str, int]] = {
    **{f"p{rank}_prepare_duration": ("wait_seconds", rank) for rank in (50, 75, 90, 95, 99)},
    **{f"p{rank}_duration": ("served", rank) for rank in (25, 50, 75, 90, 95, 99)},
    **{f"p{rank}_cold_boot_duration": ("boot_seconds", rank) for rank in (50, 75, 90)},
}
METRICS = (*TALLIES, *PERCENTILES, "total_billable_duration")


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """Usage of one thing at one price: `keys` name it; `cost_nano` is None where a price is not known."""

    keys: tuple[tuple[str, str], ...]
    unit: str
    quantity: Decimal
    unit_price_nano: int | None
    cost_nano: int | None

    def body(self) -> dict[str, Any]:
        """The fields that fal's usage has; sandbox prices know no discounts."""
        cost = dollars(self.cost_nano)
        return {
            **dict(self.keys),
            "unit": self.unit,
            "quantity": float(self.quantity),
            "unit_price": dollars(self.unit_price_nano),
            "percent_discount": None,
            "cost_subtotal": cost,
            "cost_discount": 0,
            "cost_total": cost,
            "cost": cost,
            "currency": CURRENCY,
        }


def dollars(nano: int | None) -> float | None:
    """USD as the JSON number whose decimals are exact; null for what is unknown."""
    return None if nano is None else nano / NANO


def split(rows: Iterable[Row], parts: Sequence[Span]) -> list[list[Row]]:
    """Rows by the span in which they ended; the spans follow on each other."""
    starts, found = [part.start for part in parts], [[] for _ in parts]  # type: list[float], list[list[Row]]
    for row in rows:
        found[bisect_right(starts, row["ended_at"]) - 1].append(row)
    return found


def usage(rows: Iterable[Row]) -> list[Line]:
    """What is billed by request: a line for each endpoint, unit and price, by name."""
    sums: dict[tuple[str, str, int | None], tuple[Decimal, int | None]] = {}
    for row in rows:
        key = (row["endpoint"], row["unit"], row["unit_price_nano"])
        quantity, cost = sums.get(key, (Decimal(0), 0))
        sums[key] = (quantity + Decimal(row["quantity"]), added(cost, row["cost_nano"]))
    return [
        Line(keys=(("endpoint_id", endpoint),), unit=unit, quantity=quantity, unit_price_nano=price, cost_nano=cost)
        for (endpoint, unit, price), (quantity, cost) in sorted(sums.items(), key=lambda item: str(item[0]))
    ]


def added(one: int | None, other: int | None) -> int | None:
    """A sum of money is unknown where a part of it is."""
    return None if one is None or other is None else one + other


def machine_line(keys: Sequence[tuple[str, str]], seconds: float, rate: int | None) -> Line:
    """Machine seconds of an app on one type of machine; microseconds are the finest that is counted."""
    quantity = Decimal(round(max(0.0, seconds) * 10**6)).scaleb(-6)
    return Line(keys=tuple(keys), unit=SECOND, quantity=quantity, unit_price_nano=rate, cost_nano=cost_nano(quantity, rate))


def working(rows: Iterable[Row]) -> list[tuple[float, float]]:
    """When at least one of the requests was on its runner: spans that do not touch, in order. The rows are those of one runner."""
    spans: list[tuple[float, float]] = []
    for began, ended in sorted((row["ended_at"] - served(row), row["ended_at"]) for row in rows):
        if spans and began <= spans[-1][1]:
            spans[-1] = (spans[-1][0], max(spans[-1][1], ended))
        else:
            spans.append((began, ended))
    return spans


def covered(spans: Sequence[tuple[float, float]], within: Span) -> float:
    """Seconds of a span that others, in order and apart from each other, take."""
    first = max(0, bisect_right(spans, (within.start, inf)) - 1)
    after = bisect_right(spans, (within.end, -inf))
    return sum(max(0.0, min(ended, within.end) - max(began, within.start)) for began, ended in spans[first:after])


def served(row: Row) -> float:
    """Seconds on the runner that answered."""
    return float(row["seconds"] if row["served_seconds"] is None else row["served_seconds"])


def analytics(rows: Iterable[Row], metrics: Iterable[str]) -> list[dict[str, Any]]:
    """One record an endpoint, by name, with the metrics that were asked for; a percentile of nothing is left out."""
    by_endpoint: dict[str, list[Row]] = {}
    for row in rows:
        by_endpoint.setdefault(row["endpoint"], []).append(row)
    wanted = [name for name in METRICS if name in set(metrics)]
    return [{"endpoint_id": name, **_measured(found, wanted)} for name, found in sorted(by_endpoint.items())]


def percentile(values: Sequence[float], rank: int) -> float:
    """Between the two nearest values, by distance; `values` is sorted and not empty."""
    place = (len(values) - 1) * rank / 100
    low = int(place)
    high = min(low + 1, len(values) - 1)
    return values[low] + (values[high] - values[low]) * (place - low)


def _measured(rows: Sequence[Row], wanted: Sequence[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in wanted:
        if name in TALLIES:
            found[name] = sum(TALLIES[name](row) for row in rows)
        elif name in PERCENTILES:
            column, rank = PERCENTILES[name]
            if values := sorted(_values(rows, column)):
                found[name] = round(percentile(values, rank), 6)
        else:
            found[name] = round(sum(served(row) for row in rows if row["runner"] and row["status"] < 500), 6)
    return found


def _values(rows: Sequence[Row], column: str) -> list[float]:
    """Durations of the requests that a runner had."""
    if column == "boot_seconds":
        return [row[column] for row in rows if (row[column] or 0.0) > COLD_SECONDS]
    had = [row for row in rows if row["runner"]]
    return [served(row) if column == "served" else row[column] for row in had]
