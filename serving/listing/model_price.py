"""The price of a listing as data, with the sum behind it."""

from typing import Literal

from pydantic import Field

from serving.listing.model_values import Figure, Part


class Volume(Part):
    """What a unit costs at a volume of requests, in US dollars, and what of it drawing, starts and idle runners take."""

    name: str
    requests_a_day: Figure
    usd: Figure
    drawing: Figure
    starting: Figure
    idling: Figure
    wait_p95: Figure = Field(description="Seconds until a runner is free that one caller in twenty waits longer than")


class Anchor(Part):
    """What a comparable endpoint asks for its unit."""

    endpoint: str
    unit: Literal["megapixel", "image"]
    usd: Figure


class Reckoning(Part):
    """The sum behind a price: what a unit costs to make, and what comparable endpoints ask."""

    floor: Figure = Field(description="Covers the cost at middle traffic, in US dollars")
    recommended: Figure
    ceiling: Figure | None
    break_even: Figure | None = Field(description="Requests a day from which the recommended price covers the cost")
    volumes: tuple[Volume, ...]
    anchors: tuple[Anchor, ...]
    anchors_as_of: str | None
    assumptions: tuple[str, ...]
    warnings: tuple[str, ...]


class Pricing(Part):
    unit: Literal["image", "megapixel", "request"] = "image"
    meaning: str = Field("one delivered image", description="What one unit is")
    unit_price_usd: float | None = None
    currency: Literal["USD"] = "USD"
    basis: Literal["asked by the author", "recommended", "to be agreed"]
    label: str = Field(description="As pages show it")
    rationale: str
    reckoning: Reckoning | None = None
    measured: str | None = Field(None, description="What a unit cost so far, and whether the live price covers it; for the author")
