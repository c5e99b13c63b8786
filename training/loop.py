"""The loop: fetch, noise, predict, compare, step. It knows no family by name and waits for the device at log points only."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from training import checkpoint
from training.batches import Part, batcher
from training.config import TrainConfig
from training.data.buckets import batches_from
from training.data.cache import Example
from training.events import Events
from training.families import Family
from training.logpoint import LogPoint, Progress
from training.losses import asker
from training.optimizers import make_optimizer, settle
from training.patience import exhausted
from training.schedules import learning_rate_at


def train(
    denoiser: nn.Module,
    parameters: Mapping[str, nn.Parameter],
    family: Family,
    scheduler: Any,
    examples: Sequence[Example],
    config: TrainConfig,
    *,
    accelerator: Any,
    work: Path,
    terms: Mapping[str, Any],
    events: Events,
    stopped: Callable[[], bool] = lambda: False,
    held_out_loss: Callable[[], float] | None = None,
) -> list[Progress]:
    """Train `parameters` (inside `denoiser`) in place for config.steps steps and return the curve since the last resumption.

    The batch and the noise of a step are functions of seed and step, so a run resumed from `work` ends bit-equal to one that
    was never stopped. With `held_out_loss` the parameters end as they were when it was least, and training may end early. Raises
    DivergedError for a loss or gradient that is no number, Interrupted when `stopped` says so; the last good checkpoint stays.
    CheckpointError for a `work` that belongs to other terms, StorageError for a disk that is full.
    """
    optimizer = make_optimizer(parameters, config)
    first, measured = checkpoint.resume(work, parameters, optimizer, terms)
    point = LogPoint(
        first=first,
        measured=measured,
        parameters=parameters,
        optimizer=optimizer,
        config=config,
        accelerator=accelerator,
        work=work,
        terms=terms,
        events=events,
        stopped=stopped,
        held_out_loss=held_out_loss,
    )
    fetch = batcher(examples, family, config, accelerator.device)
    ask = asker(family, scheduler, config, accelerator.device)
    batches = batches_from(first, [example.bucket for example in examples], config.batch_size, seed=config.seed)
    parts = accelerator.num_processes * config.gradient_accumulation
    for step in range(first, config.steps):
        if exhausted(measured, config.patience):
            break
        batch = next(batches)
        for index in range(accelerator.process_index, parts, accelerator.num_processes):
            part = Part(step=step, index=index, count=parts)
            loss = ask(denoiser, fetch(part.of(batch), part), part.generator(config.seed, accelerator.device)).mean()
            accelerator.backward(loss / config.gradient_accumulation)
            point.losses.append(loss.detach())
        _average_gradients(parameters.values(), accelerator)
        point.norms.append(torch.nn.utils.clip_grad_norm_(parameters.values(), 1.0))
        _step(optimizer, learning_rate_at(step, config))
        point.reached(step + 1)  # the device is waited for here, every so many steps, and nowhere else
    if measured:
        accelerator.wait_for_everyone()
        checkpoint.restore_best(work, parameters, terms)
    else:
        settle(optimizer)
    return point.curve


def _step(optimizer: torch.optim.Optimizer, rate: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = rate
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)


def _average_gradients(parameters: Iterable[nn.Parameter], accelerator: Any) -> None:
    if accelerator.num_processes > 1:  # one small all-reduce for all LoRA gradients; the frozen base needs no wrapper
        gradients: list[Tensor] = [parameter.grad for parameter in parameters if parameter.grad is not None]
        flat = accelerator.reduce(torch.cat([gradient.flatten() for gradient in gradients]), reduction="mean")
        for gradient, mean in zip(gradients, flat.split([gradient.numel() for gradient in gradients]), strict=True):
            gradient.copy_(mean.view_as(gradient))
