"""What a prediction should have been: forward processes, their targets, and the noise levels to ask about. Pure.

Tensors are batches [B, ...]; noise levels and timesteps are vectors [B].
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

Objective = Literal["flow", "epsilon", "v"]
HUBER = 0.1  # latents and targets are of unit scale


def flow_noised(clean: Tensor, noise: Tensor, sigma: Tensor) -> Tensor:
    """x_sigma = (1 - sigma) x + sigma n, the straight path of flow matching. (Lipman et al. 2023)"""
    level = _over(sigma, clean)
    return (1 - level) * clean + level * noise


def flow_target(clean: Tensor, noise: Tensor) -> Tensor:
    """Velocity that flow matching regresses: d x_sigma / d sigma. (Lipman et al. 2023)"""
    return noise - clean


def diffusion_noised(clean: Tensor, noise: Tensor, alpha_bar: Tensor) -> Tensor:
    """x_t = sqrt(alpha_bar) x + sqrt(1 - alpha_bar) n. (Ho et al. 2020)"""
    kept = _over(alpha_bar, clean)
    return kept.sqrt() * clean + (1 - kept).sqrt() * noise


def v_target(clean: Tensor, noise: Tensor, alpha_bar: Tensor) -> Tensor:
    """v = sqrt(alpha_bar) n - sqrt(1 - alpha_bar) x. (Salimans and Ho 2022)"""
    kept = _over(alpha_bar, clean)
    return kept.sqrt() * noise - (1 - kept).sqrt() * clean


def question(
    objective: Objective, clean: Tensor, noise: Tensor, sigma: Tensor, timesteps: Tensor, alpha_bars: Tensor | None
) -> tuple[Tensor, Tensor]:
    """The noised batch that a denoiser sees and the target it should answer; alpha_bars is the scheduler's table, None for flow."""
    if objective == "flow":
        return flow_noised(clean, noise, sigma), flow_target(clean, noise)
    assert alpha_bars is not None, "diffusion objectives need the scheduler's alphas_cumprod"
    alpha_bar = alpha_bars.to(clean)[timesteps]
    target = noise if objective == "epsilon" else v_target(clean, noise, alpha_bar)
    return diffusion_noised(clean, noise, alpha_bar), target


def squared_error(prediction: Tensor, target: Tensor) -> Tensor:
    """Mean squared error of each sample [B], in float32."""
    return mean_of(squared(prediction, target))


def squared(prediction: Tensor, target: Tensor) -> Tensor:
    """Squared error of each entry, in float32."""
    return (prediction.float() - target.float()).square()


def huber(prediction: Tensor, target: Tensor) -> Tensor:
    """Pseudo-Huber error of each entry, in float32: the square for small errors, linear beyond HUBER. (Charbonnier et al. 1997)"""
    return 2 * HUBER**2 * ((squared(prediction, target) / HUBER**2 + 1).sqrt() - 1)


def mean_of(errors: Tensor, weights: Tensor | None = None) -> Tensor:
    """Mean of each sample [B]; `weights` [B, ...] of mean 1 say what counts, None all alike."""
    return (errors if weights is None else errors * weights).flatten(1).mean(1)


def signal_to_noise(objective: Objective, sigma: Tensor, timesteps: Tensor, alpha_bars: Tensor | None) -> Tensor:
    """Power of the picture over that of the noise in what the denoiser sees [B]."""
    if objective == "flow":
        return ((1 - sigma) / sigma).square()
    assert alpha_bars is not None, "diffusion objectives need the scheduler's alphas_cumprod"
    alpha_bar = alpha_bars.to(sigma)[timesteps]
    return alpha_bar / (1 - alpha_bar)


def min_snr(objective: Objective, snr: Tensor, sigma: Tensor, gamma: float) -> Tensor:
    """Weights [B] that cap at gamma what a level weighs in an error of the picture itself. (Hang et al. 2023)

    An error of noise, v or flow velocity is one of the picture times 1 / snr, 1 / (snr + 1) or sigma squared.
    """
    capped = snr.clamp(max=gamma)
    return {"epsilon": capped / snr, "v": capped / (snr + 1), "flow": capped * sigma.square()}[objective]


def stratified(count: int, generator: torch.Generator) -> Tensor:
    """One uniform draw from each of `count` equal strata of (0, 1), in random order: a batch sees all noise levels."""
    strata = torch.randperm(count, generator=generator, device=generator.device)
    return ((strata + torch.rand(count, generator=generator, device=generator.device)) / count).clamp(1e-5, 1 - 1e-5)


def logit_normal(uniform: Tensor) -> Tensor:
    """Noise levels sigma = sigmoid(z), z standard normal, by its inverse distribution at `uniform`. (Esser et al. 2024)"""
    return torch.sigmoid(torch.special.ndtri(uniform))


def shifted(sigma: Tensor, shift: float) -> Tensor:
    """The noise levels that a sampler with this static shift visits. (Esser et al. 2024, section 5.3.2)"""
    return shift * sigma / (1 + (shift - 1) * sigma)


def _over(levels: Tensor, like: Tensor) -> Tensor:
    return levels.to(like).view(-1, *(1,) * (like.ndim - 1))
