"""For every family: what training replays is what its diffusers pipeline computes.

One caption is compared in float32 and bfloat16, bit for bit. Batches are compared in float64: kernels sum in another order for
another batch size, and in float32 that noise (about 1e-6) could hide a mask that leaks.

This leans on the pipelines' private contract (how they call denoiser and scheduler): to fail on an upgrade is what the file is for.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.training.tiny import tiny_pipeline
from tests.training.tiny.questions import (
    CAPTIONS,
    HEIGHT,
    WIDTH,
    answer,
    denoiser_of,
    fresh_latents,
    fresh_timesteps,
    recorded,
    row,
    wiring_of,
)
from training.conditioning import same
from training.denoise import Conditioning, ReplayError, collate, oracle, predict, probe, record, timesteps_for
from training.families import FAMILIES
from training.recording import first_call

TOLERANCE = 1e-6
NOTICEABLE = 1e-4

every_family = pytest.mark.parametrize("name", list(FAMILIES))
pytestmark = pytest.mark.filterwarnings("ignore:Mismatch dtype between input and weight")  # norms of Krea 2 and Kandinsky 5


@pytest.mark.parametrize(("dtype", "count"), [(torch.float32, 2), (torch.bfloat16, 1)], ids=["float32", "bfloat16"])
@every_family
def test_replay_equals_the_pipeline_for_other_latents_and_timesteps(name: str, dtype: torch.dtype, count: int) -> None:
    pipe, family, denoiser = tiny_pipeline(name, dtype), row(name), denoiser_of(name, dtype)
    conditioning = recorded(name, CAPTIONS[1], dtype)
    assert conditioning.dtype == dtype
    for seed, timestep in enumerate(fresh_timesteps(name, count)):
        latents = fresh_latents(name, 1, seed).to(dtype)
        with torch.no_grad():
            expected = oracle(pipe, family, latents, timestep[None], CAPTIONS[1], HEIGHT, WIDTH)
            replayed = predict(denoiser, family, latents, timestep[None], conditioning).to(expected.dtype)
        assert replayed.shape == latents.shape
        assert torch.equal(replayed, expected)


@every_family
def test_captions_of_different_lengths_share_a_batch(name: str) -> None:
    pipe, family, denoiser = tiny_pipeline(name, torch.float64), row(name), denoiser_of(name, torch.float64)
    batch = collate([recorded(name, caption, torch.float64) for caption in CAPTIONS], family)
    latents, timesteps = fresh_latents(name, 3).double(), fresh_timesteps(name, 3)
    with torch.no_grad():
        together = predict(denoiser, family, latents, timesteps, batch)
        alone = oracle(pipe, family, latents, timesteps, CAPTIONS, HEIGHT, WIDTH)
    assert (together - alone).abs().max() < TOLERANCE


@every_family
def test_every_input_matters(name: str) -> None:
    family, denoiser = row(name), denoiser_of(name)
    latents, timesteps, conditioning = fresh_latents(name, 1), fresh_timesteps(name, 2), recorded(name, CAPTIONS[1])
    with torch.no_grad():
        plain, *changed = (
            predict(denoiser, family, *inputs)
            for inputs in (
                (latents, timesteps[:1], conditioning),
                (fresh_latents(name, 1, seed=8), timesteps[:1], conditioning),
                (latents, timesteps[1:], conditioning),
                (latents, timesteps[:1], recorded(name, CAPTIONS[0])),
            )
        )
    for other in changed:
        assert (plain - other).abs().max() > NOTICEABLE


@every_family
def test_conditioning_survives_safetensors_and_json(name: str, tmp_path: Path) -> None:
    conditioning = recorded(name, CAPTIONS[1])
    save_file(conditioning.tensors(), tmp_path / "caption.safetensors")
    loaded = Conditioning.load(load_file(tmp_path / "caption.safetensors"), json.loads(json.dumps(conditioning.layout())))
    assert (loaded.wiring, loaded.shift) == (conditioning.wiring, conditioning.shift)
    assert same(dict(loaded.arguments), dict(conditioning.arguments))
    latents, timesteps = fresh_latents(name, 1), fresh_timesteps(name, 1)
    with torch.no_grad():
        assert torch.equal(predict(denoiser_of(name), row(name), latents, timesteps, loaded), answer(name, denoiser_of(name)))


@pytest.mark.parametrize("name", [name for name in FAMILIES if FAMILIES[name].shift != 1])
def test_the_shift_of_inference_is_recorded_at_the_size_of_the_picture(name: str) -> None:
    pipe, family = tiny_pipeline(name), row(name)
    real, tiny = (32 if name == "sana" else 8), getattr(pipe, "vae_scale_factor", None) or pipe.vae_scale_factor_spatial
    side = 1024 * tiny // real  # as many tokens as 1024 x 1024 pixels are to published weights
    assert first_call(pipe, family, ["a dog"], side, side, timestep=500.0).shift == pytest.approx(family.shift, rel=2e-3)


@pytest.mark.parametrize("name", ["sd15", "z-image"])
def test_recording_leaves_the_pipeline_as_it_was_and_does_not_run_the_denoiser(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pipe, family, denoiser = tiny_pipeline(name), row(name), denoiser_of(name)
    monkeypatch.setattr(pipe, "_progress_bar_config", {"desc": "sampling"}, raising=False)
    wiring, scheduler = probe(pipe, family, HEIGHT, WIDTH), pipe.scheduler
    runs: list[object] = []
    handle = denoiser.register_forward_hook(lambda *call: runs.append(call))
    try:
        record(pipe, family, CAPTIONS[0], HEIGHT, WIDTH, wiring=wiring)
    finally:
        handle.remove()
    assert not runs
    assert pipe.scheduler is scheduler
    assert pipe._progress_bar_config == {"desc": "sampling"}
    assert not denoiser._forward_hooks
    assert not denoiser._forward_pre_hooks


@pytest.mark.parametrize(("name", "guided"), [("sd15", {"guidance_scale": 7.5}), ("flux.2-klein", {"guidance_scale": 4.0})])
def test_a_guided_call_is_refused(name: str, guided: dict[str, float]) -> None:
    with pytest.raises(ReplayError):
        probe(tiny_pipeline(name), replace(row(name), call=guided), HEIGHT, WIDTH)


def test_a_batch_of_two_buckets_is_refused() -> None:
    pipe, family = tiny_pipeline("flux.1"), FAMILIES["flux.1"]
    wiring = wiring_of("flux.1")
    items = [record(pipe, family, "a dog", HEIGHT, width, wiring=wiring) for width in (WIDTH, WIDTH + 16)]
    with pytest.raises(ReplayError, match="one bucket"):
        collate(items, family)


def test_conditioning_of_another_family_is_refused() -> None:
    conditioning = recorded("z-image", "a dog")
    with pytest.raises(ReplayError, match="recorded for 'z-image'"):
        predict(denoiser_of("flux.1"), FAMILIES["flux.1"], fresh_latents("flux.1", 1), torch.tensor([500.0]), conditioning)


def test_a_cache_of_another_schema_is_refused() -> None:
    conditioning = recorded("z-image", "a dog")
    with pytest.raises(ReplayError, match="delete the cache"):
        Conditioning.load(conditioning.tensors(), {**conditioning.layout(), "schema": "lorasmith/conditioning/0"})


def test_discrete_schedulers_get_whole_timesteps_and_flow_gets_sigma() -> None:
    sigma = torch.tensor([0.0, 0.1239, 1.0])
    assert timesteps_for(tiny_pipeline("sd15").scheduler, sigma).tolist() == [0, 123, 999]
    assert torch.equal(timesteps_for(tiny_pipeline("z-image").scheduler, sigma), 1000 * sigma)


def test_a_move_to_another_precision_leaves_ids_alone() -> None:
    conditioning = recorded("flux.2-klein", "a dog").to("cpu", torch.bfloat16)
    assert conditioning.dtype == torch.bfloat16
    assert conditioning.arguments["txt_ids"].dtype == torch.int64
