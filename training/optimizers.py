"""Optimizers by name, from torch and from the libraries that are kept for one; those are imported when asked for."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from training.config import OptimizerName, TrainConfig
from training.errors import ConfigError


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """Where an optimizer comes from, and what it is given besides learning rate and weight decay."""

    module: str
    name: str
    package: str = "torch"
    options: Mapping[str, Any] = field(default_factory=dict)


_BETAS = (0.9, 0.99)
SOURCES: Mapping[OptimizerName, Source] = {
    "adamw": Source(module="torch.optim", name="AdamW", options={"betas": _BETAS, "fused": True}),
    "adam": Source(module="torch.optim", name="Adam", options={"betas": _BETAS, "fused": True}),
    "radam": Source(module="torch.optim", name="RAdam", options={"betas": _BETAS, "decoupled_weight_decay": True}),
    "sgd": Source(module="torch.optim", name="SGD", options={"momentum": 0.9, "nesterov": True, "fused": True}),
    "adafactor": Source(module="torch.optim", name="Adafactor"),
    "adamw8bit": Source(module="bitsandbytes.optim", name="AdamW8bit", package="bitsandbytes", options={"betas": _BETAS}),
    "paged-adamw8bit": Source(
        module="bitsandbytes.optim", name="PagedAdamW8bit", package="bitsandbytes", options={"betas": _BETAS}
    ),
    "lion8bit": Source(module="bitsandbytes.optim", name="Lion8bit", package="bitsandbytes", options={"betas": _BETAS}),
    "prodigy": Source(
        module="prodigyopt",
        name="Prodigy",
        package="prodigyopt",
        options={"betas": _BETAS, "use_bias_correction": True, "safeguard_warmup": True},
    ),
    "schedulefree": Source(module="schedulefree", name="AdamWScheduleFree", package="schedulefree", options={"betas": _BETAS}),
    "came": Source(module="came_pytorch", name="CAME", package="came-pytorch"),
}


def make_optimizer(parameters: Mapping[str, nn.Parameter], config: TrainConfig) -> torch.optim.Optimizer:
    """The configured optimizer over all parameters as one group, ready to step; ConfigError where its package is missing."""
    source = SOURCES[config.optimizer]
    try:
        kind = getattr(importlib.import_module(source.module), source.name)
    except ImportError as error:
        message = f"optimizer: '{config.optimizer}' needs the package {source.package}, which is not here"
        raise ConfigError(f"{message}: pip install {source.package}, or set optimizer: adamw") from error
    optimizer: torch.optim.Optimizer = kind(
        list(parameters.values()), lr=config.learning_rate, weight_decay=config.weight_decay, **source.options
    )
    if averages(optimizer):
        optimizer.train()  # type: ignore[attr-defined]
    return optimizer


def averages(optimizer: torch.optim.Optimizer) -> bool:
    """Whether it steps on other weights than those that it recommends (schedule-free ones do)."""
    return hasattr(optimizer, "eval")


def settle(optimizer: torch.optim.Optimizer) -> None:
    """Put the parameters where the optimizer recommends them, at the end."""
    if averages(optimizer):
        optimizer.eval()  # type: ignore[attr-defined]


@contextmanager
def recommended(optimizer: torch.optim.Optimizer, parameters: Mapping[str, nn.Parameter]) -> Iterator[None]:
    """The parameters as the optimizer recommends them, for the while; afterwards they are bit for bit what they were."""
    if not averages(optimizer):
        yield
        return
    stepped = [parameter.detach().clone() for parameter in parameters.values()]
    optimizer.eval()  # type: ignore[attr-defined]
    try:
        yield
    finally:
        optimizer.train()  # type: ignore[attr-defined]
        for parameter, former in zip(parameters.values(), stepped, strict=True):
            parameter.data.copy_(former)
