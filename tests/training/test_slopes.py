"""For every family: the gradients that training follows are the slope of the prediction, along a random way through the LoRA."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from tests.training.tiny.questions import CAPTIONS, denoiser_of, fresh_latents, fresh_timesteps, recorded
from training.adapter import inject
from training.denoise import predict
from training.families import FAMILIES

pytestmark = pytest.mark.filterwarnings("ignore:Mismatch dtype between input and weight")  # norms of Krea 2 and Kandinsky 5


def square(name: str, denoiser: nn.Module) -> Tensor:
    conditioning = recorded(name, CAPTIONS[1], torch.float64)
    return predict(denoiser, FAMILIES[name], fresh_latents(name, 1), fresh_timesteps(name, 1), conditioning).square().mean()


@pytest.mark.parametrize("name", list(FAMILIES))
def test_gradients_are_the_slope_of_the_prediction(name: str) -> None:
    """Of the whole of it: a part of the denoiser that runs without gradients would leave its share out."""
    denoiser, generator = copy.deepcopy(denoiser_of(name, torch.float64)), torch.Generator().manual_seed(0)
    lora = list(inject(denoiser, FAMILIES[name], rank=2, alpha=2.0, seed=0).values())
    for weight in lora:
        weight.data = 0.3 * torch.randn(weight.shape, generator=generator, dtype=denoiser.dtype)
    way = [torch.randn(weight.shape, generator=generator, dtype=denoiser.dtype) for weight in lora]
    slopes = torch.autograd.grad(square(name, denoiser), lora, allow_unused=True)
    slope = sum((one * direction).sum().item() for one, direction in zip(slopes, way, strict=True) if one is not None)

    far, ends = (1e-3 if denoiser.dtype == torch.float64 else 1e-2), []  # many compute parts in float32, whatever their weights are
    for distance in (far, -2 * far):
        for weight, direction in zip(lora, way, strict=True):
            weight.data += distance * direction
        with torch.no_grad():
            ends.append(square(name, denoiser).item())
    assert (ends[0] - ends[1]) / (2 * far) == pytest.approx(slope, rel=0.05)
