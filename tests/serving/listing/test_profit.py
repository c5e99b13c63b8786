"""Whether a price that is live covers what delivering cost, as a table of sums."""

import pytest

from serving.listing.profit import Measured, loss, measured_of

CENTS = Measured(usd_per_unit=0.04, units=200, source="the platform's ledger", since="2026-11-01")


@pytest.mark.parametrize(
    ("measured", "live", "share", "says"),
    [
        (CENTS, 0.05, 0.0, None),
        (CENTS, 0.04, 0.0, None),
        (
            CENTS,
            0.03,
            0.0,
            "sold for $0.03, and cost $0.04 by the platform's ledger (200 units since 2026-11-01); $0.01 are missing",
        ),
        (CENTS, 0.05, 0.5, "sold for $0.05, of which $0.025 are left to the author, and cost $0.04"),
        (CENTS, 0.0, 0.0, "$0.04 are missing on each"),
        (CENTS, None, 0.0, None),
        (None, 0.05, 0.0, None),
    ],
)
def test_the_live_price_against_the_measured_cost(
    measured: Measured | None, live: float | None, share: float, says: str | None
) -> None:
    said = loss(measured, live, share=share)
    assert said is None if says is None else says in (said or "")


@pytest.mark.parametrize(("cost", "units"), [(None, 5.0), (1.0, None), (1.0, 0.0)])
def test_without_cost_or_units_nothing_is_known(cost: float | None, units: float | None) -> None:
    assert measured_of(cost, units, "monitor") is None


def test_a_sum_over_its_units_is_the_cost_of_one() -> None:
    assert measured_of(3.0, 60, "monitor") == Measured(usd_per_unit=0.05, units=60, source="monitor")
