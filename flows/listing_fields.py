"""The field `listing` of a job: what the author says about the app, and what its price is reckoned from."""

from typing import Annotated

from pydantic import AfterValidator, Field

from flows.job_values import Part

Volume = Annotated[float, Field(gt=0, le=1_000_000)]


def ascending(volumes: tuple[float, float, float]) -> tuple[float, float, float]:
    if not volumes[0] <= volumes[1] <= volumes[2]:
        raise ValueError("must rise: at least, in the middle, at most")
    return volumes


class Listing(Part):
    title: str = Field(max_length=60)
    short_description: str = Field(max_length=160)
    category: str = "text-to-image"
    tags: tuple[str, ...] = ()
    prompts: tuple[Annotated[str, Field(min_length=1, max_length=500)], ...] = Field(
        (), max_length=4, description="Prompts of the gallery that you choose; the others are chosen by how they cover the dataset"
    )
    sender: str = Field("", description="From of the mail to fal; lint refuses it empty")
    recipient: str = Field("", description="To of the mail to fal; lint refuses it empty")
    support: str = Field("", description="Where users can reach you")
    price_usd: float | None = Field(
        None, gt=0, description="Price asked for one billable unit; without it what is recommended, where a cost can be reckoned"
    )
    traffic: Annotated[tuple[Volume, Volume, Volume], AfterValidator(ascending)] = Field(
        (20.0, 300.0, 5000.0),
        description="Requests a day that you expect at least, in the middle and at most, for the price advice",
    )
    images_per_request: float = Field(1.0, ge=1, le=64, description="Images that a request asks for on average")
    margin: float = Field(0.3, ge=0, lt=0.9, description="Share of the price that shall be left over at middle traffic")
    platform_share: float | None = Field(None, ge=0, lt=0.9, description="Share of the price that fal keeps, once it is agreed")
