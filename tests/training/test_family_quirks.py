"""What a few rows say beyond the call: captions that cannot share one, sizes that a pipeline rounds, modules with two paths."""

from __future__ import annotations

import copy

import pytest
import torch

from tests.training.tiny import tiny_pipeline
from tests.training.tiny.questions import CAPTIONS, HEIGHT, WIDTH, denoiser_of, fresh_latents, fresh_timesteps, recorded
from training.adapter import inject
from training.denoise import collate, predict
from training.families import FAMILIES
from training.recording import sized


@pytest.mark.parametrize(("captions", "calls"), [(("a dog", ""), 1), (CAPTIONS, 3)], ids=["one length", "two lengths"])
def test_captions_share_a_call_only_where_their_lengths_are_equal(captions: tuple[str, ...], calls: int) -> None:
    denoiser, seen = denoiser_of("cogview4"), []
    batch = collate([recorded("cogview4", caption) for caption in captions], FAMILIES["cogview4"])
    assert batch.to("cpu", torch.bfloat16).dtype == torch.bfloat16
    handle = denoiser.register_forward_hook(lambda *call: seen.append(call))
    try:
        with torch.no_grad():
            inputs = fresh_latents("cogview4", len(captions)), fresh_timesteps("cogview4", len(captions)), batch
            assert len(predict(denoiser, FAMILIES["cogview4"], *inputs)) == len(captions)
    finally:
        handle.remove()
    assert len(seen) == calls


def test_positions_are_those_of_the_picture_and_the_pipeline_keeps_its_sizes() -> None:
    pipe = tiny_pipeline("kandinsky-5")
    before = list(pipe.resolutions)
    positions = recorded("kandinsky-5", "a dog").arguments["visual_rope_pos"]
    assert [len(axis) for axis in positions] == [1, HEIGHT // 16, WIDTH // 16]
    assert pipe.resolutions == before


def test_sizes_are_put_back_when_something_fails() -> None:
    pipe = tiny_pipeline("hidream")
    before, within = pipe.default_sample_size, []

    def fail() -> None:
        with sized(pipe, FAMILIES["hidream"], HEIGHT, WIDTH):
            within.append(pipe.default_sample_size)
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert within != [before]
    assert pipe.default_sample_size == before


def test_experts_take_the_path_with_gradients_only_where_gradients_are() -> None:
    denoiser = copy.deepcopy(denoiser_of("hidream"))
    inject(denoiser, FAMILIES["hidream"], rank=2, alpha=2.0, seed=0)
    question = FAMILIES["hidream"], fresh_latents("hidream", 1), fresh_timesteps("hidream", 1), recorded("hidream", "a dog")
    paths = []
    experts = denoiser.double_stream_blocks[0].block.ff_i
    experts.register_forward_hook(lambda module, *call: paths.append(module.training))
    predict(denoiser, *question)
    with torch.no_grad():
        predict(denoiser, *question)
    assert paths == [True, False]
