"""What a day of traffic asks of runners: requests arrive at random, runners start for them, wait for the next and end. Pure."""

from dataclasses import dataclass

import numpy as np

DAY = 86_400.0
REQUESTS = 4_000  # simulated, so that a mean is known to a few percent


@dataclass(frozen=True, kw_only=True, slots=True)
class Runners:
    """How the app is scaled, in seconds: a start, a whole request on a runner, and the time that an idle runner is kept."""

    setup: float
    request: float
    keep_alive: float
    least: int = 0
    most: int = 2


@dataclass(frozen=True, kw_only=True, slots=True)
class Day:
    """Means of a day: machine seconds by what runners did, starts, and what callers waited for a runner (seconds)."""

    requests: float
    busy: float
    setup: float
    idle: float
    starts: float
    wait_mean: float
    wait_p95: float

    @property
    def machine_seconds(self) -> float:
        return self.busy + self.setup + self.idle


@dataclass(slots=True)
class _Runner:
    """`free` is when it has done all that was given to it; at first that is the end of its start."""

    free: float


def simulate(requests_a_day: float, runners: Runners, *, seed: int = 0) -> Day:
    """A mean day with Poisson arrivals at a constant rate, each request served alone, in order of arrival.

    Where no runner is idle, one is started as long as there are fewer than `most`, and the request takes the first that is free,
    be it that one or another. Batches are left out, which overstates what a busy app costs.
    """
    if requests_a_day <= 0:
        return Day(requests=0.0, busy=0.0, setup=0.0, idle=runners.least * DAY, starts=0.0, wait_mean=0.0, wait_p95=0.0)
    arrivals, fleet = _arrivals(requests_a_day, seed), [_Runner(free=0.0) for _ in range(runners.least)]
    idle, starts, waits = 0.0, 0, []
    for now in arrivals:
        idle += _end_idle(fleet, runners, now)
        free = [one for one in fleet if one.free <= now]
        if not free and len(fleet) < runners.most:
            fleet.append(_Runner(free=now + runners.setup))
            starts += 1
        runner = max(free, key=_since) if free else min(fleet, key=_since)
        begin = max(now, runner.free)
        idle += begin - runner.free
        waits.append(begin - now)
        runner.free = begin + runners.request
    end = arrivals[-1]
    idle += _end_idle(fleet, runners, end) + sum(max(0.0, end - one.free) for one in fleet)
    length = end / DAY
    return Day(
        requests=len(arrivals) / length,
        busy=len(arrivals) * runners.request / length,
        setup=starts * runners.setup / length,
        idle=idle / length,
        starts=starts / length,
        wait_mean=float(np.mean(waits)),
        wait_p95=float(np.quantile(waits, 0.95)),
    )


def _arrivals(requests_a_day: float, seed: int) -> list[float]:
    """Seconds at which requests come; the same seed at twice the rate comes in half the time."""
    gaps = np.random.default_rng(seed).exponential(DAY / requests_a_day, REQUESTS)
    times: list[float] = np.cumsum(gaps).tolist()
    return times


def _end_idle(fleet: list[_Runner], runners: Runners, now: float) -> float:
    """Take out the runners whose keep_alive has passed, but for the `least` used last; their idle seconds."""
    fleet.sort(key=_since, reverse=True)
    gone = [one for one in fleet[runners.least :] if one.free + runners.keep_alive < now]
    fleet[:] = [one for one in fleet if not any(one is other for other in gone)]
    return runners.keep_alive * len(gone)


def _since(runner: _Runner) -> float:
    return runner.free
