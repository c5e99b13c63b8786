"""Who pays how much for one request: pure functions of what the gateway saw, the endpoint's price and the machine's rate.

Source: fal's documentation of billing (FAQ, Publishing to the Marketplace, Serverless pricing). Quantities are exact decimals,
money is integers of nano-USD; the one rounding is that of the product, half to even.
"""

from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Context, Decimal, InvalidOperation

from .prices import SECOND, Price

SHARED = "shared"
CANCELLED = 499
ZERO = Decimal(0)
MOST_UNITS = Decimal(10**12)
FINEST = Decimal("1e-12")
EXACT = Context(prec=80, rounding=ROUND_HALF_EVEN)


@dataclass(frozen=True, kw_only=True, slots=True)
class Served:
    """What the gateway saw of a request: `units` is the app's header, `seconds` those of the attempt that was answered.

    ran: whether a runner had it.
    """

    status: int
    units: str | None
    seconds: float
    ran: bool
    auth_mode: str
    caller: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Bill:
    """`quantity` of `unit` for `payer`; None as payer: nobody pays for the request itself. None as money: unknown."""

    payer: str | None
    unit: str
    quantity: Decimal
    unit_price_nano: int | None
    cost_nano: int | None


def bill(served: Served, price: Price | None, rate: int | None) -> Bill:
    """The bill of one request; `rate` is that of the machine in nano-USD a second, all of its GPUs together."""
    units, payer = billable_units(served), payer_of(served)
    by_unit = said_units(served.units) is not None
    if payer is None:  # the owner pays the machine, whatever runs on it
        unit = (price.unit if price is not None else "unit") if by_unit else SECOND
        return Bill(payer=None, unit=unit, quantity=units, unit_price_nano=0, cost_nano=0)
    if by_unit and price is not None:
        return Bill(
            payer=payer, unit=price.unit, quantity=units, unit_price_nano=price.nano, cost_nano=cost_nano(units, price.nano)
        )
    quantity = ZERO if units == 0 else seconds_of(served)  # no header, or no price for what it counts: by the machine's second
    return Bill(payer=payer, unit=SECOND, quantity=quantity, unit_price_nano=rate, cost_nano=cost_nano(quantity, rate))


def payer_of(served: Served) -> str | None:
    """Callers of a shared app pay for their requests; otherwise nobody does, as the owner pays for the machine."""
    return served.caller if served.auth_mode == SHARED else None


def billable_units(served: Served) -> Decimal:
    """Units of a request: as the app said, else seconds of the machine; none for 5xx, refusals, and silent cancellations."""
    said = said_units(served.units)
    if served.status >= 500 or not served.ran or (served.status == CANCELLED and said is None):
        return ZERO
    return seconds_of(served) if said is None else said


def said_units(text: str | None) -> Decimal | None:
    """The number of a billable-units header; None where there is none, or where it is no number from 0 to 10^12."""
    try:
        number = Decimal((text or "").strip())
    except InvalidOperation:
        return None
    if not number.is_finite() or not 0 <= number <= MOST_UNITS:
        return None
    return EXACT.quantize(number, FINEST).normalize(EXACT) + ZERO


def seconds_of(served: Served) -> Decimal:
    """Microseconds are the finest that is counted."""
    return Decimal(round(max(0.0, served.seconds) * 10**6)).scaleb(-6)


def cost_nano(quantity: Decimal, unit_price_nano: int | None) -> int | None:
    """Quantity times price, rounded half to even; unknown where the price is."""
    if unit_price_nano is None:
        return 0 if quantity == 0 else None
    return int(EXACT.multiply(quantity, Decimal(unit_price_nano)).to_integral_value(ROUND_HALF_EVEN))


def plain(number: Decimal) -> str:
    """Without exponent: 0.5, 3, 0.0000001."""
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
