"""For every family: a LoRA learns in all of its layers, comes back from its file as it was, and at strength 0 is not there.

Layers that no gradient reaches are named beside the tiny pipeline (`DEAD`), each with the reason.
"""

from __future__ import annotations

import copy
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.training.tiny import dead_layers, tiny_pipeline
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
)
from training.adapter import adapter_state, inject, strength
from training.attach import attach
from training.denoise import predict
from training.errors import AdapterError
from training.export import export, load_adapter
from training.families import FAMILIES
from training.sample import Sampling, draw

every_family = pytest.mark.parametrize("name", list(FAMILIES))
pytestmark = pytest.mark.filterwarnings("ignore:Mismatch dtype between input and weight")  # norms of Krea 2 and Kandinsky 5


@cache
def trained(name: str) -> Any:
    """A copy of the tiny denoiser with a random LoRA in it, nothing of it zero."""
    denoiser = copy.deepcopy(denoiser_of(name))
    parameters = inject(denoiser, row(name), rank=2, alpha=3.0, seed=0)
    for index, parameter in enumerate(parameters.values()):
        torch.nn.init.normal_(parameter, std=0.3, generator=torch.Generator().manual_seed(index))
    return denoiser


def with_denoiser(name: str, denoiser: Any) -> Any:
    """The tiny pipeline around another denoiser, the cached one untouched."""
    pipe = copy.copy(tiny_pipeline(name))
    setattr(pipe, row(name).denoiser, denoiser)
    return pipe


@every_family
def test_gradients_reach_every_lora_tensor_that_is_not_structurally_dead(name: str) -> None:
    denoiser = trained(name)
    denoiser.zero_grad(set_to_none=True)
    question = fresh_latents(name, 1), fresh_timesteps(name, 1), recorded(name, CAPTIONS[1])
    predict(denoiser, row(name), *question).square().mean().backward()
    lora = {key: weight for key, weight in denoiser.named_parameters() if "lora_" in key}
    silent = {key.split(".lora_")[0] for key, weight in lora.items() if weight.grad is None or not weight.grad.any()}
    assert lora
    assert all(weight.requires_grad for weight in lora.values())
    assert silent == set(dead_layers(name))
    assert all(dead_layers(name).values())


@every_family
def test_an_adapter_comes_back_from_its_file_as_it_was_trained(name: str, tmp_path: Path) -> None:
    family, denoiser = row(name), trained(name)
    learnt: Tensor = answer(name, denoiser)
    pipe = with_denoiser(name, copy.deepcopy(denoiser_of(name)))
    load_adapter(pipe, export(denoiser, family, tmp_path))
    loaded = getattr(pipe, family.denoiser)
    assert not torch.equal(learnt, answer(name, denoiser_of(name)))  # the adapter does something
    assert torch.equal(answer(name, loaded), learnt)
    state = adapter_state(denoiser)
    assert {key: tensor.tolist() for key, tensor in adapter_state(loaded).items()} == {key: state[key].tolist() for key in state}


@every_family
def test_strength_zero_is_the_base_bit_for_bit(name: str) -> None:
    denoiser = trained(name)
    learnt = answer(name, denoiser)
    with strength(denoiser, 0.0):
        assert torch.equal(answer(name, denoiser), answer(name, denoiser_of(name)))
    assert torch.equal(answer(name, denoiser), learnt)


@every_family
def test_a_picture_is_drawn_at_the_size_that_is_asked_for(name: str) -> None:
    pipe, family = copy.copy(tiny_pipeline(name)), row(name)
    pipe.set_progress_bar_config(disable=True)
    how = Sampling(steps=2, guidance_scale=family.guidance, height=HEIGHT, width=WIDTH)
    assert draw(pipe, family, "a dog", seed=1, how=how).size == (WIDTH, HEIGHT)


def test_diffusers_has_no_loader_for_these_families() -> None:
    """When this fails after an upgrade, `attach` may have become needless."""
    alone = {name for name in FAMILIES if not hasattr(type(tiny_pipeline(name)), "load_lora_weights")}
    assert alone == {"pixart-sigma", "ovis-image", "longcat-image"}


def test_a_file_of_another_base_is_refused_without_a_loader(tmp_path: Path) -> None:
    path = export(trained("ovis-image"), FAMILIES["ovis-image"], tmp_path)
    with pytest.raises(AdapterError, match="does not fit this base"):
        load_adapter(with_denoiser("pixart-sigma", copy.deepcopy(denoiser_of("pixart-sigma"))), path)
    path.write_bytes(_without_header(path))
    with pytest.raises(AdapterError, match="rank and alpha"):
        attach(copy.deepcopy(denoiser_of("ovis-image")), path, "transformer")


def _without_header(path: Path) -> bytes:
    from safetensors.torch import load_file, save

    return save(load_file(path))
