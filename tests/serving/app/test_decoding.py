"""How pictures are decoded depends on memory; whether a picture is tiled depends on that picture alone."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKL

from serving.app.drawing.decoding import Decoding, bytes_per_pixel, decode_so, decoding, memory_for_pictures

MEGAPIXEL = 1024 * 1024


@pytest.mark.parametrize(
    ("free", "batch", "expected"),
    [
        (10.0, 1, Decoding(slicing=False, tiling=False)),
        (10.0, 4, Decoding(slicing=False, tiling=False)),
        (3.9, 4, Decoding(slicing=True, tiling=False)),
        (1.0, 1, Decoding(slicing=False, tiling=False)),
        (0.9, 1, Decoding(slicing=False, tiling=True)),
        (0.9, 4, Decoding(slicing=True, tiling=True)),
    ],
)
def test_pictures_are_decoded_as_it_fits(free: float, batch: int, expected: Decoding) -> None:
    """free: as many pictures of this size as there is memory for."""
    assert decoding(free=int(free * MEGAPIXEL * 1000), per_pixel=1000, area=MEGAPIXEL, batch=batch) == expected


def test_a_picture_is_tiled_alone_as_it_is_in_company() -> None:
    for free in range(0, 8 * MEGAPIXEL, MEGAPIXEL // 2):
        ways = {decoding(free=free, per_pixel=1, area=MEGAPIXEL, batch=batch).tiling for batch in range(1, 9)}
        assert len(ways) == 1


@pytest.mark.parametrize(
    ("config", "dtype", "expected"),
    [
        (SimpleNamespace(block_out_channels=(64, 128)), torch.float32, 64 * 12 * 4),
        (SimpleNamespace(), torch.bfloat16, 128 * 12 * 2),
        (SimpleNamespace(block_out_channels=None), torch.bfloat16, 128 * 12 * 2),
    ],
)
def test_wider_decoders_in_wider_numbers_hold_more(config: Any, dtype: torch.dtype, expected: int) -> None:
    assert bytes_per_pixel(SimpleNamespace(config=config, dtype=dtype)) == expected


def test_a_vae_is_set_as_wanted_and_back_again() -> None:
    vae = AutoencoderKL(block_out_channels=(8,), norm_num_groups=4, latent_channels=2)
    decode_so(vae, Decoding(slicing=True, tiling=True))
    assert (vae.use_slicing, vae.use_tiling) == (True, True)
    decode_so(vae, Decoding(slicing=False, tiling=False))
    assert (vae.use_slicing, vae.use_tiling) == (False, False)
    decode_so(SimpleNamespace(), Decoding(slicing=True, tiling=True))  # one that knows neither way decodes as it does


def test_a_machine_without_a_gpu_has_its_memory() -> None:
    assert memory_for_pictures(torch.device("cpu")) > 256 * MEGAPIXEL
