"""When the monitor speaks up: the job's field `monitor`, with a default for each number."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Code = Literal[
    "platform",
    "health",
    "errors",
    "latency",
    "cold_starts",
    "cost",
    "margin",
    "price",
    "listing",
    "quality",
    "certificate",
    "waiver",
    "catalogue",
    "licence",
    "probation",
]


class Thresholds(BaseModel):
    """From where on a figure of a live release is a warning or an alert; docs/operations.md tells of each."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    wake: bool = Field(False, description="Ask /health also where no runner is up, which starts one and costs its seconds")
    window_minutes: float = Field(60.0, ge=1, le=1440, description="How far back errors and latency look; all else is of a day")
    min_requests: int = Field(
        20, ge=1, le=100_000, description="Requests of that window from which on errors and latency are judged"
    )
    errors_warn: float = Field(0.01, ge=0, le=1, description="Share of requests that fail (5xx) from which on it is a warning")
    errors_alert: float = Field(0.05, ge=0, le=1, description="The same for an alert")
    p95_warn_seconds: float | None = Field(None, gt=0, description="95th percentile of a request, with its wait; default none")
    p95_alert_seconds: float | None = Field(None, gt=0, description="The same for an alert")
    cold_starts_a_day: int | None = Field(None, ge=0, description="Requests that may wait for a runner to start; default none")
    cost_a_day_usd: float | None = Field(None, gt=0, description="What machines may cost the owner in a day; default none")
    margin_usd: float = Field(0.0, description="What an image must leave over at least, revenue less cost")
    price_factor: float = Field(2.0, ge=1, description="How far the live price may be from the recommended one, as a factor")
    unanswered_days: int = Field(14, ge=1, description="Days after which a listing that was sent and not answered is asked about")
    golden_a_day: int = Field(0, ge=0, le=96, description="Golden prompts that are drawn again each day; they cost their seconds")
    golden_drop_db: float = Field(
        6.0, gt=0, le=100, description="PSNR that a picture may lose against the one at its release, in dB"
    )
    expiry_warn_days: int = Field(30, ge=1, description="Days before certificate, waiver or facts expire, for a warning")
    expiry_alert_days: int = Field(7, ge=0, description="The same for an alert")
    licence_days: float = Field(3.0, gt=0, description="How old the last licence check may be")
    pause_on: tuple[Code, ...] = Field((), description="Alerts upon which the automation pauses the schedule of retraining")
    roll_back_on: tuple[Code, ...] = Field((), description="Alerts upon which the automation rolls the release back")

    @model_validator(mode="after")
    def ordered(self) -> "Thresholds":
        """A warning comes before its alert."""
        if self.errors_warn > self.errors_alert:
            raise ValueError(f"errors_warn {self.errors_warn:g} is above errors_alert {self.errors_alert:g}: swap them")
        if self.p95_warn_seconds and self.p95_alert_seconds and self.p95_warn_seconds > self.p95_alert_seconds:
            raise ValueError(
                f"p95_warn_seconds {self.p95_warn_seconds:g} is above p95_alert_seconds {self.p95_alert_seconds:g}: swap them"
            )
        if self.expiry_warn_days < self.expiry_alert_days:
            raise ValueError(
                f"expiry_warn_days {self.expiry_warn_days} is below expiry_alert_days {self.expiry_alert_days}: swap them"
            )
        return self
