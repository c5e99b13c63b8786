"""The gauges of fal's Prometheus endpoint, with its names and labels, of the apps of one account."""

import time
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any, Protocol

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily

from ..fleet.fleet import Fleet
from ..gateway.journeys import AtWork
from ..state import State
from .ledger import Ledger
from .prices import app_of

WINDOW_SECONDS = 60.0
LATENCIES = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, float("inf"))
STATES = {"PENDING": "pending", "SETUP": "pending", "IDLE": "idle", "RUNNING": "running", "DRAINING": "running"}


class OpenRequests(Protocol):
    """Requests that have not ended, as the gateway and its queue know them."""

    def waiting(self, owner: str, alias: str) -> Sequence[Any]: ...

    def flush(self, tickets: Any) -> None: ...

    def at_work(self) -> Sequence[AtWork]: ...


def exposition(owner: str, state: State, ledger: Ledger, fleet: Fleet, requests: OpenRequests) -> str:
    """Prometheus text of this moment; fal keeps its own for ten seconds."""
    apps = [f"{alias.owner}/{alias.name}" for alias in state.aliases(owner)]
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Gauges([*_runners(owner, fleet), *_open(apps, requests), *_last_minute(owner, apps, ledger, requests)]))
    return generate_latest(registry).decode()


class _Gauges:
    """What prometheus_client asks for when it writes."""

    def __init__(self, families: list[GaugeMetricFamily]) -> None:
        self._families = families

    def collect(self) -> Iterable[GaugeMetricFamily]:
        return self._families


def _runners(owner: str, fleet: Fleet) -> list[GaugeMetricFamily]:
    counts = Counter(
        (f"{owner}/{runner.revision.alias}", STATES[runner.state], runner.machine_type)
        for runner in fleet.all()
        if runner.revision.owner == owner and runner.state in STATES
    )
    return [_gauge("fal_app_runners", "Runners that are there", ("application", "state", "machine_type"), counts)]


def _open(apps: Sequence[str], requests: OpenRequests) -> list[GaugeMetricFamily]:
    waiting = Counter({(app,): len(requests.waiting(*app.split("/"))) for app in apps})
    working = Counter((f"{one.owner}/{one.app}",) for one in requests.at_work() if one.state == "IN_PROGRESS")
    served = Counter({(app,): working[(app,)] for app in apps})
    return [
        _gauge("fal_app_queue_size", "Requests in the queue that no runner has", ("application",), waiting),
        _gauge("fal_app_concurrent_requests", "Requests that runners have", ("application",), served),
    ]


def _last_minute(owner: str, apps: Sequence[str], ledger: Ledger, requests: OpenRequests) -> list[GaugeMetricFamily]:
    since = time.time() - WINDOW_SECONDS
    found = ledger.find("owner = ? AND ended_at >= ?", (owner, since), columns="endpoint, method, status, created_at, ended_at")
    rows = [row for row in found if app_of(row["endpoint"]) in apps]
    completed: Counter[tuple[str, ...]] = Counter((app_of(row["endpoint"]), row["method"], str(row["status"])) for row in rows)
    ended = ((app_of(row["endpoint"]), row["method"]) for row in rows if row["created_at"] >= since)
    begun = ((f"{one.owner}/{one.app}", "POST") for one in requests.at_work() if one.owner == owner and one.created_at >= since)
    took: dict[str, list[float]] = {}
    for row in rows:
        took.setdefault(app_of(row["endpoint"]), []).append(row["ended_at"] - row["created_at"])
    latency = [
        ((app, str(limit).replace("inf", "+Inf")), sum(seconds <= limit for seconds in times))
        for app, times in sorted(took.items())
        for limit in LATENCIES
    ]
    return [
        _gauge(
            "fal_app_requests_completed", "Requests that ended in the last minute", ("application", "method", "status"), completed
        ),
        _gauge("fal_app_requests_received", "Requests of the last minute", ("application", "method"), Counter(chain(ended, begun))),
        _gauge("fal_app_request_latency", "Requests of the last minute by seconds they took", ("application", "le"), latency),
    ]


def _gauge(
    name: str, words: str, labels: Sequence[str], values: Counter[Any] | Sequence[tuple[tuple[str, ...], int]]
) -> GaugeMetricFamily:
    """A family with one value for each combination of labels; a Counter's are told in order."""
    family = GaugeMetricFamily(name, words, labels=labels)
    for key, value in sorted(values.items()) if isinstance(values, Counter) else values:
        family.add_metric(list(key), value)
    return family
