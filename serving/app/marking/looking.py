"""The invisible watermark is looked for: in the picture as it is, mirrored, and as a part of one whose edges were cut off."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .pattern import PILOT, SIDE, Floats, pattern
from .spectrum import Waves, agreement, brightness, pilot_agreement, symbol_scores, waves
from .watermark import PAYLOAD, with_check

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

FALSE_ALARMS = 1e-6  # at most so many of unmarked pictures are called marked: half of them for each of the two ways to look

_LAYOUTS, _SIDES = 2, 2  # of the pattern; of the picture: as it is and mirrored
_KEPT = tuple(percent / 100 for percent in range(99, 79, -1))  # of each side, after edges were cut off
_READ = 4.5  # agreement that every byte must have: one in a thousand groups without any has it


def _threshold(looks: int) -> float:
    """The agreement that no look passes by chance with FALSE_ALARMS / 2: looks * exp(-t^2 / 2) is that."""
    return math.sqrt(2 * math.log(2 * looks / FALSE_ALARMS))


THRESHOLD = _threshold(_LAYOUTS * _SIDES)
CUT_THRESHOLD = _threshold(_LAYOUTS * sum((SIDE - round(SIDE * kept) + 1) ** 2 for kept in _KEPT))


@dataclass(frozen=True, kw_only=True, slots=True)
class Look:
    """What was found: the best agreement, what it had to pass, and the payload where that can be read."""

    present: bool
    score: float
    threshold: float
    payload: bytes | None


def look(picture: "Picture") -> Look:
    """Look for the watermark; needs nothing but the picture, resized, mirrored, or cut to 80 % of each side alike."""
    picture = _handy(picture)
    side, field = min(picture.size), brightness(picture)
    score, found = max((_seen(waves(one, side)) for one in (field, field[:, ::-1])), key=lambda one: one[0])
    if score >= THRESHOLD:
        return Look(present=True, score=score, threshold=THRESHOLD, payload=_payload(found))
    cut, placed = max((_best_place(picture, kept, side) for kept in _KEPT), key=lambda one: one[0])
    if cut >= CUT_THRESHOLD:
        return Look(present=True, score=cut, threshold=CUT_THRESHOLD, payload=_payload(placed))
    return Look(present=False, score=score, threshold=THRESHOLD, payload=None)


def _handy(picture: "Picture") -> "Picture":
    """A very large picture reduced by whole pixels to what still holds every frequency: it is looked at many times."""
    times = min(picture.size) // (2 * SIDE)
    return picture.convert("L").reduce(times) if times > 2 else picture


def _seen(found: Waves) -> tuple[float, Waves]:
    return max(agreement(found, pattern().presence), pilot_agreement(found)), found


def _payload(found: Waves) -> bytes | None:
    scores = symbol_scores(found)
    said = bytes(scores.argmax(axis=1).tolist())
    sure = bool((scores.max(axis=1) >= _READ).all())
    return said[:PAYLOAD] if sure and with_check(said[:PAYLOAD]) == said else None


def _best_place(picture: "Picture", kept: float, side: int) -> tuple[float, Waves]:
    """The best agreement of the picture as a part of a larger one, over all places where it may have been, and its waves there."""
    small = round(SIDE * kept)
    field = _shrunk(brightness(picture), small)
    found = waves(field, side)
    pilot = np.where(pattern().group == PILOT, 1, 0).astype(np.float32)[:, None]
    whole = _over_places(found, pattern().presence, small)
    part = _over_places(found * pilot[:, 0], pattern().signs * pilot, small)
    best = max((whole, part), key=lambda one: float(one.max()))
    down, across = np.unravel_index(int(best.argmax()), best.shape)
    turned = np.exp(-2j * np.pi / SIDE * (pattern().across * across + pattern().down * down))
    return float(best.max()), (found * turned).astype(np.complex64)


def _shrunk(field: Floats, small: int) -> Floats:
    """The field at small x small in the corner of one of full size that is its mean elsewhere."""
    from PIL import Image

    result = np.full((SIDE, SIDE), field.mean(), np.float32)
    result[:small, :small] = np.asarray(Image.fromarray(field).resize((small, small), Image.Resampling.BICUBIC))
    return result


def _over_places(found: Waves, signs: Floats, small: int) -> Floats:
    """The agreement at each offset (down, across) that a part of this size can have: all at once by the Fourier transform."""
    spectrum = np.zeros(SIDE * SIDE, np.complex64)
    spectrum[pattern().where] = np.conj(found) * (signs[:, 0] + 1j * signs[:, 1])
    places = SIDE - small + 1
    sums = np.fft.ifft2(spectrum.reshape(SIDE, SIDE)).real[:places, :places] * SIDE**2
    return (sums / (np.linalg.norm(found) + 1e-9)).astype(np.float32)
