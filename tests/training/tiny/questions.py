"""What the proofs ask of a tiny pipeline, recorded once: captions of unlike lengths, fresh latents, timesteps between the steps."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import torch
from torch import Tensor

from tests.training.tiny import shortening, tiny_pipeline
from training.denoise import Conditioning, Wiring, predict, probe, record, timesteps_for
from training.families import FAMILIES, Family
from training.latents import encode

HEIGHT, WIDTH = 32, 64
CAPTIONS = ("a dog", "two white birds above the sea, an old red boat, evening light; a small brown dog runs over the hill", "")


@cache
def row(name: str) -> Family:
    """The family's row; texts are as short as the tiny pipeline wants them."""
    return replace(FAMILIES[name], options={**FAMILIES[name].options, **shortening(name)})


@cache
def wiring_of(name: str, dtype: torch.dtype = torch.float32) -> Wiring:
    return probe(tiny_pipeline(name, dtype), row(name), HEIGHT, WIDTH)


@cache
def recorded(name: str, caption: str, dtype: torch.dtype = torch.float32) -> Conditioning:
    return record(tiny_pipeline(name, dtype), row(name), caption, HEIGHT, WIDTH, wiring=wiring_of(name, dtype))


def denoiser_of(name: str, dtype: torch.dtype = torch.float32) -> Any:
    return getattr(tiny_pipeline(name, dtype), row(name).denoiser)


def fresh_latents(name: str, count: int, seed: int = 7) -> Tensor:
    return torch.randn((count, *_shape(name)), generator=torch.Generator().manual_seed(seed))


def fresh_timesteps(name: str, count: int) -> Tensor:
    return timesteps_for(tiny_pipeline(name).scheduler, torch.linspace(0.1234, 0.8777, count))


def answer(name: str, denoiser: Any, caption: str = CAPTIONS[1]) -> Tensor:
    """The prediction for one picture and caption, without gradients."""
    with torch.no_grad():
        return predict(denoiser, row(name), fresh_latents(name, 1), fresh_timesteps(name, 1), recorded(name, caption))


@cache
def _shape(name: str) -> torch.Size:
    return encode(tiny_pipeline(name), row(name), torch.zeros(1, 3, HEIGHT, WIDTH)).shape[1:]
