"""A picture as the watermark sees it: brightness at one size, its spectrum flattened, and how well that agrees with the pattern."""

from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from .pattern import ALPHABET, PILOT, SIDE, SYMBOLS, Floats, pattern

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

Waves: TypeAlias = NDArray[np.complex64]  # one value for each frequency of the pattern

_AROUND = 3  # frequencies to each side over which the spectrum is flattened
_FLOOR = 0.5  # of brightness: below it is rounding, which is not blown up
_CLIP = 2.0  # no frequency counts for more than this many times its neighbours
_HELD = 0.45  # cycles a pixel that survive resizing; a picture of few pixels holds the lower frequencies only


def brightness(picture: "Picture") -> Floats:
    """Brightness from 0 to 255 at SIDE x SIDE, stretched to a square."""
    from PIL.Image import Resampling

    sampling = Resampling.BOX if min(picture.size) >= SIDE else Resampling.BICUBIC
    return np.asarray(picture.convert("L").convert("F").resize((SIDE, SIDE), sampling), np.float32)


def waves(field: Floats, side: int) -> Waves:
    """The pattern's frequencies of a SIDE x SIDE field, flattened; 0 where a picture whose shorter side is `side` holds none."""
    spectrum = np.fft.fft2(field)
    power = mean_around(spectrum.real**2 + spectrum.imag**2, _AROUND).ravel()[pattern().where]
    flat = spectrum.ravel()[pattern().where] / np.sqrt(np.maximum(power, 0) + (_FLOOR * SIDE) ** 2)
    clipped = np.clip(flat.real, -_CLIP, _CLIP) + 1j * np.clip(flat.imag, -_CLIP, _CLIP)
    return (clipped * held(side)).astype(np.complex64)


def held(side: int) -> NDArray[np.bool_]:
    """Which frequencies a picture with this shorter side can hold."""
    return np.hypot(pattern().across, pattern().down) <= _HELD * side


def agreement(found: Waves, signs: Floats) -> float:
    """Sum of the waves with these signs, over its standard deviation for random signs.

    For any picture that was not made with the signs in hand it passes t with a probability of at most exp(-t^2 / 2). (Hoeffding
    1963, for a sum of fixed numbers with random signs)
    """
    return float((pairs(found) * signs).sum() / (np.linalg.norm(found) + 1e-9))


def pilot_agreement(found: Waves) -> float:
    """The agreement with the layout that carries bytes."""
    pilot = pattern().group == PILOT
    return agreement(found[pilot], pattern().signs[pilot])


def symbol_scores(found: Waves) -> Floats:
    """Agreement of each group with each of its possible bytes: (SYMBOLS, ALPHABET)."""
    known, signed = pattern(), pairs(found) * pattern().signs
    scores = np.zeros((SYMBOLS, ALPHABET), np.float32)
    for index in range(SYMBOLS):
        own = known.group == index + 1
        by_column = np.bincount(known.column[own].ravel(), signed[own].ravel(), ALPHABET)
        scores[index] = known.rows @ by_column / (np.linalg.norm(found[own]) + 1e-9)
    return scores


def pairs(found: Waves) -> Floats:
    """Cosine and sine parts: (n, 2)."""
    return found.view(np.float32).reshape(-1, 2)


def mean_around(field: NDArray[np.floating], reach: int) -> NDArray[np.float64]:
    """Mean over the square that reaches so far to each side; the field goes round."""
    result = field.astype(np.float64)
    for _ in range(2):
        total = np.pad(result, ((reach + 1, reach), (0, 0)), mode="wrap").cumsum(axis=0)
        result = ((total[2 * reach + 1 :] - total[: -2 * reach - 1]) / (2 * reach + 1)).T
    return result
