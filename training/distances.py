"""How far pictures lie apart: in pixels, by perceptual hash, or between embeddings. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Rows = NDArray[np.float64]  # [pictures, dimensions]
Distances = NDArray[np.float64]  # [left, right]

_SIDE = 16  # frequencies a side that a hash keeps


def pixel_distance(left: Image.Image, right: Image.Image) -> float:
    """Root mean square difference of two pictures of one size, channels in [0, 1]."""
    difference = np.asarray(left, dtype=np.float64) - np.asarray(right, dtype=np.float64)
    return float(np.sqrt(np.square(difference / 255).mean()))


def perceptual_hashes(pictures: Sequence[Image.Image]) -> Rows:
    """256 bits a picture [pictures, 256], 0 or 1: which low frequencies of its grey values are above their median. (Zauner 2010)"""
    import imagehash

    bits = [imagehash.phash(picture, hash_size=_SIDE).hash for picture in pictures]
    return np.array(bits, dtype=np.float64).reshape(-1, _SIDE * _SIDE)


def hamming(left: Rows, right: Rows) -> Distances:
    """Share of bits that differ, in [0, 1]; unrelated pictures lie near 0.5."""
    share: Distances = (left @ (1 - right).T + (1 - left) @ right.T) / left.shape[1]
    return share


def cosine(left: Rows, right: Rows) -> Distances:
    """1 - cosine of rows of unit length."""
    apart: Distances = 1 - left @ right.T
    return apart
