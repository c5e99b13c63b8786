"""One process's worth of training on the tiny base, for tests: a fresh denoiser, trained until the loop ends or raises."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from training import loop
from training.adapter import adapter_state, inject
from training.base import Base, load_pipeline, locate
from training.config import TrainConfig
from training.data.cache import Example
from training.events import Events
from training.logpoint import Progress


class Run:
    """Call it to train; `state` is the adapter then."""

    def __init__(self, base: Base, examples: tuple[Example, ...], config: TrainConfig, work: Path) -> None:
        self.base, self.examples, self.config, self.work = base, examples, config, work
        pipe = _loaded(base.folder)
        self.scheduler = pipe.scheduler
        self.denoiser: nn.Module = copy.deepcopy(getattr(pipe, base.family.denoiser))
        how = {"kind": config.adapter, "rslora": config.rslora, "preset": config.preset}
        self.parameters = inject(self.denoiser, base.family, rank=config.rank, alpha=config.alpha, seed=config.seed, **how)

    def __call__(
        self,
        events: Events | None = None,
        stopped: Callable[[], bool] = lambda: False,
        held_out_loss: Callable[[], float] | None = None,
    ) -> list[Progress]:
        return loop.train(
            self.denoiser,
            self.parameters,
            self.base.family,
            self.scheduler,
            self.examples,
            self.config,
            accelerator=Accelerator(cpu=True),
            work=self.work,
            terms=self.config.terms(),
            events=events or Events(),
            stopped=stopped,
            held_out_loss=held_out_loss,
        )

    @property
    def state(self) -> dict[str, Tensor]:
        return {name: tensor.clone() for name, tensor in adapter_state(self.denoiser).items()}


@cache
def _loaded(folder: Path) -> Any:
    return load_pipeline(locate(str(folder)), torch.float32)


def same(one: dict[str, Tensor], two: dict[str, Tensor]) -> bool:
    """Whether two adapters are equal bit for bit."""
    return one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)
