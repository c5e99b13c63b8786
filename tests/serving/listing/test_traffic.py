"""Traffic: where there is a formula, the simulation gives what it says; and no machine second is lost."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.listing.traffic import DAY, REQUESTS, Runners, simulate


@pytest.mark.parametrize("volume", [50, 500, 2000])
def test_the_share_of_cold_starts_is_that_of_gaps_longer_than_keep_alive(volume: float) -> None:
    day = simulate(volume, Runners(setup=0.0, request=0.01, keep_alive=60, most=50))
    assert day.starts / day.requests == pytest.approx(math.exp(-volume / DAY * 60), abs=4 / math.sqrt(REQUESTS))


def test_one_runner_that_never_ends_is_an_mdone_queue() -> None:
    service, load = 10.0, 0.5
    day = simulate(load / service * DAY, Runners(setup=0, request=service, keep_alive=0, least=1, most=1))
    assert day.wait_mean == pytest.approx(load * service / (2 * (1 - load)), rel=0.15)  # Pollaczek and Khinchine
    assert day.machine_seconds == pytest.approx(DAY, rel=0.01)
    assert day.starts == 0


def test_runners_kept_cost_the_whole_day_without_a_request() -> None:
    assert simulate(0, Runners(setup=60, request=4, keep_alive=60, least=2)).machine_seconds == 2 * DAY


def test_more_runners_wait_less_and_start_no_less() -> None:
    few, many = (simulate(5000, Runners(setup=20, request=30, keep_alive=60, most=most)) for most in (2, 20))
    assert many.wait_p95 < few.wait_p95
    assert many.starts >= few.starts


@settings(max_examples=30, deadline=None)
@given(
    volume=st.floats(1, 50_000),
    setup=st.floats(0, 300),
    request=st.floats(0.1, 60),
    keep_alive=st.floats(0, 600),
    least=st.integers(0, 3),
    more=st.integers(1, 5),
)
def test_machine_seconds_are_bounded_by_what_may_run(
    volume: float, setup: float, request: float, keep_alive: float, least: int, more: int
) -> None:
    runners = Runners(setup=setup, request=request, keep_alive=keep_alive, least=least, most=least + more)
    day = simulate(volume, runners)
    simulated = REQUESTS / day.requests * DAY
    end = simulated + (setup + request) * REQUESTS  # what is queued at the end is served after it
    assert day.machine_seconds * simulated / DAY <= runners.most * end + keep_alive * REQUESTS
    assert day.busy == pytest.approx(day.requests * request)
    assert day.setup == pytest.approx(day.starts * setup)
    assert day.idle >= 0
    assert day.starts <= day.requests
    assert day == simulate(volume, runners)
