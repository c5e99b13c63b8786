"""Memory, time and money of a run before anything is downloaded: from configs, on the meta device.

Memory is counted, time is a range: operations over the GPU's peak, times what published trainers reach of it. Nothing is downloaded
but, for a base that is neither here nor known, its config.json files; nothing is written.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from training.config import Recipe, TrainConfig
from training.errors import BaseModelError, HubError
from training.fit import LADDER, Fit
from training.forecast.bases import Anatomy, anatomy_of
from training.forecast.memory import Memory
from training.forecast.speed import Gpu, Range, cost, gpus, seconds_per_step
from training.forecast.study import Study, study

__all__ = ["FILLED", "Anatomy", "Fit", "Gpu", "Outlook", "Study", "anatomy_of", "fits", "forecast", "memory_needed", "study"]

FILLED = 0.92  # part of a GPU's memory that a forecast may fill


@dataclass(frozen=True, kw_only=True, slots=True)
class Outlook:
    """A job on one GPU. Where nothing fits: the least that would be needed, and no times."""

    gpu: Gpu
    fit: Fit | None
    memory: Memory
    seconds_per_step: Range | None = None
    hours: Range | None = None  # of all steps; loading, encoding and evaluation come on top
    usd: Range | None = None


def forecast(counted: Study, recipe: Recipe) -> list[Outlook]:
    """The job on each GPU of the table, smallest first."""
    return [_outlook(counted, recipe, gpu) for gpu in gpus()]


def fits(counted: Study, recipe: Recipe, device_bytes: float) -> Fit | None:
    """The first of `fit.LADDER` that the recipe allows and the device has room for; None where there is none. Pure."""
    room = device_bytes * FILLED
    allowed = (fit for fit in candidates(recipe) if counted.memory(fit.precision, checkpointing=fit.checkpointing).peak <= room)
    return next(allowed, None)


def candidates(recipe: Recipe) -> list[Fit]:
    """What the recipe leaves open, best first."""
    asked = recipe.gradient_checkpointing
    if recipe.precision == "auto":
        open_ones = list(LADDER)
    else:
        open_ones = [Fit(precision=recipe.precision, checkpointing=checkpointing) for checkpointing in (False, True)]
    return [fit for fit in open_ones if asked == "auto" or fit.checkpointing == (asked == "on")]


def memory_needed(config: TrainConfig) -> Callable[[str, bool], float] | None:
    """Bytes that a run of `config` needs, by precision and gradient checkpointing; None for a base that cannot be counted."""
    try:
        counted = study(anatomy_of(config.base, config.revision), config, torch.bfloat16)
    except (BaseModelError, HubError):
        return None
    return lambda precision, checkpointing: counted.memory(precision, checkpointing=checkpointing).peak


def _outlook(counted: Study, recipe: Recipe, gpu: Gpu) -> Outlook:
    fit = fits(counted, recipe, gpu.memory)
    if fit is None:
        open_ones = [counted.memory(one.precision, checkpointing=one.checkpointing) for one in candidates(recipe)]
        return Outlook(gpu=gpu, fit=None, memory=min(open_ones, key=lambda memory: memory.peak))
    flops = counted.step_flops(checkpointing=fit.checkpointing)
    seconds = seconds_per_step(flops, gpu.peak, operations=counted.operations, precision=fit.precision)
    whole = (seconds[0] * recipe.steps, seconds[1] * recipe.steps)
    return Outlook(
        gpu=gpu,
        fit=fit,
        memory=counted.memory(fit.precision, checkpointing=fit.checkpointing),
        seconds_per_step=seconds,
        hours=(whole[0] / 3600, whole[1] / 3600),
        usd=cost(whole, gpu.usd_per_second),
    )
