"""The loss of each picture of a batch: noise, predict, compare, with what the recipe asks for on top."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from training import objective
from training.adapter import without
from training.batches import Batch
from training.config import TrainConfig
from training.denoise import predict, timesteps_for
from training.families import Family, objective_of

Ask = Callable[[nn.Module, Batch, torch.Generator], Tensor]
_ERRORS: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = {"mse": objective.squared, "huber": objective.huber}


def asker(family: Family, scheduler: Any, config: TrainConfig, device: torch.device) -> Ask:
    """A function from denoiser, batch and generator to the loss of each picture [B].

    Noise levels are logit-normal for flow, uniform for diffusion, and shifted as inference shifts them at the picture's size.
    """
    kind = objective_of(scheduler)
    table = None if kind == "flow" else scheduler.alphas_cumprod.to(device)
    error = _ERRORS[config.loss]

    def ask(denoiser: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
        clean = batch.mean.float()
        noise = torch.randn(clean.shape, generator=generator, device=device)
        uniform = objective.stratified(len(clean), generator) if batch.uniform is None else batch.uniform
        if batch.std is not None:
            clean = clean + batch.std.float() * torch.randn(clean.shape, generator=generator, device=device)
        shift = batch.conditioning.shift
        sigma = objective.shifted(objective.logit_normal(uniform), shift) if kind == "flow" else uniform
        timesteps = timesteps_for(scheduler, sigma)
        noised, target = objective.question(kind, clean, noise, sigma, timesteps, table)
        losses = objective.mean_of(error(predict(denoiser, family, noised, timesteps, batch.conditioning), target), batch.weights)
        if config.min_snr_gamma:
            snr = objective.signal_to_noise(kind, sigma, timesteps, table)
            losses = losses * objective.min_snr(kind, snr, sigma, config.min_snr_gamma)
        if batch.generic is None:
            return losses
        with without(denoiser):  # what the base says of the same pictures under captions without the trigger
            wanted = predict(denoiser, family, noised, timesteps, batch.generic)
        kept = predict(denoiser, family, noised, timesteps, batch.generic)
        return losses + config.prior_weight * objective.squared_error(kept, wanted)

    return ask
