"""How alike two pictures of one size are, as numbers: PSNR and SSIM."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

PEAK = 255.0
IDENTICAL = 100.0  # PSNR in dB of equal pictures, where the formula has no end
_RADIUS, _SIGMA = 5, 1.5  # of the Gaussian window, 11 pixels wide
_C1, _C2 = (0.01 * PEAK) ** 2, (0.03 * PEAK) ** 2

Pixels = NDArray[np.float64]


def psnr(one: NDArray[Any], other: NDArray[Any]) -> float:
    """Peak signal-to-noise ratio in dB of two pictures (height, width, channels) with values 0..255; 100 at most."""
    error = float(np.mean((one.astype(np.float64) - other.astype(np.float64)) ** 2))
    return min(IDENTICAL, 10 * float(np.log10(PEAK**2 / error))) if error else IDENTICAL


def ssim(one: NDArray[Any], other: NDArray[Any]) -> float:
    """Mean structural similarity over windows and channels, 1 for equal pictures; sides of 11 pixels or more. (Wang et al. 2004)"""
    x, y = one.astype(np.float64), other.astype(np.float64)
    mean_x, mean_y = _blurred(x), _blurred(y)
    var_x, var_y = _blurred(x * x) - mean_x**2, _blurred(y * y) - mean_y**2
    covariance = _blurred(x * y) - mean_x * mean_y
    likeness = (2 * mean_x * mean_y + _C1) * (2 * covariance + _C2) / ((mean_x**2 + mean_y**2 + _C1) * (var_x + var_y + _C2))
    return float(likeness.mean())


def _blurred(picture: Pixels) -> Pixels:
    """Gaussian means of all windows that lie whole in the picture."""
    kernel = np.exp(-0.5 * (np.arange(-_RADIUS, _RADIUS + 1) / _SIGMA) ** 2)
    kernel /= kernel.sum()
    height, width = (side - 2 * _RADIUS for side in picture.shape[:2])
    rows: Pixels = sum((weight * picture[at : at + height] for at, weight in enumerate(kernel)), np.zeros(()))
    return sum((weight * rows[:, at : at + width] for at, weight in enumerate(kernel)), np.zeros(()))
