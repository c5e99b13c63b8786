"""How far pictures lie apart: in pixels, by perceptual hash, or between embeddings. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Rows = NDArray[np.float64]  # [pictures, dimensions]
Distances = NDArray[np.float64]  # [left, right]

_SIDE, _KEPT = 32, 16  # pixels of the reduced picture, frequencies of it that a hash keeps


def pixel_distance(left: Image.Image, right: Image.Image) -> float:
    """Root mean square difference of two pictures of one size, channels in [0, 1]."""
    difference = np.asarray(left, dtype=np.float64) - np.asarray(right, dtype=np.float64)
    return float(np.sqrt(np.square(difference / 255).mean()))


def perceptual_hashes(pictures: Sequence[Image.Image]) -> Rows:
    """256 bits a picture [pictures, 256], 0 or 1: which low frequencies of its grey values are above their median. (Zauner 2010)"""
    return np.array([_hash(picture) for picture in pictures], dtype=np.float64).reshape(-1, _KEPT * _KEPT)


def hamming(left: Rows, right: Rows) -> Distances:
    """Share of bits that differ, in [0, 1]; unrelated pictures lie near 0.5."""
    share: Distances = (left @ (1 - right).T + (1 - left) @ right.T) / left.shape[1]
    return share


def cosine(left: Rows, right: Rows) -> Distances:
    """1 - cosine of rows of unit length."""
    apart: Distances = 1 - left @ right.T
    return apart


def _hash(picture: Image.Image) -> NDArray[np.bool_]:
    grey = np.asarray(picture.convert("L").resize((_SIDE, _SIDE), Image.Resampling.LANCZOS), dtype=np.float64)
    low = (_COSINES @ grey @ _COSINES.T)[:_KEPT, :_KEPT].flatten()
    return np.asarray(low > np.median(low), dtype=np.bool_)


def _cosines(side: int) -> NDArray[np.float64]:
    """The discrete cosine transform (type II, not scaled) as a matrix."""
    steps = np.arange(side)
    matrix: NDArray[np.float64] = np.cos(np.pi / side * (steps[None] + 0.5) * steps[:, None])
    return matrix


_COSINES = _cosines(_SIDE)
