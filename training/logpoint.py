"""What a run does every so many steps: read the loss, measure on held-out pictures, report, save, halt."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from training import checkpoint
from training.config import TrainConfig
from training.errors import DivergedError, Interrupted
from training.events import Events
from training.optimizers import recommended
from training.patience import Measurement, best_of


@dataclass(frozen=True, kw_only=True, slots=True)
class Progress:
    """A point of the curve: steps done, mean loss since the point before, learning rate, held-out loss where measured here."""

    step: int
    loss: float
    learning_rate: float
    held_out: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class LogPoint:
    """A run between its steps. The loop puts losses and gradient norms in, on the device; `reached` reads them where it is due."""

    first: int  # steps done before this process
    measured: list[Measurement]
    parameters: Mapping[str, nn.Parameter]
    optimizer: torch.optim.Optimizer
    config: TrainConfig
    accelerator: Any
    work: Path
    terms: Mapping[str, Any]
    events: Events
    stopped: Callable[[], bool]
    held_out_loss: Callable[[], float] | None
    losses: list[Tensor] = field(default_factory=list)
    norms: list[Tensor] = field(default_factory=list)
    curve: list[Progress] = field(default_factory=list)
    began: float = field(default_factory=time.perf_counter)

    def reached(self, done: int) -> None:
        """After `done` steps: nothing, or a log point. Raises DivergedError, Interrupted, StorageError."""
        config = self.config
        ends = done == config.steps
        saves = ends or done % config.checkpoint_every == 0
        measures = self.held_out_loss is not None and (ends or done % (config.validate_every or config.steps) == 0)
        alone = self.accelerator.num_processes == 1
        halts = alone and self.stopped()  # several processes agree on it at log points
        if not (saves or measures or halts or done % config.log_every == 0):
            return
        loss, halts = self._read(halts or (not alone and self.stopped()), done)
        held_out = self._measure(done) if measures else None
        self._report(done, loss, held_out)
        if self.accelerator.is_main_process and (saves or measures or halts):
            checkpoint.save(self.work, done, self.parameters, self.optimizer, self.terms, self.measured)
        if halts:
            raise Interrupted(f"stopped at step {done} of {config.steps}: run again and it goes on from there")

    def _read(self, halts: bool, done: int) -> tuple[float, bool]:
        """The mean loss since the last reading, and whether any process is to halt; waits for the device."""
        means = torch.stack([torch.stack(self.losses).mean(), torch.stack(self.norms).mean()])
        said = self.accelerator.reduce(torch.cat([means, means.new_tensor([float(halts)])]), reduction="mean")
        loss, norm, halting = said.tolist()
        self.losses.clear()
        self.norms.clear()
        if not math.isfinite(loss + norm):
            what = f"gradient is {norm}" if math.isfinite(loss) else f"loss is {loss}"
            raise DivergedError(f"{what} by step {done}: lower the learning rate; the last good checkpoint is kept")
        return loss, halting > 0

    def _measure(self, done: int) -> float:
        """Held-out loss, the same number in every process; the weights are kept where it is the least so far."""
        assert self.held_out_loss is not None, "measured only where there is something to measure on"
        with recommended(self.optimizer, self.parameters):
            here = torch.tensor(self.held_out_loss(), dtype=torch.float64)
            loss: float = self.accelerator.reduce(here.to(self.accelerator.device), reduction="mean").item()
            self.measured.append((done, loss))
            if self.accelerator.is_main_process and best_of(self.measured) == (done, loss):
                checkpoint.keep_best(self.work, done, self.parameters, self.terms)
        return loss

    def _report(self, done: int, loss: float, held_out: float | None) -> None:
        rate = float(self.optimizer.param_groups[0]["lr"])
        self.curve.append(Progress(step=done, loss=loss, learning_rate=rate, held_out=held_out))
        speed = round((done - self.first) / (time.perf_counter() - self.began), 3)
        told = {} if held_out is None else {"held_out": held_out}
        self.events.emit("step", stage="train", step=done, total=self.config.steps, loss=loss, steps_per_second=speed, **told)
