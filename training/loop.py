"""The LoRA loop: fetch, noise, predict, compare, step. It knows no family by name and waits for the device at log points only."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from training import checkpoint, objective
from training.conditioning import collate
from training.config import TrainConfig
from training.data.buckets import batches_from
from training.data.cache import Example
from training.denoise import predict, timesteps_for
from training.errors import DivergedError, Interrupted
from training.events import Events
from training.families import Family, objective_of


@dataclass(frozen=True, kw_only=True, slots=True)
class Progress:
    """A point of the curve: steps done, mean loss since the point before, learning rate."""

    step: int
    loss: float
    learning_rate: float


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
) -> list[Progress]:
    """Train `parameters` (inside `denoiser`) in place for config.steps steps and return the curve of this process.

    The batch and the noise of a step are functions of seed and step, so a run resumed from `work` ends bit-equal to one that
    was never stopped. Raises DivergedError for a loss that is no number, Interrupted when `stopped` says so; the last good
    checkpoint stays. CheckpointError for a `work` that belongs to other terms.
    """
    optimizer = torch.optim.AdamW(parameters.values(), betas=(0.9, 0.99), weight_decay=config.weight_decay, fused=True)
    first = checkpoint.resume(work, parameters, optimizer, terms)
    examples = [_on(example, accelerator.device) for example in examples]
    ask = _asker(family, scheduler, accelerator.device)
    batches = batches_from(first, [example.bucket for example in examples], config.batch_size, seed=config.seed)
    curve: list[Progress] = []
    losses: list[Tensor] = []
    began = time.perf_counter()
    for step in range(first, config.steps):
        batch = [examples[index] for index in _share(next(batches), accelerator)]
        loss = ask(denoiser, batch, _generator(config.seed, step, accelerator)).mean()
        optimizer.zero_grad(set_to_none=True)
        accelerator.backward(loss)
        _average_gradients(parameters.values(), accelerator)
        torch.nn.utils.clip_grad_norm_(parameters.values(), 1.0)
        for group in optimizer.param_groups:
            group["lr"] = rate = learning_rate_at(step, config)
        optimizer.step()
        losses.append(loss.detach())
        done = step + 1
        if done % config.log_every == 0 or done % config.checkpoint_every == 0 or done == config.steps or stopped():
            curve.append(Progress(step=done, loss=_mean(losses, done), learning_rate=rate))  # device sync here, and nowhere else
            losses.clear()
            speed = (done - first) / (time.perf_counter() - began)
            events.emit("step", stage="train", step=done, total=config.steps, loss=curve[-1].loss, steps_per_second=round(speed, 3))
            if accelerator.is_main_process and (done % config.checkpoint_every == 0 or done == config.steps or stopped()):
                checkpoint.save(work, done, parameters, optimizer, terms)
            if stopped():
                raise Interrupted(f"stopped at step {done} of {config.steps}: run again and it goes on from there")
    return curve


def learning_rate_at(step: int, config: TrainConfig) -> float:
    """Linear warm-up over config.warmup steps, then linear or cosine decay to zero at the end. `step` counts from 0."""
    warmth = min(1.0, (step + 1) / config.warmup) if config.warmup else 1.0
    passed = step / config.steps
    decay = 1 - passed if config.schedule == "linear" else 0.5 * (1 + math.cos(math.pi * passed))
    return config.learning_rate * warmth * decay


def _asker(family: Family, scheduler: Any, device: torch.device) -> Callable[[nn.Module, list[Example], torch.Generator], Tensor]:
    """The loss of each picture of a batch [B], at noise levels and with noise that the generator draws."""
    kind = objective_of(scheduler)
    shift = scheduler.config.get("shift", 1.0) if kind == "flow" and not scheduler.config.get("use_dynamic_shifting") else 1.0
    table = None if kind == "flow" else scheduler.alphas_cumprod.to(device)

    def ask(denoiser: nn.Module, batch: list[Example], generator: torch.Generator) -> Tensor:
        clean = torch.stack([item.latents for item in batch]).float()
        noise = torch.randn(clean.shape, generator=generator, device=device)
        uniform = objective.stratified(len(batch), generator)
        sigma = objective.shifted(objective.logit_normal(uniform), shift) if kind == "flow" else uniform
        timesteps = timesteps_for(scheduler, sigma)
        noised, target = objective.question(kind, clean, noise, sigma, timesteps, table)
        conditioning = collate([item.conditioning for item in batch], family)
        return objective.squared_error(predict(denoiser, family, noised, timesteps, conditioning), target)

    return ask


def _on(example: Example, device: torch.device) -> Example:
    return replace(example, latents=example.latents.to(device), conditioning=example.conditioning.to(device))


def _generator(seed: int, step: int, accelerator: Any) -> torch.Generator:
    world = accelerator.num_processes
    return torch.Generator(accelerator.device).manual_seed((seed << 32) + step * world + accelerator.process_index)


def _share(batch: list[int], accelerator: Any) -> list[int]:
    """This process's part of a batch; a short batch goes round until everyone has the same number."""
    world = accelerator.num_processes
    rounds = -(-len(batch) // world) * world
    return [batch[index % len(batch)] for index in range(accelerator.process_index, rounds, world)]


def _average_gradients(parameters: Any, accelerator: Any) -> None:
    if accelerator.num_processes > 1:  # one small all-reduce for all LoRA gradients; the frozen base needs no wrapper
        gradients = [parameter.grad for parameter in parameters]
        flat = accelerator.reduce(torch.cat([gradient.flatten() for gradient in gradients]), reduction="mean")
        for gradient, mean in zip(gradients, flat.split([gradient.numel() for gradient in gradients]), strict=True):
            gradient.copy_(mean.view_as(gradient))


def _mean(losses: list[Tensor], step: int) -> float:
    mean = torch.stack(losses).mean().item()
    if not math.isfinite(mean):
        raise DivergedError(f"loss is {mean} by step {step}: lower the learning rate; the last good checkpoint is kept")
    return mean
