"""What is wrong with pictures, one by one and beside each other. Pure: measurements in, remarks out."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.data.policy import WHOLE, Remark

_TILES = 4  # a side: one sharp sixteenth is enough, the background may be soft


@dataclass(frozen=True, kw_only=True, slots=True)
class Measured:
    """What was seen of one decoded picture: sides in pixels, sha256 of its pixels, 64-bit difference hash, sharpness."""

    name: str
    width: int
    height: int
    pixels: str
    look: int
    sharpness: float


def size_remark(picture: Measured, min_side: int) -> Remark | None:
    """too_small, where the shorter side is below min_side."""
    if min(picture.width, picture.height) >= min_side:
        return None
    message = f"{picture.width} x {picture.height} pixels, at least {min_side} wanted on each side: use a larger picture or drop it"
    return Remark(file=picture.name, code="too_small", message=message)


def blur_remark(picture: Measured, least: float) -> Remark | None:
    """blurred, where the sharpest part is below `least`."""
    if picture.sharpness >= least:
        return None
    message = f"sharpness {picture.sharpness:.1f}, at least {least:g} wanted: use a sharper one, or keep it if softness is meant"
    return Remark(file=picture.name, code="blurred", message=message)


def exact_duplicates(pictures: Sequence[Measured]) -> list[Remark]:
    """A remark for every picture whose pixels came before under another name."""
    first: dict[str, str] = {}
    remarks = []
    for picture in pictures:
        original = first.setdefault(picture.pixels, picture.name)
        if original != picture.name:
            message = f"the same pixels as {original}: the copy is left out"
            remarks.append(Remark(file=picture.name, code="exact_duplicate", message=message))
    return remarks


def near_duplicates(pictures: Sequence[Measured], distance: int) -> list[Remark]:
    """A remark for every picture that looks like an earlier one: at most `distance` of 64 bits differ."""
    looks = np.array([picture.look for picture in pictures], dtype=np.uint64)
    remarks = []
    for index in range(1, len(pictures)):
        apart = np.bitwise_count(looks[:index] ^ looks[index])
        nearest = int(apart.argmin())
        if apart[nearest] <= distance and pictures[nearest].pixels != pictures[index].pixels:
            message = f"looks like {pictures[nearest].name} ({int(apart[nearest])} of 64 bits differ): keep it if both are wanted"
            remarks.append(Remark(file=pictures[index].name, code="near_duplicate", message=message))
    return remarks


def too_few(train: int, minimum: int) -> Remark | None:
    """too_few, where less than `minimum` pictures are left to train on."""
    if train >= minimum:
        return None
    message = f"{train} pictures left to train on, at least {minimum} wanted: add pictures or hold out fewer"
    return Remark(file=WHOLE, code="too_few", message=message)


def difference_hash(grey: NDArray[np.uint8]) -> int:
    """64 bits of a grey picture of 8 rows and 9 columns: is each pixel brighter than its right neighbour?"""
    bits = (grey[:, :-1] > grey[:, 1:]).flatten()
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


def sharpness(grey: NDArray[np.uint8]) -> float:
    """Variance of the Laplacian (Pech-Pacheco et al. 2000) in the sharpest of 16 tiles of a grey picture."""
    light = grey.astype(np.float32)
    edges = 4 * light[1:-1, 1:-1] - light[:-2, 1:-1] - light[2:, 1:-1] - light[1:-1, :-2] - light[1:-1, 2:]
    tiles = [tile for band in np.array_split(edges, _TILES) for tile in np.array_split(band, _TILES, axis=1)]
    return max(float(tile.var()) for tile in tiles if tile.size)
