"""What a run needs to fit its device: precision of the frozen weights and gradient checkpointing, by the forecast."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from training.config import TrainConfig
from training.errors import ConfigError
from training.quantised import PACKAGES, is_quantised

Memory = Callable[[str, bool], float]  # precision, gradient checkpointing -> bytes that a step needs
_SPARE = 0.92  # part of the free memory that a forecast may fill


@dataclass(frozen=True, kw_only=True, slots=True)
class Fit:
    """How the base is loaded and run."""

    precision: str
    checkpointing: bool


# Tried in this order: checkpointing costs time and no quality, quantised weights cost both.
LADDER: Sequence[Fit] = (
    Fit(precision="bf16", checkpointing=False),
    Fit(precision="bf16", checkpointing=True),
    Fit(precision="int8", checkpointing=True),
    Fit(precision="nf4", checkpointing=True),
    Fit(precision="int8", checkpointing=False),
    Fit(precision="nf4", checkpointing=False),
)


def fit_for(config: TrainConfig, *, device: str, free: float, memory: Memory | None) -> Fit:
    """What the configuration says, and where it says auto the first of LADDER that fits into `free` bytes.

    On the CPU auto is float32 without checkpointing; without a forecast, bfloat16 without. ConfigError where nothing fits.
    """
    asked = config.gradient_checkpointing
    if device == "cpu" or memory is None:
        plain = "fp32" if device == "cpu" else "bf16"
        return Fit(precision=plain if config.precision == "auto" else config.precision, checkpointing=asked == "on")
    allowed = [fit for fit in _candidates(config) if asked == "auto" or fit.checkpointing == (asked == "on")]
    for fit in allowed:
        if memory(fit.precision, fit.checkpointing) <= free * _SPARE:
            return fit
    least = min(memory(fit.precision, fit.checkpointing) for fit in allowed)
    message = f"a step needs {least / 2**30:.1f} GiB by the forecast, {free / 2**30:.1f} GiB are free on the device"
    raise ConfigError(f"{message}: lower resolution or batch_size, raise gradient_accumulation, or set gradient_checkpointing: on")


def free_memory(device: torch.device) -> float:
    """Free bytes of a device; without end on the CPU, where nobody asks."""
    return float(torch.cuda.mem_get_info(device)[0]) if device.type == "cuda" else float("inf")


def checkpoint_gradients(denoiser: nn.Module, config: TrainConfig, *, wanted: bool, sound: bool = True) -> bool:
    """Turn gradient checkpointing on where it is wanted; whether it is. ConfigError where it was asked for and cannot be.

    `sound` says that the denoiser answers with it as without (Family.checkpoints).
    """
    if not wanted:
        return False
    try:
        if not sound:
            raise ValueError("it would change what the denoiser answers")
        denoiser.enable_gradient_checkpointing()  # type: ignore[operator]
    except (ValueError, AttributeError) as error:
        if config.gradient_checkpointing == "on":
            message = f"gradient_checkpointing: {type(denoiser).__name__} does not offer it, or not soundly"
            raise ConfigError(f"{message}: set gradient_checkpointing: off") from error
        return False
    return True


def _candidates(config: TrainConfig) -> list[Fit]:
    if config.precision != "auto":
        return [Fit(precision=config.precision, checkpointing=checkpointing) for checkpointing in (False, True)]
    return [fit for fit in LADDER if not is_quantised(fit.precision) or importlib.util.find_spec(PACKAGES[fit.precision])]
