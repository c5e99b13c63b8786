"""The scheduler's decisions, for any fleet and any queue."""

from hypothesis import given
from hypothesis import strategies as st

from serving.sandbox.fleet.scheduling import Scaling, Seat, Wish, expired, placed, runners_wanted, scaling_of, start_delay

small = st.integers(0, 8)
scalings = st.builds(
    Scaling,
    min_concurrency=small,
    max_concurrency=small,
    concurrency_buffer=small,
    concurrency_buffer_perc=st.sampled_from([0, 10, 50, 100]),
    scaling_delay=st.sampled_from([0.0, 5.0]),
    keep_alive=st.sampled_from([0.0, 10.0, 60.0]),
    max_multiplexing=st.integers(1, 4),
    kept=st.booleans(),
)
wishes = st.lists(st.builds(Wish, waited=st.floats(0, 20), hint=st.none() | st.sampled_from("ab")), max_size=12)


@st.composite
def fleets(draw: st.DrawFn) -> list[Seat]:
    """Runners with names of their own."""
    return [
        Seat(
            runner=f"r{number}",
            in_flight=draw(st.integers(0, 4)),
            idle=draw(st.floats(0, 100)),
            hints=draw(st.frozensets(st.sampled_from("ab"))),
            doubtful=draw(st.booleans()),
        )
        for number in range(draw(st.integers(0, 5)))
    ]


@given(scalings, st.integers(0, 20), wishes)
def test_the_wanted_runners_hold_what_is_due_within_their_bounds(scaling: Scaling, in_flight: int, waiting: list[Wish]) -> None:
    wanted = runners_wanted(scaling, in_flight=in_flight, waiting=waiting)
    due = in_flight + sum(wish.waited >= scaling.scaling_delay for wish in waiting)
    assert 0 <= wanted <= scaling.max_concurrency
    assert wanted == scaling.max_concurrency or wanted * scaling.max_multiplexing >= due
    if scaling.kept:
        floor = max(scaling.min_concurrency, scaling.concurrency_buffer)
        assert wanted >= min(floor, scaling.max_concurrency)
    elif due == 0:
        assert wanted == 0
    assert wanted <= runners_wanted(scaling, in_flight=in_flight + 1, waiting=waiting)


@given(wishes, fleets(), st.integers(1, 4))
def test_places_go_to_the_first_in_line_and_none_stays_free_while_somebody_waits(
    waiting: list[Wish], seats: list[Seat], places: int
) -> None:
    chosen = placed(waiting, seats, places)
    free = sum(max(0, places - seat.in_flight) for seat in seats)
    assert len(chosen) == min(len(waiting), free)
    by_name = {seat.runner: seat for seat in seats}
    for name in set(chosen):
        assert by_name[name].in_flight + chosen.count(name) <= places


@given(wishes, fleets(), st.integers(1, 4))
def test_a_hint_finds_its_runner_where_that_has_a_place(waiting: list[Wish], seats: list[Seat], places: int) -> None:
    for wish in waiting:
        holders = {seat.runner for seat in seats if wish.hint in seat.hints and seat.in_flight < places}
        chosen = placed([wish], seats, places)
        if holders:
            assert set(chosen) <= holders
            healthy = {seat.runner for seat in seats if seat.runner in holders and not seat.doubtful}
            assert not healthy or set(chosen) <= healthy


@given(scalings, fleets(), wishes)
def test_only_what_is_idle_too_long_and_more_than_wanted_is_ended(scaling: Scaling, seats: list[Seat], waiting: list[Wish]) -> None:
    gone = expired(scaling, seats, waiting)
    left = [seat for seat in seats if seat.runner not in gone]
    wanted = runners_wanted(scaling, in_flight=sum(seat.in_flight for seat in seats), waiting=waiting)
    for seat in seats:
        if seat.runner in gone:
            assert (seat.in_flight, seat.idle > scaling.keep_alive) == (0, True)
    assert not gone or len(left) >= wanted
    assert len(left) <= wanted or all(seat.in_flight or seat.idle <= scaling.keep_alive for seat in left)


@given(scalings.filter(lambda s: s.max_concurrency > 0 and s.scaling_delay == 0), st.lists(st.sampled_from(["arrive", "finish"])))
def test_every_request_is_served_once_and_in_order_by_as_many_runners_as_may_be(scaling: Scaling, events: list[str]) -> None:
    busy: dict[str, int] = {}
    waiting: list[int] = []
    served: list[int] = []

    def turn() -> None:
        for started in (False, True):  # places that are free; then those of the runners that it takes
            seats = [Seat(runner=name, in_flight=taken) for name, taken in busy.items()]
            chosen = placed([Wish()] * len(waiting), seats, scaling.max_multiplexing)
            for name in chosen:
                busy[name] += 1
                served.append(waiting.pop(0))
            wanted = runners_wanted(scaling, in_flight=sum(busy.values()), waiting=[Wish()] * len(waiting))
            if not started:
                busy.update({f"r{number}": 0 for number in range(len(busy), wanted)})
        assert len(busy) <= scaling.max_concurrency
        assert all(taken <= scaling.max_multiplexing for taken in busy.values())

    def finish() -> None:
        working = [name for name, taken in busy.items() if taken]
        if working:
            busy[working[0]] -= 1

    for number, event in enumerate(events):
        waiting.append(number) if event == "arrive" else finish()
        turn()
    while waiting:
        finish()
        turn()
    assert served == [number for number, event in enumerate(events) if event == "arrive"]


@given(st.integers(1, 100), st.floats(0.1, 30), st.floats(30, 600))
def test_each_failed_start_delays_the_next_one_up_to_a_bound(failures: int, step: float, longest: float) -> None:
    delay = start_delay(failures, step=step, longest=longest)
    assert 0 < delay <= start_delay(failures + 1, step=step, longest=longest) <= longest


def test_a_percentage_is_of_the_runners_that_the_requests_need() -> None:
    scaling = Scaling(max_concurrency=100, concurrency_buffer=1, concurrency_buffer_perc=20, max_multiplexing=2)
    assert [runners_wanted(scaling, in_flight=n, waiting=()) for n in (0, 2, 20, 40)] == [1, 2, 12, 24]


def test_settings_that_are_absent_have_fals_defaults() -> None:
    assert scaling_of({}, kept=True) == Scaling()
    asked = scaling_of({"max_multiplexing": 0, "scaling_delay_seconds": 5, "keep_alive": 0, "max_concurrency": None}, kept=False)
    assert (asked.max_multiplexing, asked.scaling_delay, asked.keep_alive, asked.max_concurrency) == (1, 5.0, 0.0, 2)
