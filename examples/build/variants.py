"""Variations of a drawing: moved, turned, stretched, bent, mirrored, recoloured, lit from a side. Pure, on [N, 3, H, W] in [-1, 1]."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F


def varied(pictures: Tensor, g: torch.Generator) -> Tensor:
    """One random variation of each picture; what comes in from outside is white."""
    return recoloured(bent(pictures, g), g).clamp(-1, 1)


def bent(pictures: Tensor, g: torch.Generator) -> Tensor:
    """A random affine map (scale 0.8 to 1.15, +-14 degrees, shift 6 %), a mirror half of the time, and a smooth bend."""
    count, _, height, width = pictures.shape
    angle = uniform(count, g) * math.radians(14)
    wide, tall = 1 / (0.975 + 0.175 * uniform(count, g)), 1 / (0.975 + 0.175 * uniform(count, g))
    mirror = torch.where(torch.rand(count, generator=g) < 0.5, -1.0, 1.0)
    rows = torch.stack(
        [
            torch.stack([angle.cos() * wide * mirror, -angle.sin() * tall, uniform(count, g) * 0.12], 1),
            torch.stack([angle.sin() * wide * mirror, angle.cos() * tall, uniform(count, g) * 0.12], 1),
        ],
        1,
    )
    grid = F.affine_grid(rows, [count, 3, height, width], align_corners=False)
    bend = F.interpolate((torch.rand(count, 2, 4, 4, generator=g) * 2 - 1) * 0.09, (height, width), mode="bicubic", align_corners=True)
    moved = F.grid_sample(1 - pictures, grid + bend.permute(0, 2, 3, 1), padding_mode="zeros", align_corners=False)
    return 1 - moved


def recoloured(pictures: Tensor, g: torch.Generator) -> Tensor:
    """Saturation and contrast changed, the hue turned a little, and light from a random side; white stays white."""
    count, _, height, width = pictures.shape
    ink = (1 - pictures) / 2  # 0 is white
    grey = ink.mean(1, keepdim=True)
    ink = grey + (ink - grey) * column(1 + 0.35 * uniform(count, g))
    turn = torch.eye(3) + 0.12 * (torch.rand(count, 3, 3, generator=g) * 2 - 1)
    ink = torch.einsum("nij,njhw->nihw", turn / turn.sum(2, keepdim=True), ink)
    side = uniform(count, g) * math.pi
    y, x = torch.meshgrid(torch.linspace(-1, 1, height), torch.linspace(-1, 1, width), indexing="ij")
    light = column(side.cos()) * x + column(side.sin()) * y
    ink = ink * (column(1 + 0.2 * uniform(count, g)) + column(0.2 * uniform(count, g)) * light)
    return 1 - 2 * ink


def uniform(count: int, g: torch.Generator) -> Tensor:
    """[count] in (-1, 1)."""
    return torch.rand(count, generator=g) * 2 - 1


def column(values: Tensor) -> Tensor:
    return values.view(-1, 1, 1, 1)
