"""Where a job's training runs, decided from the job's `compute` and from how this run was started; nothing is asked or done."""

import re
from dataclasses import dataclass
from typing import Annotated

from pydantic import AfterValidator

MACHINE = re.compile(r"fal:(?P<machine>[A-Za-z0-9][A-Za-z0-9-]*)")
DEPLOYMENT = "train/train"


@dataclass(frozen=True, kw_only=True, slots=True)
class Here:
    """A child of this process, under the reaper."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Pool:
    """A run of this deployment, which a worker of the GPUs' work pool takes when one is free."""

    deployment: str = DEPLOYMENT


@dataclass(frozen=True, kw_only=True, slots=True)
class Remote:
    """The same trainer on a machine of this type at fal."""

    machine: str


Place = Here | Pool | Remote


def place(compute: str, *, deployed: bool) -> Place:
    """The place of a training. `deployed`: a worker runs this, so that GPUs are shared by way of their pool."""
    if rented := MACHINE.fullmatch(compute):
        return Remote(machine=rented["machine"])
    if compute == "pool" or (compute == "auto" and deployed):
        return Pool()
    return Here()


def known_place(compute: str) -> str:
    if compute in ("auto", "here", "pool") or MACHINE.fullmatch(compute):
        return compute
    raise ValueError("must be auto, here, pool, or fal:MACHINE such as fal:GPU-H100")


def processes_for(gpus: int, pictures: int) -> int:
    """Trainer processes on `gpus` GPUs: as many as share a step's `pictures` evenly, so that the machine changes no recipe."""
    return max(count for count in range(1, max(gpus, 1) + 1) if pictures % count == 0)


Compute = Annotated[str, AfterValidator(known_place)]
