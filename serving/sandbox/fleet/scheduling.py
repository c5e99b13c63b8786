"""How many runners an app wants, which of them takes the next request, which may go: pure functions over what is known now.

After fal's documentation: min_concurrency runners stay, the buffer comes on top of what the requests need, max_concurrency bounds
all, scaling_delay is what a request waits before it counts, keep_alive is what a runner waits without one.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True, slots=True)
class Scaling:
    """Settings of an app; durations in seconds. `kept` is whether its runners are kept up without requests: its alias is live."""

    min_concurrency: int = 0
    max_concurrency: int = 2
    concurrency_buffer: int = 0
    concurrency_buffer_perc: int = 0
    scaling_delay: float = 0.0
    keep_alive: float = 60.0
    max_multiplexing: int = 1
    kept: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class Seat:
    """A live runner as the scheduler sees it; `idle`: seconds since its last request, `doubtful`: its last health check failed."""

    runner: str
    in_flight: int
    idle: float = 0.0
    hints: frozenset[str] = frozenset()
    doubtful: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Wish:
    """A request that waits for a place, for `waited` seconds so far."""

    waited: float = 0.0
    hint: str | None = None


def scaling_of(settings: Mapping[str, Any], *, kept: bool) -> Scaling:
    """The scaling among the settings of an app; what is absent has the default."""

    def number(name: str, default: float) -> float:
        value = settings.get(name)
        return default if value is None else max(0.0, float(value))

    return Scaling(
        min_concurrency=int(number("min_concurrency", 0)),
        max_concurrency=int(number("max_concurrency", 2)),
        concurrency_buffer=int(number("concurrency_buffer", 0)),
        concurrency_buffer_perc=int(number("concurrency_buffer_perc", 0)),
        scaling_delay=number("scaling_delay_seconds", 0),
        keep_alive=number("keep_alive", 60),
        max_multiplexing=max(1, int(number("max_multiplexing", 1))),
        kept=kept,
    )


def runners_wanted(scaling: Scaling, *, in_flight: int, waiting: Sequence[Wish]) -> int:
    """Runners that there should be, those that start included: never more than max_concurrency."""
    overdue = sum(1 for wish in waiting if wish.waited >= scaling.scaling_delay)
    needed = math.ceil((in_flight + overdue) / scaling.max_multiplexing)
    if not scaling.kept:
        return min(needed, scaling.max_concurrency)
    share = math.ceil(needed * scaling.concurrency_buffer_perc / 100)
    buffer = max(scaling.concurrency_buffer, share)
    return min(max(scaling.min_concurrency, needed + buffer), scaling.max_concurrency)


def placed(waiting: Sequence[Wish], seats: Sequence[Seat], places: int) -> list[str]:
    """The runners of the first requests that wait, in their order, as far as there are places: first come, first served."""
    taken = {seat.runner: seat.in_flight for seat in seats}
    chosen: list[str] = []
    for wish in waiting:
        free = [seat for seat in seats if taken[seat.runner] < places]
        if not free:
            break
        # A runner that has what the request names; then a healthy one; then the least busy, of those the one used last:
        # what is not needed gets a chance to end.
        seat = min(free, key=lambda s: (wish.hint not in s.hints, s.doubtful, taken[s.runner], s.idle))
        taken[seat.runner] += 1
        chosen.append(seat.runner)
    return chosen


def expired(scaling: Scaling, seats: Sequence[Seat], waiting: Sequence[Wish] = ()) -> list[str]:
    """The runners that have been idle longer than keep_alive and are more than there should be, the idlest first."""
    spare = len(seats) - runners_wanted(scaling, in_flight=sum(seat.in_flight for seat in seats), waiting=waiting)
    idle = sorted((seat for seat in seats if not seat.in_flight and seat.idle > scaling.keep_alive), key=lambda seat: -seat.idle)
    return [seat.runner for seat in idle[: max(0, spare)]]


def start_delay(failures: int, *, step: float, longest: float) -> float:
    """Seconds before a start that follows `failures` failed ones: as on fal, a step more for each, up to the longest."""
    return min(step * failures, longest)
