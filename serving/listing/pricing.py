"""What to ask for one unit: the author's word, a measured break-even, or an honest blank. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass

from serving.app.billing import BillingUnit
from serving.listing.model import Cost, Pricing

MEANINGS: Mapping[BillingUnit, str] = {
    "image": "one delivered image",
    "megapixel": "one megapixel (1024 x 1024 pixels) of a delivered image, each image's rounded up by itself",
    "request": "one answered request, however many images it delivered; without an image it is none",
}
FLAT: Mapping[BillingUnit, str] = {
    "image": "The area of an image is capped, so that a flat price holds.",
    "megapixel": "The price follows the size of the images.",
    "request": "Number and area of a request's images are capped, so that a flat price holds.",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class MeasuredCost:
    """GPU seconds for one unit and the rate of the machine in US dollars a second; both say where they come from."""

    gpu_seconds: float
    gpu_seconds_source: str
    usd_per_second: float
    usd_per_second_source: str


def price(asked_usd: float | None, measured: MeasuredCost | None, unit: BillingUnit = "image") -> Pricing:
    """Price of one billable unit. Without the author's word or a measured cost it is null, never a guess."""
    about = {"unit": unit, "meaning": MEANINGS[unit]}
    cost = cost_of(measured) if measured else None
    if asked_usd is not None:
        rationale = f"Asked by the author. {compared(asked_usd, cost)}"
        return Pricing(
            **about, unit_price_usd=asked_usd, basis="asked by the author", label=dollars(asked_usd), rationale=rationale, cost=cost
        )
    if cost is not None:
        rationale = f"{derived(cost)} Idle runners, cold starts and margin are not in it: they are to be agreed with fal."
        label = dollars(cost.usd_per_unit)
        return Pricing(**about, unit_price_usd=cost.usd_per_unit, basis="break-even", label=label, rationale=rationale, cost=cost)
    rationale = (
        "No GPU time was measured for this release, so there is no cost to base a price on yet. "
        f"One unit is {MEANINGS[unit]}. {FLAT[unit]}"
    )
    return Pricing(**about, basis="to be agreed", label="To be agreed", rationale=rationale)


def cost_of(measured: MeasuredCost) -> Cost:
    """GPU seconds times rate, in US dollars a unit."""
    return Cost(
        gpu_seconds=measured.gpu_seconds,
        gpu_seconds_source=measured.gpu_seconds_source,
        usd_per_second=measured.usd_per_second,
        usd_per_second_source=measured.usd_per_second_source,
        usd_per_unit=round(measured.gpu_seconds * measured.usd_per_second, 6),
    )


def loses_money(pricing: Pricing) -> bool:
    """True where the price asked is below what a unit costs to make."""
    return pricing.cost is not None and pricing.unit_price_usd is not None and pricing.unit_price_usd < pricing.cost.usd_per_unit


def compared(asked_usd: float, cost: Cost | None) -> str:
    if cost is None:
        return "No GPU time was measured for this release, so no cost stands beside it."
    side = "above" if asked_usd >= cost.usd_per_unit else "BELOW"
    return f"That is {side} break-even: {derived(cost)}"


def derived(cost: Cost) -> str:
    return (
        f"{cost.gpu_seconds:g} GPU seconds a unit ({cost.gpu_seconds_source}) at ${cost.usd_per_second:g} a second "
        f"({cost.usd_per_second_source}) cost {dollars(cost.usd_per_unit)}."
    )


def dollars(amount: float) -> str:
    """`$0.03`, `$0.0042`: as many decimals as the amount has, at least two."""
    digits = f"{amount:.6f}".rstrip("0")
    whole, _, fraction = digits.partition(".")
    return f"${whole}.{fraction:0<2}"
