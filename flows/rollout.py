"""How a new release takes the place of the old one: the job's field `rollout`, and what it means for one package."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    from flows.job import Job
    from serving.release.budget import Budget
    from serving.release.golden import GoldenPlan
    from serving.release.smoke import SmokePlan


class Rollout(BaseModel):
    """What a candidate must show before it goes live, and for how long it is watched then; docs/reliability.md tells of each."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    golden: int = Field(3, ge=0, le=8, description="Samples of the evaluation that the candidate draws again; 0 compares none")
    likeness_db: float = Field(30.0, gt=0, le=100, description="PSNR that each must reach against the evaluation's picture, in dB")
    latency_factor: float = Field(
        2.0, ge=1, le=100, description="Median seconds of a picture, at most so many times those of what is live (plus 2 s)"
    )
    latency_seconds: float | None = Field(
        None, gt=0, le=3600, description="The same as an absolute limit; default is none, so a first release is not held to any"
    )
    error_budget: float = Field(
        0.05, ge=0, le=1, description="Share of requests that may fail (5xx), before it goes live and after"
    )
    watch_minutes: float = Field(10.0, ge=0, le=1440, description="How long it is on probation once it is live")
    min_requests: int = Field(20, ge=1, le=100_000, description="Requests of callers from which on their failures are judged")


def budget_of(job: "Job") -> "Budget":
    from serving.release.budget import Budget

    fields = ("latency_factor", "latency_seconds", "error_budget", "watch_minutes", "min_requests")
    return Budget(**{name: getattr(job.rollout, name) for name in fields})


def golden_of(job: "Job", package: Path, bundle: Path) -> "GoldenPlan":
    """The samples that the package's app shall draw again."""
    from serving.release.golden import golden_plan

    settings: dict[str, Any] = json.loads((package / "settings.json").read_text())
    return golden_plan(bundle, settings, number=job.rollout.golden, likeness_db=job.rollout.likeness_db)


def smoke_of(job: "Job", bundle: Path) -> "SmokePlan":
    """One request as a caller makes it, for what is held out."""
    from serving.release.smoke import SmokePlan

    prompts = [sample["prompt"] for sample in json.loads((bundle / "evaluation.json").read_text())["samples"]]
    request = {"prompt": prompts[0], "seed": 1}
    return SmokePlan(arguments=[request], images=min(2, job.serving.max_images), unit=job.serving.billing_unit)
