"""A price is the author's word, a measured break-even, or blank; never a guess."""

from typing import get_args

import pytest

from serving.app.billing import BillingUnit
from serving.listing.pricing import MEANINGS, MeasuredCost, dollars, loses_money, price

MEASURED = MeasuredCost(gpu_seconds=4.0, gpu_seconds_source="bench.json", usd_per_second=0.0005, usd_per_second_source="price list")


def test_without_word_or_measurement_it_is_null_and_says_why() -> None:
    blank = price(None, None)
    assert blank.unit_price_usd is None
    assert blank.basis == "to be agreed"
    assert blank.cost is None
    assert "No GPU time was measured" in blank.rationale


def test_measured_cost_gives_break_even_with_its_sources() -> None:
    even = price(None, MEASURED)
    assert even.unit_price_usd == pytest.approx(4.0 * 0.0005)
    assert even.basis == "break-even"
    assert "bench.json" in even.rationale
    assert "price list" in even.rationale


@pytest.mark.parametrize(("asked", "loses"), [(0.001, True), (0.002, False), (0.03, False)])
def test_price_below_cost_is_seen(asked: float, loses: bool) -> None:
    priced = price(asked, MEASURED)
    assert (priced.unit_price_usd, priced.basis) == (asked, "asked by the author")
    assert loses_money(priced) is loses


def test_asked_price_without_measurement_claims_no_cost() -> None:
    priced = price(0.02, None)
    assert priced.cost is None
    assert not loses_money(priced)


@pytest.mark.parametrize("unit", get_args(BillingUnit))
def test_the_price_says_what_a_unit_is(unit: BillingUnit) -> None:
    for priced in (price(None, None, unit), price(0.02, None, unit), price(None, MEASURED, unit)):
        assert (priced.unit, priced.meaning) == (unit, MEANINGS[unit])
    assert MEANINGS[unit] in price(None, None, unit).rationale


@pytest.mark.parametrize(
    ("amount", "shown"), [(0.03, "$0.03"), (0.0042, "$0.0042"), (1, "$1.00"), (12.5, "$12.50"), (0.000001, "$0.000001")]
)
def test_dollars(amount: float, shown: str) -> None:
    assert dollars(amount) == shown
