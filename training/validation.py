"""Stable validation loss: every held-out picture asked at the same noise levels with the same noise, run after run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from training import objective
from training.conditioning import collate
from training.data.cache import Example
from training.data.manifest import Picture
from training.denoise import predict, timesteps_for
from training.families import Family, objective_of

SIGMAS = tuple((index + 0.5) / 8 for index in range(8))  # noise levels asked of every picture: the middles of eight equal bins

HeldOut = Sequence[tuple[Picture, Example]]


def stable_losses(
    denoiser: nn.Module,
    scheduler: Any,
    family: Family,
    pictures: HeldOut,
    *,
    rows: int,
    done: Callable[[int], None] = lambda number: None,
) -> NDArray[np.float64]:
    """Loss of each picture at each of SIGMAS [pictures, levels], `rows` levels a call; `done` hears of each picture.

    The noise is a function of the picture and the level alone, so that two adapters are asked the same questions and a picture's
    row does not depend on the others. No gradients, no random state touched; one device sync a call.
    """
    losses = np.zeros((len(pictures), len(SIGMAS)))
    for number, (picture, example) in enumerate(pictures):
        parts = [_loss(denoiser, scheduler, family, picture, example, SIGMAS[at : at + rows]) for at in range(0, len(SIGMAS), rows)]
        losses[number] = torch.cat(parts).double().numpy()
        done(number + 1)
    return losses


@torch.no_grad()
def _loss(
    denoiser: nn.Module, scheduler: Any, family: Family, picture: Picture, example: Example, sigmas: Sequence[float]
) -> Tensor:
    device = next(denoiser.parameters()).device
    clean = example.latents.float().to(device).expand(len(sigmas), *example.latents.shape)
    noise = torch.stack([_noise(picture, sigma, example.latents) for sigma in sigmas]).to(clean)
    sigma = torch.tensor(sigmas, device=device)
    timesteps = timesteps_for(scheduler, sigma)
    kind = objective_of(scheduler)
    table = None if kind == "flow" else scheduler.alphas_cumprod.to(device)
    noised, target = objective.question(kind, clean, noise, sigma, timesteps, table)
    conditioning = collate([example.conditioning] * len(sigmas), family).to(device)
    prediction = predict(denoiser, family, noised, timesteps, conditioning)
    if example.mask is not None:  # weighted as in training
        weight = example.mask.to(prediction.device).sqrt()
        prediction, target = prediction * weight, target * weight
    return objective.squared_error(prediction, target).cpu()


def _noise(picture: Picture, sigma: float, like: Tensor) -> Tensor:
    seed = int(picture.sha256[:12], 16) * 1000 + round(sigma * 999)
    return torch.randn(like.shape, generator=torch.Generator().manual_seed(seed))
