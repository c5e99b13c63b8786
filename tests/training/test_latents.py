"""Codec and packing are the pipeline's own: its decoder is the witness for `decode`, and `encode` is the inverse.

In float64, where the rounding of an autoencoder's convolutions cannot hide a wrong shift or scale.
"""

from __future__ import annotations

import copy
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.training.tiny_pipelines import tiny_pipeline
from training.families import FAMILIES, Family
from training.latents import decode, encode, posterior

HEIGHT, WIDTH = 32, 48
TOLERANCE = 1e-7

every_family = pytest.mark.parametrize("name", list(FAMILIES))


def pictures(count: int = 2) -> Tensor:
    return torch.rand(count, 3, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(3), dtype=torch.float64) * 2 - 1


def assert_decodes_like(pipe: Any, family: Family, monkeypatch: pytest.MonkeyPatch) -> None:
    """`decode` shows what the pipeline itself shows when its scheduler ends on the same latents."""
    latents = encode(pipe, family, pictures(1)).float().double()  # some pipelines keep their latents in float32
    finished = copy.copy(pipe.scheduler)
    finished.step = lambda prediction, timestep, sample, **kwargs: (latents.to(sample.dtype),)
    monkeypatch.setattr(pipe, "scheduler", finished)
    shown = pipe(prompt="a dog", height=HEIGHT, width=WIDTH, num_inference_steps=2, output_type="pt", **family.call).images
    ours = pipe.image_processor.postprocess(decode(pipe, family, latents, HEIGHT, WIDTH), output_type="pt")
    assert shown.std() > 1e-3
    assert (ours - shown).abs().max() < TOLERANCE


@every_family
def test_decode_is_what_the_pipeline_shows(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert_decodes_like(tiny_pipeline(name, torch.float64), FAMILIES[name], monkeypatch)


@every_family
def test_encode_then_decode_is_the_autoencoder_alone(name: str) -> None:
    pipe, family = tiny_pipeline(name, torch.float64), FAMILIES[name]
    with torch.no_grad():
        clip = pictures().unsqueeze(2) if family.frames else pictures()
        belief = pipe.vae.encode(clip).latent_dist
        alone = [pipe.vae.decode(part).sample.reshape(2, 3, HEIGHT, WIDTH) for part in (belief.mode(), belief.mean + belief.std)]
    mean, std = posterior(pipe, family, pictures())
    assert torch.equal(encode(pipe, family, pictures()), mean)
    assert (decode(pipe, family, mean, HEIGHT, WIDTH) - alone[0]).abs().max() < TOLERANCE
    assert (decode(pipe, family, mean + std, HEIGHT, WIDTH) - alone[1]).abs().max() < TOLERANCE


@every_family
def test_a_sample_is_seeded_and_follows_the_posterior(name: str) -> None:
    pipe, family = tiny_pipeline(name, torch.float64), FAMILIES[name]
    mean, std = posterior(pipe, family, pictures())
    first, again, other = (encode(pipe, family, pictures(), torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    standard = (first - mean) / std
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert abs(standard.mean()) < 0.1
    assert abs(standard.std() - 1) < 0.1


def test_whitened_relatives_of_sdxl_are_decoded_by_their_own_statistics(monkeypatch: pytest.MonkeyPatch) -> None:
    pipe = tiny_pipeline("sdxl", torch.float64)
    whitened = copy.deepcopy(pipe.vae)
    whitened.register_to_config(latents_mean=[-1.5, 0.25, 0.375, -0.5], latents_std=[8.5, 5.0, 0.75, 2.0])
    monkeypatch.setattr(pipe, "vae", whitened)
    assert_decodes_like(pipe, FAMILIES["sdxl"], monkeypatch)


def test_half_precision_autoencoders_that_overflow_work_in_float32() -> None:
    whole, family = tiny_pipeline("sdxl"), FAMILIES["sdxl"]
    half = SimpleNamespace(vae=copy.deepcopy(whole.vae).half(), vae_scale_factor=whole.vae_scale_factor)
    latents = encode(half, family, pictures())
    assert latents.dtype == torch.float32
    assert half.vae.dtype == torch.float16
    assert (latents - encode(whole, family, pictures())).abs().max() < 1e-2
