"""Price advice: never below its cost, held within comparable prices where it can be, and loud where it can not."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.listing.anchors import Anchor, anchors, as_of, band
from serving.listing.economics import VOLUMES, Machine, Scaling, Terms, Work, advise, break_even, cost, curve, rounded_up

WORK = Work(seconds=(3.0, 7.0), source="forecast", setup=60.0)
MACHINE = Machine(name="H100", usd_per_second=0.000525, source="a page")
SCALING = Scaling(keep_alive=60, least=0, most=4)


def test_at_high_volume_only_drawing_is_left() -> None:
    busy = cost(100_000, WORK, MACHINE, SCALING, Terms())
    assert busy.drawing == pytest.approx(WORK.middle * MACHINE.usd_per_second)
    assert busy.usd == pytest.approx(busy.drawing, rel=0.05)


def test_a_rare_image_pays_a_start_and_an_idle_minute() -> None:
    rare = cost(1, WORK, MACHINE, SCALING, Terms())
    assert rare.usd == pytest.approx((WORK.middle + 60 + 60) * MACHINE.usd_per_second, rel=0.01)


def test_a_request_of_several_images_shares_its_start() -> None:
    several = Work(seconds=(3.0, 7.0), source="forecast", setup=60.0, images_per_request=4)
    assert cost(10, several, MACHINE, SCALING, Terms()).usd < cost(10, WORK, MACHINE, SCALING, Terms()).usd / 2


def test_storage_is_shared_by_the_images_of_a_day() -> None:
    assert cost(100, WORK, MACHINE, SCALING, Terms(storage_usd_a_day=1.0)).storage == pytest.approx(0.01, rel=0.05)


@settings(max_examples=12, deadline=None)
@given(
    low=st.floats(0.1, 10),
    factor=st.floats(1, 4),
    setup=st.floats(0, 200),
    rate=st.floats(0.0001, 0.002),
    keep_alive=st.integers(0, 300),
    share=st.floats(0, 0.5),
    margin=st.floats(0, 0.6),
    family=st.sampled_from(["flux-2-klein", "z-image", "sana"]),
)
def test_the_advice_covers_its_cost(
    low: float, factor: float, setup: float, rate: float, keep_alive: int, share: float, margin: float, family: str
) -> None:
    terms, compared = Terms(platform_share=share, margin=margin), band(family)
    work = Work(seconds=(low, low * factor), source="any", setup=setup)
    advice = advise(
        work,
        Machine(name="any", usd_per_second=rate, source="any"),
        Scaling(keep_alive=keep_alive, least=0, most=3),
        terms,
        compared,
    )
    assert compared is not None
    assert advice.recommended >= advice.floor >= advice.costs["mid"].usd / (1 - share) * (1 - 1e-9)
    assert advice.recommended <= max(rounded_up(compared.high), advice.floor)
    assert bool(advice.warnings) == bool(
        advice.recommended > compared.high
        or any(one.usd > advice.recommended * (1 - share) or one.day.wait_p95 > 120 for one in advice.costs.values())
    )
    if advice.break_even is not None:
        assert cost(
            advice.break_even,
            work,
            Machine(name="any", usd_per_second=rate, source="any"),
            Scaling(keep_alive=keep_alive, least=0, most=3),
            terms,
        ).usd <= advice.recommended * (1 - share)


def test_no_volume_covers_a_price_below_drawing() -> None:
    assert break_even(0.0001, WORK, MACHINE, SCALING, Terms()) is None
    assert break_even(10.0, WORK, MACHINE, SCALING, Terms()) == VOLUMES[0]


def test_without_comparable_prices_the_cost_decides_and_it_is_said() -> None:
    advice = advise(WORK, MACHINE, SCALING, Terms(margin=0.5), None)
    assert advice.recommended == rounded_up(advice.costs["mid"].usd / 0.5)
    assert advice.ceiling is None
    assert any("No comparable endpoint" in line for line in advice.warnings)


def test_the_curve_falls_with_volume() -> None:
    amounts = [amount for _, amount in curve(WORK, MACHINE, SCALING, Terms(), seconds=WORK.middle)]
    assert len(amounts) == len(VOLUMES)
    assert amounts[-1] < amounts[0] / 5


@pytest.mark.parametrize(
    ("amount", "up"), [(0.0393, 0.04), (0.04, 0.04), (0.0401, 0.041), (1.21, 1.3), (0.00012345, 0.00013), (0, 0)]
)
def test_prices_have_two_digits_and_never_fall(amount: float, up: float) -> None:
    assert rounded_up(amount) == pytest.approx(up)


def test_anchors_are_dated_and_each_endpoint_stands_once() -> None:
    assert as_of().year >= 2026
    assert len({one.endpoint for one in anchors()}) == len(anchors())
    assert all(0 < one.usd < 1 for one in anchors())


def test_a_band_is_of_adapters_on_the_same_base_where_enough_are_known() -> None:
    known = tuple(
        Anchor(endpoint=f"a/{n}", family="flux-2", kind="lora", unit="megapixel", usd=0.01 * n, seen="page") for n in (1, 2, 3)
    )
    other = Anchor(endpoint="b", family="sdxl", kind="lora", unit="megapixel", usd=0.9, seen="page")
    near = band("flux-2-klein", known=(*known, other))
    assert near is not None
    assert (near.low, near.middle, near.high, near.highest) == pytest.approx((0.015, 0.02, 0.025, 0.03))
    assert band("sdxl", known=known[:2]) is None
