"""The learning rate of each step: pure functions of the step, so that a resumed run needs to remember none of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from training.config import TrainConfig


def learning_rate_at(step: int, config: TrainConfig) -> float:
    """Linear warm-up over config.warmup steps times the schedule's decay. `step` counts from 0."""
    warmth = min(1.0, (step + 1) / config.warmup) if config.warmup else 1.0
    return config.learning_rate * warmth * _DECAYS[config.schedule](step / config.steps, config.schedule_cycles)


def _cosine(passed: float, cycles: int) -> float:
    return 0.5 * (1 + math.cos(math.pi * passed))


def _cosine_restarts(passed: float, cycles: int) -> float:
    """Cosine descents of equal length, each from the top. (Loshchilov and Hutter 2017)"""
    return _cosine(passed * cycles % 1.0, cycles)


# schedule -> the part of the learning rate that is left when `passed` of the steps, 0 to 1, are done
_DECAYS: Mapping[str, Callable[[float, int], float]] = {
    "constant": lambda passed, cycles: 1.0,
    "linear": lambda passed, cycles: 1 - passed,
    "cosine": _cosine,
    "cosine-restarts": _cosine_restarts,
    "polynomial": lambda passed, cycles: (1 - passed) ** 2,
}
