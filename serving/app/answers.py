"""What the app answers with beside its errors: images, how the runner is, whether a request was cancelled."""

from collections.abc import Mapping
from typing import Literal

from pydantic import BaseModel, Field

from .delivery import Delivery
from .marking import Marker
from .marking.statement import statement_of
from .requests.schema import Input, Output, Undelivered
from .safety.checker import safety_statement
from .settings import Installed


class Health(BaseModel):
    """How the runner is and what it runs. Answers without the GPU, also while requests are at work."""

    status: Literal["ok"] = Field(default="ok", description="A runner that is not well answers with an error.")
    package: str = Field(description="Hash of the package that runs here; OpenAPI's info.version is the same.")
    adapter_sha256: str = Field(description="Hash of the adapter's file.")
    family: str = Field(description="The kind of base that the adapter was trained for.")
    safety: str = Field(description="What protects callers here.")
    marking: str = Field(description="What the images say of themselves.")


class Cancellation(BaseModel):
    """Whether there was a request of this id to cancel."""

    cancelled: bool


def health_of(package: Installed, marker: Marker | None) -> Health:
    """What a runner that is well says of itself."""
    settings = package.settings
    return Health(
        package=package.hash,
        adapter_sha256=settings.adapter.sha256,
        family=settings.family,
        safety=safety_statement(settings),
        marking=marker.statement if marker else statement_of(settings.marking),
    )


def output_of(body: Input, seed: int, delivery: Delivery, seconds: Mapping[str, float]) -> Output:
    """The answer to a request for images."""
    return Output(
        images=list(delivery.images),
        timings={part: round(spent, 4) for part, spent in seconds.items()},
        seed=seed,
        has_nsfw_concepts=[False] * len(delivery.images),
        prompt=body.prompt,
        undelivered=[Undelivered(index=index, reason=reason) for index, reason in delivery.undelivered],
    )
