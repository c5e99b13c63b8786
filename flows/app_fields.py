"""The field `serving` of a job: the app on the platform."""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from flows.job_values import AppName, Part

CLASSIFIER = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+@[0-9a-f]{40}")


def spelled(value: object) -> object:
    """YAML reads on and off as true and false."""
    return {True: "on", False: "off"}[value] if isinstance(value, bool) else value


def checker_name(name: str) -> str:
    """opennsfw, or a classifier on the Hub at a commit: what judges pictures may not change by itself."""
    if name == "opennsfw" or CLASSIFIER.fullmatch(name):
        return name
    raise ValueError("must be opennsfw or owner/name@commit with the 40 hex digits of the commit")


Side = Annotated[int, Field(ge=16)]


class Serving(Part):
    """The app on the platform; docs/serving.md tells of each field."""

    app: AppName = Field(description="Name of the app on the platform", examples=["my-style"])
    machine_type: str = Field("GPU-H100", description="fal machine type")
    num_gpus: int = Field(1, ge=1, le=8)
    min_concurrency: int = Field(0, ge=0)
    max_concurrency: int | None = Field(
        None, ge=1, description="Runners at most; default is 2, or what peak_images needs by the forecast"
    )
    peak_images: float | None = Field(None, gt=0, le=100_000, description="Images a minute that you expect at the busiest time")
    keep_alive: int = Field(60, ge=0, description="Seconds that an idle runner stays up; idle seconds may be yours to pay")
    request_timeout: int = Field(300, ge=10, le=3600, description="Seconds")
    startup_timeout: int | None = Field(None, ge=30, le=3600, description="Seconds; default goes by the size of the weights")
    termination_grace: int | None = Field(
        None, ge=5, le=3600, description="Seconds that a runner may finish its requests in; default goes by what they can take"
    )
    billing_unit: Literal["image", "megapixel", "request"] = Field(
        "image", description="What one billable unit is: a delivered image (area capped), its megapixels, or an answered request"
    )
    max_images: int = Field(4, ge=1, le=8, description="Images a request")
    max_side: int = Field(1536, ge=64, le=4096, description="Pixels")
    max_area: int = Field(1_048_576, ge=4096, description="Pixels an image; what one unit buys at most")
    default_size: tuple[Side, Side] | None = Field(None, description="Width and height; default is the training resolution")
    warm_up: tuple[tuple[Side, Side], ...] = Field((), max_length=8, description="Sizes that a runner draws once as it starts")
    image_to_image: bool = Field(True, description="Offer image-to-image too, where the base's family has it")
    scale: float = Field(1.0, ge=0, le=2, description="Recommended strength of the adapter")
    acceleration: Literal["none", "regular", "high"] = Field(
        "none", description="Cheaper steps at a measured loss: a first-block cache (regular), fp8 weights beside it (high)"
    )
    max_batch: int = Field(4, ge=1, le=32, description="Images that one call of the model draws")
    window_ms: int = Field(10, ge=0, le=1000, description="Milliseconds that an image waits for others to be drawn with")
    max_waiting: int = Field(64, ge=1, le=4096, description="Images that may wait in a runner; more are refused with 429")
    safety: Annotated[Literal["off", "optional", "required"], BeforeValidator(spelled)] = Field(
        "required",
        description="A checker must pass every picture; optional lets callers do without, off has the prompt filter alone",
    )
    checker: Annotated[str, AfterValidator(checker_name)] = Field(
        "opennsfw", description="opennsfw, or owner/name@commit: an image classifier of transformers on the Hub"
    )
    threshold: float = Field(0.8, gt=0, lt=1, description="Score of the unsafe labels from which a picture is withheld")
    unsafe: tuple[str, ...] = Field(("nsfw",), min_length=1, description="The checker's labels that withhold a picture")
    deny: tuple[Annotated[str, Field(min_length=1, max_length=100)], ...] = Field(
        (), max_length=1000, description="Words that refuse a prompt, beside those that always do"
    )
    marking: Annotated[Literal["on", "off"], BeforeValidator(spelled)] = Field(
        "on", description="Mark every picture as generated: signed metadata and an invisible watermark"
    )
    certificate: Literal["development", "secret"] = Field(
        "development", description="What signs the marks: one that the runner makes, or the publisher's from the account's secrets"
    )
    log_prompts: bool = Field(False, description="Let the runner's log hold prompts")
