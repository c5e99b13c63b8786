"""What a retrain of a job may cost before it begins: its training by what was measured or by forecast, and its deploy."""

from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

from flows.home import home
from flows.machines.placing import Remote, place
from flows.money.deploy_cost import deploy_cost
from flows.money.spending import Rate, Work, book_forecast, booked, measured, metered, month_of, nano
from flows.store import digest
from flows.targets import Target

if TYPE_CHECKING:
    from flows.job import Job

OWN = "the machine is yours: nothing is counted for it"
PLAYED = "the sandbox takes no money"
RENTED = "retrain.machine_usd_per_hour"
MARGIN = Decimal("1.5")  # a training that was measured may take so many times as long with other pictures
REMEMBERED = timedelta(days=100)
WORKS: tuple[Work, ...] = ("train", "evaluate")


@dataclass(frozen=True, kw_only=True, slots=True)
class Estimate:
    """Nano-USD at most, and what that rests on; None where it is not known, and then why not."""

    usd_nano: int | None
    basis: str


def rate_of(job: "Job", target: Target, work: Work = "train") -> Rate:
    """What a second of the machine costs that trains the job, or that evaluates it: that is always the one here."""
    machine = machine_of(job) if work == "train" else None
    if machine is None:
        hour = job.retrain.machine_usd_per_hour
        return Rate(usd_per_second=Decimal(0), source=OWN) if hour is None else Rate(usd_per_second=hour / 3600, source=RENTED)
    if target == "sandbox":
        return Rate(usd_per_second=Decimal(0), source=PLAYED)
    from flows.money.sizing import gpu_of

    gpu = gpu_of(machine)
    if gpu is None or gpu.usd_per_second is None:
        return Rate(usd_per_second=None, source=f"no rate of {machine} is known (training/facts/gpus.yaml)")
    lowest, listed = gpu.usd_per_second
    source = "fal's list rate" if listed else "fal's lowest rate; the list rate is not known"
    return Rate(usd_per_second=Decimal(str(listed or lowest)), source=f"{machine} at {source}, as of September 2026")


def machine_of(job: "Job") -> str | None:
    """The machine at fal that trains the job; None where it is trained here."""
    where = place(job.compute, deployed=False)
    return where.machine if isinstance(where, Remote) else None


def booking(job: "Job", work: Work, target: Target = "sandbox", key: str = "") -> AbstractContextManager[None]:
    """Book what is done inside to the job's app. key: of what is trained, by which a rented machine's record is named."""
    rate = rate_of(job, target, work)
    rented = work == "train" and machine_of(job) is not None
    meter = metered(home() / "remote" / f"{target}-{key[:16]}.json", rate) if rented else None
    return booked(home(), job.serving.app, work, rate=rate, recipe=recipe_of(job), meter=meter)


def book_deploy(job: "Job", target: Target) -> None:
    """Book a deploy that begins, by its forecast; none on the sandbox, whose ledger has what it costs."""
    if target != "sandbox":
        cost = deploy_estimate(job, target)
        book_forecast(home(), job.serving.app, "deploy", usd_nano=cost.usd_nano, source=cost.basis)


def training_estimate(job: "Job", target: Target, now: datetime) -> Estimate:
    """The training and its evaluation together."""
    parts = [_estimate(job, target, work, now) for work in WORKS]
    basis = "; ".join(dict.fromkeys(part.basis for part in parts))
    costs = [part.usd_nano for part in parts]
    return Estimate(usd_nano=None if None in costs else sum(cost or 0 for cost in costs), basis=basis)


def _estimate(job: "Job", target: Target, work: Work, now: datetime) -> Estimate:
    rate = rate_of(job, target, work)
    if not rate.usd_per_second:
        return Estimate(usd_nano=rate.nano(Decimal(0)), basis=rate.source)
    months = sorted({month_of(now - REMEMBERED * part / 4) for part in range(5)})
    seconds = measured(home(), months, job.serving.app, work, recipe_of(job))
    if seconds is not None:
        said = f"to {work} took {seconds:.0f} s last time, half as much more is allowed for; {rate.source}"
        return Estimate(usd_nano=rate.nano(seconds * MARGIN), basis=said)
    machine = machine_of(job) if work == "train" else None
    if machine is None:
        return Estimate(usd_nano=None, basis="nothing was measured yet on this machine, so what a training takes is not known")
    return forecast(job, machine, rate)


def forecast(job: "Job", machine: str, rate: Rate) -> Estimate:
    """By counting, on a GPU of the forecast's table; half as much again for starting, loading and encoding."""
    from flows.money.sizing import gpu_of
    from training import forecast as forecasts
    from training.errors import BaseModelError, HubError

    ref, gpu = str(job.base.folder) if job.base.folder else job.base.repo, gpu_of(machine)
    try:
        counted = forecasts.study(forecasts.anatomy_of(ref, job.base.pinned), job.training)
    except (BaseModelError, HubError) as error:
        return Estimate(usd_nano=None, basis=str(error))
    (outlook,) = [one for one in forecasts.forecast(counted, job.training) if one.gpu == gpu]
    if outlook.hours is None:
        return Estimate(usd_nano=None, basis=f"the base does not fit {machine}, by the forecast")
    seconds = Decimal(str(outlook.hours[1])) * 3600
    said = f"at most {seconds:.0f} s of steps by forecast, half as much more for the rest; {rate.source}"
    return Estimate(usd_nano=rate.nano(seconds * MARGIN), basis=said)


def deploy_estimate(job: "Job", target: Target) -> Estimate:
    """Two starts, the smoke tests and the golden prompts; the sandbox takes no money."""
    if target == "sandbox":
        return Estimate(usd_nano=0, basis=PLAYED)
    cost = deploy_cost(job)
    if cost is None:
        return Estimate(usd_nano=None, basis=f"no rate of {job.serving.machine_type} is known (training/facts/gpus.yaml)")
    return Estimate(usd_nano=nano(Decimal(str(cost[1]))), basis="the highest of `lorasmith preflight`'s forecast")


def recipe_of(job: "Job") -> str:
    """What decides how long a training takes, beside the pictures: recipe, base, place."""
    base = str(job.base.folder) if job.base.folder else job.base.repo
    return digest([job.training.model_dump(mode="json"), base, job.compute])[:16]
