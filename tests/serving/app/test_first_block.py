"""A first-block cache fits every family but three: unused it changes nothing, used it leaves blocks out, and it keeps nothing."""

import copy
import re
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from serving.app.drawing.first_block import BLOCKS, FirstBlockCache, why_not
from serving.app.errors import SettingsError
from tests.training.tiny import tiny_pipeline
from tests.training.tiny.questions import HEIGHT, WIDTH, denoiser_of, row
from training.families import FAMILIES
from training.sample import Sampling, draw

pytestmark = [
    pytest.mark.filterwarnings("ignore:Mismatch dtype between input and weight"),  # norms of Krea 2 and Kandinsky 5
    pytest.mark.filterwarnings("ignore:.FluxPosEmbed. is deprecated:FutureWarning"),  # said when Chroma is built
]
STEPS, NEVER, ALWAYS = 3, 1e-9, 1e9  # thresholds
UNFIT = {"sd15", "sdxl", "qwen-image-2.1"}
_DEPTHS = ("num_layers", "num_single_layers", "n_layers", "num_visual_blocks", "num_single_dit_layers")

Pixels = np.ndarray[Any, Any]


@pytest.mark.parametrize("family", [family for family in FAMILIES if family not in UNFIT])
def test_a_cache_leaves_blocks_out_and_nothing_behind(family: str) -> None:
    pipe = _deeper(family)
    exact, other = _drawn(pipe, family, seed=1), _drawn(pipe, family, seed=2)
    cache = FirstBlockCache(_denoiser(pipe), NEVER)
    with cache.call():
        assert np.array_equal(_drawn(pipe, family, seed=1), exact)

    pipe = _deeper(family)
    ran, calls = _counted(_denoiser(pipe))
    cache = FirstBlockCache(_denoiser(pipe), ALWAYS)
    pictures = []
    for seed in (1, 2, 1):
        with cache.call():
            pictures.append(_drawn(pipe, family, seed=seed))
    assert len(calls) in (3 * STEPS, 6 * STEPS)  # pictures with guidance take one call a step, or two
    assert len(ran) == len(calls) // STEPS  # the first step of each is whole
    assert np.array_equal(pictures[0], pictures[2])
    assert not np.array_equal(pictures[0], exact)
    assert np.abs(pictures[0] - exact).mean() < np.abs(exact - other).mean()


@pytest.mark.parametrize("family", sorted(UNFIT))
def test_the_others_say_why_they_have_none(family: str) -> None:
    denoiser = denoiser_of(family)
    reason = why_not(type(denoiser).__name__)
    assert reason
    with pytest.raises(SettingsError, match=re.escape(reason)):
        FirstBlockCache(denoiser, 0.1)


def test_every_denoiser_is_known_by_its_reason_or_its_blocks() -> None:
    assert {type(denoiser_of(family)).__name__ for family in FAMILIES if family not in UNFIT} == set(BLOCKS)
    assert why_not("SomethingNew") == "SomethingNew can have no first-block cache: nothing is known of its blocks"


def test_one_block_can_not_be_left_out() -> None:
    with pytest.raises(SettingsError, match="needs 2"):
        FirstBlockCache(copy.deepcopy(denoiser_of("flux.2")), 0.1)


def _deeper(family: str) -> Any:
    """The tiny pipeline with three blocks in each list; all of its weights are random."""
    tiny = denoiser_of(family)
    depths = {name: 3 for name in _DEPTHS if name in tiny.config}
    changed = depths | ({"llama_layers": [0, 2, 1, 0, 2, 1]} if "llama_layers" in tiny.config else {})
    denoiser = type(tiny).from_config({**tiny.config, **changed}).eval().requires_grad_(False)
    generator = torch.Generator().manual_seed(0)
    for parameter in denoiser.parameters():
        nn.init.normal_(parameter, std=0.2 if parameter.ndim > 1 else 1.0, generator=generator)
    pipe = copy.copy(tiny_pipeline(family))
    setattr(pipe, row(family).denoiser, denoiser)
    return pipe


def _denoiser(pipe: Any) -> Any:
    return pipe.transformer


def _counted(denoiser: Any) -> tuple[list[int], list[int]]:
    """Grow with every run of the last block that may be left out, and of the denoiser."""
    ran: list[int] = []
    calls: list[int] = []
    known = BLOCKS[type(denoiser).__name__]
    blocks = [block for name in known.lists for block in getattr(denoiser, name)]
    last = blocks[len(blocks) - known.kept - 1]
    inner = last.forward

    def forward(*arguments: Any, **keywords: Any) -> Any:
        ran.append(1)
        return inner(*arguments, **keywords)

    last.forward = forward
    denoiser.register_forward_pre_hook(lambda *_: calls.append(1))
    return ran, calls


def _drawn(pipe: Any, family: str, *, seed: int) -> Pixels:
    how = Sampling(steps=STEPS, guidance_scale=2.0, height=HEIGHT, width=WIDTH)
    return np.asarray(draw(pipe, row(family), "a red dog", seed=seed, how=how)).astype(int)
