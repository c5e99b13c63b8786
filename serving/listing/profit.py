"""Whether the live price of a unit covers what the units cost that were really delivered. Pure; amounts in US dollars."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Measured:
    """What a billable unit cost: `units` is how many it was measured on, `source` who measured, `since` from when on (ISO 8601)."""

    usd_per_unit: float
    units: float
    source: str
    since: str | None = None


def measured_of(cost_usd: float | None, units: float | None, source: str, since: str | None = None) -> Measured | None:
    """The cost of a unit out of a sum and what was delivered for it; None where either is not known or nothing was delivered."""
    if cost_usd is None or not units or units < 0:
        return None
    return Measured(usd_per_unit=cost_usd / units, units=units, source=source, since=since)


def said(measured: Measured | None, live_usd: float | None, *, share: float = 0.0) -> str | None:
    """One sentence on the measured cost of a unit beside the live price; None where no cost is known."""
    if measured is None:
        return None
    if lost := loss(measured, live_usd, share=share):
        return lost
    of = f"by {measured.source} ({measured.units:,.0f} units{f' since {measured.since}' if measured.since else ''})"
    covered = f"; the live price of {_usd(live_usd)} covers it" if live_usd is not None else "; no live price is known"
    return f"A unit cost {_usd(measured.usd_per_unit)} {of}{covered}."


def loss(measured: Measured | None, live_usd: float | None, *, share: float = 0.0) -> str | None:
    """One sentence where the live price loses money; None where it does not, or where price or cost is not known.

    share: what the platform keeps of the price.
    """
    if measured is None or live_usd is None:
        return None
    kept = live_usd * (1.0 - share)
    missing = measured.usd_per_unit - kept
    if missing <= 0:
        return None
    left = f", of which {_usd(kept)} are left to the author" if share else ""
    since = f" since {measured.since}" if measured.since else ""
    return (
        f"The live price loses money: a unit is sold for {_usd(live_usd)}{left}, and cost {_usd(measured.usd_per_unit)} by "
        f"{measured.source} ({measured.units:,.0f} units{since}); {_usd(missing)} are missing on each."
    )


def _usd(amount: float) -> str:
    """As many digits as a price needs: `$0.03`, `$0.0042`."""
    return f"${amount:.2f}" if amount >= 0.1 else f"${amount:.2g}"
