"""Codec and packing are the pipeline's own: its decoder is the witness for `decode`, and `encode` is the inverse.

In float64, where the rounding of an autoencoder's convolutions cannot hide a wrong shift or scale.
"""

from __future__ import annotations

import copy
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from diffusers.schedulers.scheduling_flow_match_euler_discrete import FlowMatchEulerDiscreteSchedulerOutput as Finished
from torch import Tensor
from torch.nn.functional import pad

from tests.training.tiny import tiny_pipeline
from tests.training.tiny.questions import HEIGHT, WIDTH, row
from training.families import FAMILIES, Family
from training.latents import decode, encode, posterior
from training.recording import sized

TOLERANCE = 1e-7

every_family = pytest.mark.parametrize("name", list(FAMILIES))
pytestmark = pytest.mark.filterwarnings("ignore:Mismatch dtype between input and weight")  # norms of Krea 2 in float64


def pictures(count: int = 2) -> Tensor:
    return torch.rand(count, 3, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(3), dtype=torch.float64) * 2 - 1


def assert_decodes_like(pipe: Any, family: Family, monkeypatch: pytest.MonkeyPatch) -> None:
    """`decode` shows what the pipeline itself shows when its scheduler ends on the same latents."""
    latents = encode(pipe, family, pictures(1)).float().double()  # some pipelines keep their latents in float32
    finished = copy.copy(pipe.scheduler)
    finished.step = lambda prediction, timestep, sample, **kwargs: Finished(prev_sample=latents.to(sample.dtype))
    monkeypatch.setattr(pipe, "scheduler", finished)
    call = {"num_inference_steps": 2, "output_type": "pt", "return_dict": False, **family.options, **family.call}
    with sized(pipe, family, HEIGHT, WIDTH):
        shown = pipe(prompt="a dog", height=HEIGHT, width=WIDTH, **call)[0][:, :3]
    ours = pipe.image_processor.postprocess(decode(pipe, family, latents, HEIGHT, WIDTH), output_type="pt")
    assert shown.std() > 1e-3
    assert (ours - shown).abs().max() < TOLERANCE


@every_family
def test_decode_is_what_the_pipeline_shows(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert_decodes_like(tiny_pipeline(name, torch.float64), row(name), monkeypatch)


@every_family
def test_encode_then_decode_is_the_autoencoder_alone(name: str) -> None:
    pipe, family = tiny_pipeline(name, torch.float64), row(name)
    with torch.no_grad():
        opaque = pad(pictures(), (0, 0, 0, 0, 0, pipe.vae.config.get("in_channels", 3) - 3), value=1.0)
        encoded = pipe.vae.encode(opaque.unsqueeze(2) if family.frames else opaque)
        belief = getattr(encoded, "latent_dist", None)
        parts = [encoded.latent] if belief is None else [belief.mode(), belief.mean + belief.std]
        alone = [pipe.vae.decode(part).sample.reshape(2, -1, HEIGHT, WIDTH)[:, :3] for part in parts]
    mean, std = posterior(pipe, family, pictures())
    assert (std is None) == (belief is None)
    assert torch.equal(encode(pipe, family, pictures()), mean)
    for latents, expected in zip([mean] if std is None else [mean, mean + std], alone, strict=True):
        assert (decode(pipe, family, latents, HEIGHT, WIDTH) - expected).abs().max() < TOLERANCE


@every_family
def test_a_sample_is_seeded_and_follows_the_posterior(name: str) -> None:
    pipe, family = tiny_pipeline(name, torch.float64), row(name)
    mean, std = posterior(pipe, family, pictures())
    first, again, other = (encode(pipe, family, pictures(), torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    if std is None:  # a plain autoencoder has one answer
        assert torch.equal(first, mean)
        assert torch.equal(other, mean)
        return
    standard = (first - mean) / std
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
