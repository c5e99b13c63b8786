"""Gradient checkpointing answers as the denoiser does without it, for every family that says so."""

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


def answer(name: str, denoiser: nn.Module) -> Tensor:
    latents, timesteps = fresh_latents(name, 1), fresh_timesteps(name, 1)
    return predict(denoiser, FAMILIES[name], latents, timesteps, recorded(name, CAPTIONS[1])).detach()


@pytest.mark.parametrize("name", list(FAMILIES))
def test_checkpointing_changes_the_answer_only_where_the_row_says_so(name: str) -> None:
    denoiser = copy.deepcopy(denoiser_of(name))
    inject(denoiser, FAMILIES[name], rank=2, alpha=2.0, seed=0)
    plain = answer(name, denoiser)
    denoiser.enable_gradient_checkpointing()
    assert torch.equal(answer(name, denoiser), plain) == FAMILIES[name].checkpoints
