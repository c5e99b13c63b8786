"""For every family: what training replays is what its diffusers pipeline computes.

One caption is compared in float32 and bfloat16, bit for bit. Batches are compared in float64: kernels sum in another order for
another batch size, and in float32 that noise (about 1e-6) could hide a mask that leaks.

This leans on the pipelines' private contract (how they call denoiser and scheduler): to fail on an upgrade is what the file is for.
"""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, inject_adapter_in_model
from safetensors.torch import load_file, save_file
from torch import Tensor

from tests.training.tiny_pipelines import tiny_pipeline
from training.conditioning import same
from training.denoise import Conditioning, ReplayError, collate, oracle, predict, probe, record, timesteps_for
from training.families import FAMILIES
from training.latents import encode

HEIGHT, WIDTH = 32, 48
CAPTIONS = ("a dog", "two white birds above the sea, an old red boat, evening light", "")
TOLERANCE = 1e-7

every_family = pytest.mark.parametrize("name", list(FAMILIES))

# LoRA targets whose output never reaches the prediction: the text stream of the last block is dropped.
DEAD = {"qwen-image": {"transformer_blocks.1.attn.add_q_proj", "transformer_blocks.1.attn.to_add_out"}}


def fresh_latents(name: str, count: int, seed: int = 7) -> Tensor:
    shape = encode(tiny_pipeline(name), FAMILIES[name], torch.zeros(count, 3, HEIGHT, WIDTH)).shape
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def fresh_timesteps(name: str, count: int) -> Tensor:
    return timesteps_for(tiny_pipeline(name).scheduler, torch.linspace(0.1234, 0.8777, count))


def denoiser_of(name: str, dtype: torch.dtype = torch.float32) -> Any:
    return getattr(tiny_pipeline(name, dtype), FAMILIES[name].denoiser)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
@every_family
def test_replay_equals_the_pipeline_for_other_latents_and_timesteps(name: str, dtype: torch.dtype) -> None:
    pipe, family, denoiser = tiny_pipeline(name, dtype), FAMILIES[name], denoiser_of(name, dtype)
    conditioning = record(pipe, family, CAPTIONS[1], HEIGHT, WIDTH)
    assert conditioning.dtype == dtype
    answers = []
    for seed, timestep in enumerate(fresh_timesteps(name, 3)):
        latents = fresh_latents(name, 1, seed).to(dtype)
        with torch.no_grad():
            expected = oracle(pipe, family, latents, timestep[None], CAPTIONS[1], HEIGHT, WIDTH)
            answers.append(predict(denoiser, family, latents, timestep[None], conditioning).to(expected.dtype))
        assert answers[-1].shape == latents.shape
        assert torch.equal(answers[-1], expected)
    assert not torch.equal(answers[0], answers[1])


@every_family
def test_captions_of_different_lengths_share_a_batch(name: str) -> None:
    pipe, family, denoiser = tiny_pipeline(name, torch.float64), FAMILIES[name], denoiser_of(name, torch.float64)
    wiring = probe(pipe, family, HEIGHT, WIDTH)
    batch = collate([record(pipe, family, caption, HEIGHT, WIDTH, wiring=wiring) for caption in CAPTIONS], family)
    latents, timesteps = fresh_latents(name, 3).double(), fresh_timesteps(name, 3)
    with torch.no_grad():
        together = predict(denoiser, family, latents, timesteps, batch)
        for index, caption in enumerate(CAPTIONS):
            alone = oracle(pipe, family, latents[[index]], timesteps[[index]], caption, HEIGHT, WIDTH)
            assert (together[[index]] - alone).abs().max() < TOLERANCE


@pytest.mark.parametrize("changed", ["caption", "timestep", "latents"])
@every_family
def test_every_input_matters(name: str, changed: str) -> None:
    """Equality proves something only where the tiny random denoiser listens to what it is given."""
    pipe, family = tiny_pipeline(name), FAMILIES[name]
    wiring = probe(pipe, family, HEIGHT, WIDTH)
    one, two = (record(pipe, family, caption, HEIGHT, WIDTH, wiring=wiring) for caption in CAPTIONS[:2])
    early, late = fresh_timesteps(name, 2).split(1)
    first = (fresh_latents(name, 1), early, one)
    second = {
        "caption": (first[0], early, two),
        "timestep": (first[0], late, one),
        "latents": (fresh_latents(name, 1, 8), early, one),
    }
    with torch.no_grad():
        before, after = (predict(denoiser_of(name), family, *inputs) for inputs in (first, second[changed]))
    assert (before - after).abs().max() > 1000 * TOLERANCE


@every_family
def test_conditioning_survives_safetensors_and_json(name: str, tmp_path: Path) -> None:
    family = FAMILIES[name]
    conditioning = record(tiny_pipeline(name), family, CAPTIONS[1], HEIGHT, WIDTH)
    save_file(conditioning.tensors(), tmp_path / "caption.safetensors")
    loaded = Conditioning.load(load_file(tmp_path / "caption.safetensors"), json.loads(json.dumps(conditioning.layout())))
    assert loaded.wiring == conditioning.wiring
    assert same(dict(loaded.arguments), dict(conditioning.arguments))
    with torch.no_grad():
        before, after = (
            predict(denoiser_of(name), family, fresh_latents(name, 1), fresh_timesteps(name, 1), one)
            for one in (conditioning, loaded)
        )
    assert torch.equal(before, after)


@every_family
def test_gradients_reach_every_lora_tensor_that_is_not_structurally_dead(name: str) -> None:
    family, denoiser = FAMILIES[name], copy.deepcopy(denoiser_of(name))
    inject_adapter_in_model(LoraConfig(r=2, init_lora_weights=False, target_modules=family.targets), denoiser)
    conditioning = record(tiny_pipeline(name), family, CAPTIONS[1], HEIGHT, WIDTH)
    predict(denoiser, family, fresh_latents(name, 1), fresh_timesteps(name, 1), conditioning).square().mean().backward()
    lora = {key: weight for key, weight in denoiser.named_parameters() if "lora_" in key}
    silent = {key.split(".lora_")[0] for key, weight in lora.items() if weight.grad is None or not weight.grad.any()}
    assert lora
    assert all(weight.requires_grad for weight in lora.values())
    assert silent == DEAD.get(name, set())


@every_family
def test_recording_leaves_the_pipeline_as_it_was_and_does_not_run_the_denoiser(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pipe, family, denoiser = tiny_pipeline(name), FAMILIES[name], denoiser_of(name)
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
        probe(tiny_pipeline(name), replace(FAMILIES[name], call=guided), HEIGHT, WIDTH)


def test_a_batch_of_two_buckets_is_refused() -> None:
    pipe, family = tiny_pipeline("flux.1"), FAMILIES["flux.1"]
    wiring = probe(pipe, family, HEIGHT, WIDTH)
    items = [record(pipe, family, "a dog", HEIGHT, width, wiring=wiring) for width in (WIDTH, WIDTH + 16)]
    with pytest.raises(ReplayError, match="one bucket"):
        collate(items, family)


def test_conditioning_of_another_family_is_refused() -> None:
    conditioning = record(tiny_pipeline("z-image"), FAMILIES["z-image"], "a dog", HEIGHT, WIDTH)
    with pytest.raises(ReplayError, match="recorded for 'z-image'"):
        predict(denoiser_of("flux.1"), FAMILIES["flux.1"], fresh_latents("flux.1", 1), torch.tensor([500.0]), conditioning)


def test_a_cache_of_another_schema_is_refused() -> None:
    conditioning = record(tiny_pipeline("z-image"), FAMILIES["z-image"], "a dog", HEIGHT, WIDTH)
    with pytest.raises(ReplayError, match="delete the cache"):
        Conditioning.load(conditioning.tensors(), {**conditioning.layout(), "schema": "lorasmith/conditioning/0"})


def test_discrete_schedulers_get_whole_timesteps_and_flow_gets_sigma() -> None:
    sigma = torch.tensor([0.0, 0.1239, 1.0])
    assert timesteps_for(tiny_pipeline("sd15").scheduler, sigma).tolist() == [0, 123, 999]
    assert torch.equal(timesteps_for(tiny_pipeline("z-image").scheduler, sigma), 1000 * sigma)


def test_a_move_to_another_precision_leaves_ids_alone() -> None:
    conditioning = record(tiny_pipeline("flux.2-klein"), FAMILIES["flux.2-klein"], "a dog", HEIGHT, WIDTH).to("cpu", torch.bfloat16)
    assert conditioning.dtype == torch.bfloat16
    assert conditioning.arguments["txt_ids"].dtype == torch.int64
