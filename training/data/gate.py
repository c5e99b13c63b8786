"""What is wrong with pictures, one by one and beside each other. Pure: measurements in, remarks out."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

import numpy as np
from numpy.typing import NDArray

from training.data.policy import WHOLE, Remark

HASH_SIDE = 12  # frequencies a side that a perceptual hash keeps
HASH_BITS = HASH_SIDE**2
_TILES = 4  # a side: one sharp sixteenth is enough, the background may be soft


@dataclass(frozen=True, kw_only=True, slots=True)
class Measured:
    """What was seen of one decoded picture: sides in pixels, sha256 of its pixels, perceptual hashes (HASH_BITS) of it and of its
    mirror image, sharpness."""

    name: str
    width: int
    height: int
    pixels: str
    look: bytes
    mirrored: bytes
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
    """A remark for every picture that looks like an earlier one, or like its mirror image: at most `distance` bits differ."""
    looks = _bits([picture.look for picture in pictures])
    mirrored = _bits([picture.mirrored for picture in pictures])
    remarks = []
    for index in range(1, len(pictures)):
        apart = np.stack([np.bitwise_count(looks[:index] ^ one).sum(axis=1) for one in (looks[index], mirrored[index])])
        way, nearest = np.unravel_index(apart.argmin(), apart.shape)
        bits, original = int(apart[way, nearest]), pictures[int(nearest)]
        if bits <= distance and original.pixels != pictures[index].pixels:
            like = f"{original.name} mirrored" if way else original.name
            message = f"looks like {like} ({bits} of {HASH_BITS} bits differ): keep it if both are wanted"
            remarks.append(Remark(file=pictures[index].name, code="near_duplicate", message=message))
    return remarks


def items_unmatched(titles: Iterable[str], names: Sequence[str]) -> list[Remark]:
    """A remark for every file or pattern of `items` that fits no picture, by its path or by its last part."""
    told = {part for name in names for part in (name, name.rpartition("/")[2])}
    return [
        Remark(file=WHOLE, code="items_unmatched", message=f"items {title!r:.80} fits no picture: mend the pattern, or take it out")
        for title in titles
        if title not in told and not any(fnmatchcase(name, title) for name in told)
    ]


def too_few(train: int, minimum: int) -> Remark | None:
    """too_few, where less than `minimum` pictures are left to train on."""
    if train >= minimum:
        return None
    message = f"{train} pictures left to train on, at least {minimum} wanted: add pictures or hold out fewer"
    return Remark(file=WHOLE, code="too_few", message=message)


def sharpness(grey: NDArray[np.uint8]) -> float:
    """Variance of the Laplacian (Pech-Pacheco et al. 2000) in the sharpest of 16 tiles of a grey picture."""
    light = grey.astype(np.float32)
    edges = 4 * light[1:-1, 1:-1] - light[:-2, 1:-1] - light[2:, 1:-1] - light[1:-1, :-2] - light[1:-1, 2:]
    tiles = [tile for band in np.array_split(edges, _TILES) for tile in np.array_split(band, _TILES, axis=1)]
    return max(float(tile.var()) for tile in tiles if tile.size)


def _bits(hashes: Sequence[bytes]) -> NDArray[np.uint8]:
    """[pictures, bytes]"""
    return np.frombuffer(b"".join(hashes), dtype=np.uint8).reshape(len(hashes), HASH_BITS // 8)
