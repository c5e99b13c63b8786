"""Prometheus metrics in the default registry, which fal's SDK serves on the runner's metrics port.

Labels have few values, all ours: never a caller, a prompt or a path that somebody made up.
"""

from typing import Protocol

from prometheus_client import Counter, Gauge, Histogram

from .logs import Asked, Notes

REQUESTS = Counter("lorasmith_requests", "Requests answered.", ["path", "status"])
UNITS = Counter("lorasmith_units", "Billable units stated.")
IMAGES = Counter("lorasmith_images", "Images delivered.")
UNDELIVERED = Counter("lorasmith_undelivered_images", "Images asked for and not delivered.", ["reason"])
SECONDS = Histogram(
    "lorasmith_seconds",
    "Seconds of a request that was at work here, by part.",
    ["part"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 80, 160, 320),
)
BATCH = Histogram("lorasmith_batch_images", "Images of the largest call that a request shared.", buckets=(1, 2, 3, 4, 6, 8, 12, 16))
IN_FLIGHT = Gauge("lorasmith_requests_in_flight", "Requests at work.")
WAITING = Gauge("lorasmith_pictures_waiting", "Pictures that wait for a call.")
RUNNING = Gauge("lorasmith_pictures_running", "Pictures of the call that is made now.")


class InFlight(Protocol):
    """What knows how many requests are at work."""

    @property
    def in_flight(self) -> int: ...


class Line(Protocol):
    """What knows how many pictures wait and are drawn."""

    @property
    def waiting(self) -> int: ...

    @property
    def running(self) -> int: ...


def watch(requests: InFlight, pictures: Line) -> None:
    """Let the gauges read from these whenever they are asked."""
    IN_FLIGHT.set_function(lambda: requests.in_flight)
    WAITING.set_function(lambda: pictures.waiting)
    RUNNING.set_function(lambda: pictures.running)


def ended(asked: Asked, *, status: int, units: int, images: int, notes: Notes, seconds: float) -> None:
    """Count one request."""
    REQUESTS.labels(asked.path, str(status)).inc()
    UNITS.inc(units)
    IMAGES.inc(images)
    for reason in notes.undelivered:
        UNDELIVERED.labels(reason).inc()
    for part, spent in {"total": seconds, **notes.seconds}.items():
        SECONDS.labels(part).observe(spent)
    if notes.batch:
        BATCH.observe(notes.batch)
