"""Where the loss looks: a grey picture beside the picture, or its alpha, as weights of the latents' own shape."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import interpolate

from training.errors import DatasetError
from training.families import Family
from training.latents import PACKINGS

_SIDES = (1, 2, 4, 8, 16, 32, 64, 128)  # pixels a cell of a latent grid may span


def mask_of(path: Path, family: Family, latents: Tensor, *, flip: bool = False) -> Tensor:
    """Weights >= 0 for latents in step layout (no batch axis), of their shape, mean 1; white weighs most, black nothing."""
    try:
        with Image.open(path) as picture:
            weights = torch.from_numpy(np.asarray(picture.convert("L"), dtype=np.float32))
    except OSError as error:
        raise DatasetError(f"prepared mask '{path}' cannot be read ({type(error).__name__}): prepare the dataset again") from error
    return weights_for(weights.flip(-1) if flip else weights, family, latents)


def weights_for(weights: Tensor, family: Family, latents: Tensor) -> Tensor:
    """Pixel weights [H, W] averaged over each cell of the latent grid and packed as the latents are; mean 1."""
    pack, unpack = PACKINGS[family.packing]
    for height, width in _grids(*weights.shape):
        try:
            grid = unpack(latents[None], height, width)
        except RuntimeError:  # no such grid
            continue
        if grid.shape[-2:] == (height, width) and torch.equal(pack(grid)[0], latents):
            packed = pack(interpolate(weights[None, None], (height, width), mode="area").expand_as(grid))[0].float()
            return packed / packed.mean()
    raise DatasetError(f"a mask of {tuple(weights.shape)} pixels fits no latents {tuple(latents.shape)} of {family.name}: drop it")


def _grids(height: int, width: int) -> Iterator[tuple[int, int]]:
    for side in _SIDES:
        if height % side == 0 and width % side == 0:
            yield height // side, width // side
