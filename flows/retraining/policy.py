"""Whether an app is worth a training: what decides a release, then and now, and what the job's field `retrain` says. Pure."""

from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from decimal import Decimal

from pydantic import BaseModel, ConfigDict, Field

NAMES = {
    "pictures": "pictures",
    "rules": "rules of the dataset",
    "base": "base",
    "licences": "licence evidence",
    "recipe": "recipe",
    "training_code": "training code",
    "adapter": "adapter from elsewhere",
    "evaluation": "evaluation",
    "gate": "gate",
    "serving": "app settings",
    "serving_code": "serving code",
    "listing": "texts of the listing",
}
TRAINED_BY = frozenset({"pictures", "rules", "base", "recipe", "training_code"})


class Retrain(BaseModel):
    """When retrain-and-redeploy runs on this job, and what it may cost."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    stale_minutes: float = Field(
        1440.0,
        gt=0,
        le=525_600,
        description="A scheduled retrain that starts later than this is dropped; the next one looks",
    )
    monthly_budget_usd: Decimal | None = Field(
        None,
        gt=0,
        max_digits=12,
        decimal_places=2,
        description="What the app's trainings and deploys may cost in a month (UTC); a retrain that might pass it does not start",
    )
    machine_usd_per_hour: Decimal | None = Field(
        None,
        ge=0,
        max_digits=12,
        decimal_places=6,
        description="What an hour of the machine that trains costs you, where you rent it and compute is not fal:MACHINE",
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Snapshot:
    """What decides a release: each part as the hash of what its step was, or would be, made from. None: nobody knows any more."""

    pictures: str | None
    rules: str | None
    base: str | None
    licences: str | None
    recipe: str | None
    training_code: str | None
    adapter: str | None
    evaluation: str | None
    gate: str | None
    serving: str | None
    serving_code: str | None
    listing: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """A part that is another one now: its field in Snapshot, how it is called, and the beginnings of both hashes."""

    part: str
    name: str
    before: str
    now: str


def changes(before: Snapshot | None, now: Snapshot) -> tuple[Change, ...]:
    """The parts that differ, in the order of a publish; all that there are where nothing is on record."""
    found = []
    for field in fields(Snapshot):
        was, is_now = getattr(before, field.name) if before else None, getattr(now, field.name)
        if was != is_now:
            found.append(Change(part=field.name, name=NAMES[field.name], before=short(was), now=short(is_now)))
    return tuple(found)


def needs_training(changed: tuple[Change, ...]) -> bool:
    """Whether what changed decides the adapter's weights; else the one that is there will do."""
    return any(change.part in TRAINED_BY for change in changed)


def named(changed: tuple[Change, ...]) -> str:
    """`pictures and recipe`."""
    *most, last = [change.name for change in changed]
    return f"{', '.join(most)} and {last}" if most else last


def over_budget(cap: Decimal | None, *, spent: Decimal, unknown: int, forecast: Decimal | None, why: str) -> str | None:
    """Why a retrain may not start, with the sum shown; None where it may. All in USD of one month.

    unknown: how many pieces of this month's work nobody knows the cost of. why: what `forecast` rests on, or why there is none.
    """
    if cap is None:
        return None
    bound = f"and retrain.monthly_budget_usd is ${cap}"
    if unknown:
        return f"what {unknown} piece{'s' if unknown > 1 else ''} of this month's work cost is not known, {bound}"
    if forecast is None:
        return f"what it would cost is not known ({why}), {bound}"
    if spent + forecast > cap:
        return f"${spent:f} spent this month and ${forecast:f} by forecast are ${spent + forecast:f}, {bound}"
    return None


def short(hash: str | None) -> str:
    return hash[:12] if hash else "-"


def lateness(expected: datetime | None, now: datetime, limit_minutes: float) -> timedelta | None:
    """How late a run starts, where that is later than the limit; None where it is in time, or where no time was planned."""
    if expected is None:
        return None
    late = now - expected
    return late if late > timedelta(minutes=limit_minutes) else None
