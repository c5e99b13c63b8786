"""What is wrong with a dataset, picture by picture. Pure: measurements in, findings out."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Level = Literal["error", "warning"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One remark about one file; an error keeps the picture out, a warning does not."""

    file: str
    code: str
    level: Level
    message: str

    def row(self) -> dict[str, str]:
        return asdict(self)


@dataclass(frozen=True, kw_only=True, slots=True)
class Measured:
    """What was seen of one decoded picture: sides in pixels, sha256 of its pixels, 64-bit difference hash."""

    name: str
    width: int
    height: int
    pixels: str
    look: int


def size_finding(picture: Measured, min_side: int) -> Finding | None:
    """too_small, where the shorter side is below min_side."""
    if min(picture.width, picture.height) >= min_side:
        return None
    message = f"{picture.width} x {picture.height} pixels, at least {min_side} wanted on each side: use a larger picture or drop it"
    return Finding(file=picture.name, code="too_small", level="error", message=message)


def exact_duplicates(pictures: Sequence[Measured]) -> list[Finding]:
    """A finding for every picture whose pixels came before under another name."""
    first: dict[str, str] = {}
    findings = []
    for picture in pictures:
        original = first.setdefault(picture.pixels, picture.name)
        if original != picture.name:
            message = f"the same pixels as {original}: the copy is left out"
            findings.append(Finding(file=picture.name, code="exact_duplicate", level="warning", message=message))
    return findings


def near_duplicates(pictures: Sequence[Measured], distance: int) -> list[Finding]:
    """A warning for every picture that looks like an earlier one: at most `distance` of 64 bits differ."""
    looks = np.array([picture.look for picture in pictures], dtype=np.uint64)
    findings = []
    for index in range(1, len(pictures)):
        apart = _bits(looks[:index] ^ looks[index])
        nearest = int(apart.argmin())
        if apart[nearest] <= distance and pictures[nearest].pixels != pictures[index].pixels:
            message = f"looks like {pictures[nearest].name} ({int(apart[nearest])} of 64 bits differ): keep it if both are wanted"
            findings.append(Finding(file=pictures[index].name, code="near_duplicate", level="warning", message=message))
    return findings


def too_few(train: int, minimum: int) -> Finding | None:
    """too_few, where less than `minimum` pictures are left to train on."""
    if train >= minimum:
        return None
    message = f"{train} pictures left to train on, at least {minimum} wanted: add pictures or hold out fewer"
    return Finding(file=".", code="too_few", level="error", message=message)


def difference_hash(grey: NDArray[np.uint8]) -> int:
    """64 bits of a grey picture of 8 rows and 9 columns: is each pixel brighter than its right neighbour?"""
    bits = (grey[:, :-1] > grey[:, 1:]).flatten()
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


def _bits(words: NDArray[np.uint64]) -> NDArray[np.int64]:
    bits: NDArray[np.int64] = np.unpackbits(words.view(np.uint8).reshape(-1, 8), axis=1).sum(axis=1, dtype=np.int64)
    return bits
