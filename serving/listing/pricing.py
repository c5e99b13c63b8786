"""What to ask for one unit: the author's word, what the sum behind it advises, or an honest blank. Pure."""

from collections.abc import Mapping
from typing import Any

from serving.app.billing import BillingUnit
from serving.listing.model_price import Pricing, Reckoning
from serving.listing.profit import Measured, said

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


def price(
    asked_usd: float | None,
    reckoning: Reckoning | None,
    unit: BillingUnit = "image",
    *,
    earned: Mapping[str, Any] | None = None,
) -> Pricing:
    """Price of one billable unit. Without the author's word or a cost that could be reckoned it is null, never a guess."""
    about = {"unit": unit, "meaning": MEANINGS[unit], "reckoning": reckoning, "measured": measured(earned, asked_usd)}
    if asked_usd is not None:
        rationale = f"Asked by the author. {compared(asked_usd, reckoning)}"
        return Pricing(
            **about, unit_price_usd=asked_usd, basis="asked by the author", label=dollars(asked_usd), rationale=rationale
        )
    if reckoning is not None:
        asked = float(reckoning.recommended.value)
        rationale = f"{derived(reckoning)} {between(reckoning)}"
        return Pricing(**about, unit_price_usd=asked, basis="recommended", label=dollars(asked), rationale=rationale)
    rationale = (
        "No GPU time is known for this release, neither measured nor forecast, so there is no cost to base a price on yet. "
        f"One unit is {MEANINGS[unit]}. {FLAT[unit]}"
    )
    return Pricing(**about, basis="to be agreed", label="To be agreed", rationale=rationale)


def measured(earned: Mapping[str, Any] | None, asked_usd: float | None) -> str | None:
    """What a unit cost so far, beside the live price, or where none is known the one that is asked."""
    if not earned:
        return None
    known: dict[str, Any] = {name: earned.get(name) for name in ("usd_per_unit", "units", "source", "since")}
    live = earned.get("live_usd")
    return said(Measured(**known), asked_usd if live is None else live, share=earned.get("share") or 0.0)


def loses_money(pricing: Pricing) -> bool:
    """True where the price asked is below what a unit costs at middle traffic."""
    floor = pricing.reckoning.floor.value if pricing.reckoning else None
    return floor is not None and pricing.unit_price_usd is not None and pricing.unit_price_usd < floor


def compared(asked_usd: float, reckoning: Reckoning | None) -> str:
    if reckoning is None:
        return "No GPU time is known for this release, so no cost stands beside it."
    side = "above" if asked_usd >= reckoning.floor.value else "BELOW"
    return f"That is {side} its floor: {derived(reckoning)}"


def derived(reckoning: Reckoning) -> str:
    costs = ", ".join(f"{one.usd.text} at {one.requests_a_day.text}" for one in reckoning.volumes)
    return f"A unit costs {costs} requests a day, by forecast; {reckoning.floor.text} covers it in the middle."


def between(reckoning: Reckoning) -> str:
    """How the advice lies among comparable prices."""
    if not reckoning.anchors:
        return "No comparable price is known."
    prices = sorted(reckoning.anchors, key=lambda one: one.usd.value)
    return f"Comparable endpoints ask {prices[0].usd.text} to {prices[-1].usd.text} (read {reckoning.anchors_as_of})."


def dollars(amount: float) -> str:
    """`$0.03`, `$0.0042`: as many decimals as the amount has, at least two."""
    digits = f"{amount:.6f}".rstrip("0")
    whole, _, fraction = digits.partition(".")
    return f"${whole}.{fraction:0<2}"
