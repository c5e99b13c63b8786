"""The last round of the monitor as Prometheus metrics: a file for node_exporter's textfile collector, or a port of loopback."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest, start_http_server
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from flows.books.records import write_text
from flows.monitoring.findings import RANK

FIGURES: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("requests_day", "Requests of others in the last 24 hours, refused and failed ones too", ("day", "requests")),
    ("requests_failed_day", "Requests of others in the last 24 hours that were answered 5xx", ("day", "failed")),
    ("requests_refused_day", "Requests of others in the last 24 hours that were answered 4xx", ("day", "refused")),
    ("own_requests_day", "Requests of the last 24 hours that were our own calls", ("day", "own")),
    ("units_day", "Billable units of the last 24 hours", ("day", "units")),
    ("cold_starts_day", "Requests of the last 24 hours that waited for a runner to start", ("day", "cold_starts")),
    ("window_requests", "Requests of the window that errors and latency are judged by", ("window", "requests")),
    ("window_requests_failed", "Of these, those that were answered 5xx", ("window", "failed")),
    ("request_p50_seconds", "Median of a request in that window, wait included", ("window", "p50")),
    ("request_p95_seconds", "95th percentile of a request in that window, wait included", ("window", "p95")),
    ("runners", "Runners that are up", ("runners",)),
    ("health_status", "What /health answered; absent where no runner is up and none was woken", ("health",)),
    ("margin_usd_per_image", "What an image leaves over, revenue less cost", ("money", "margin")),
    ("price_usd", "Price of a billable unit that the platform asks", ("price", "live")),
    ("price_recommended_usd", "Price of a billable unit that the listing's reckoning recommends", ("price", "recommended")),
    ("golden_psnr_worst_db", "Worst picture of the golden prompts that this look drew again", ("golden", "worst")),
)
LABELS = ("app", "target")


def exposition(rows: Iterable[Mapping[str, Any]]) -> str:
    """Prometheus' text format of rows of monitor.json; what is not known is left out, since 0 would be a claim."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Rows(lambda: [dict(row) for row in rows]))
    return generate_latest(registry).decode()


def write(file: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Atomically: the collector may read at any moment."""
    write_text(file, exposition(rows))


def last(file: Path) -> list[dict[str, Any]]:
    """Rows of the last round; none where there was none."""
    found: list[dict[str, Any]] = json.loads(file.read_text())["releases"] if file.is_file() else []
    return found


@contextmanager
def served(file: Path, port: int) -> Iterator[str]:
    """The address of a port of loopback where the last round can be scraped."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Rows(lambda: last(file)))
    server, thread = start_http_server(port, addr="127.0.0.1", registry=registry)
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class Rows(Collector):
    """What prometheus_client asks at each scrape: `read` gives the rows of the last round, the platform is not asked."""

    def __init__(self, read: Callable[[], list[dict[str, Any]]]) -> None:
        self.read = read

    def collect(self) -> Iterable[Metric]:
        rows = self.read()
        yield from (_family(name, words, rows, path) for name, words, path in FIGURES)
        yield _money("revenue_usd_day", "Gross revenue of the last 24 hours", rows, "revenue")
        yield _money("cost_usd_day", "What machines cost the owner in the last 24 hours", rows, "cost")
        yield _levels(rows)
        yield _moment(rows)


def _gauge(name: str, words: str, labels: Iterable[str] = LABELS) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"lorasmith_{name}", words, labels=list(labels))


def _of(row: Mapping[str, Any]) -> list[str]:
    return [row["app"], row["target"]]


def _family(name: str, words: str, rows: Iterable[Mapping[str, Any]], path: tuple[str, ...]) -> GaugeMetricFamily:
    family = _gauge(name, words)
    for row in rows:
        value: Any = row
        for key in path:
            value = None if value is None else value.get(key)  # a row of an older round lacks what is new
        if value is not None:
            family.add_metric(_of(row), float(value))
    return family


def _money(name: str, words: str, rows: Iterable[Mapping[str, Any]], field: str) -> GaugeMetricFamily:
    family = _gauge(name, f"{words}; basis says whether it is the platform's record or an estimate", (*LABELS, "basis"))
    for row in rows:
        if row["money"][field] is not None:
            family.add_metric([*_of(row), row["money"][f"{field}_by"]], row["money"][field])
    return family


def _levels(rows: Iterable[Mapping[str, Any]]) -> GaugeMetricFamily:
    family = _gauge("finding", "Level of each finding: 0 ok, 1 warn, 2 alert", (*LABELS, "code"))
    for row in rows:
        for one in row["findings"]:
            family.add_metric([*_of(row), one["code"]], RANK[one["level"]])
    return family


def _moment(rows: Iterable[Mapping[str, Any]]) -> GaugeMetricFamily:
    family = _gauge("looked_timestamp_seconds", "When the release was looked at; alert on this one growing old")
    for row in rows:
        family.add_metric(_of(row), datetime.fromisoformat(row["at"]).timestamp())
    return family
