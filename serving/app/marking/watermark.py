"""The invisible watermark is written: a faint pattern, stronger where the picture is busy, only as strong as finding it needs."""

import hashlib
from typing import TYPE_CHECKING

import numpy as np

from .pattern import SIDE, SYMBOLS, Floats, pattern
from .spectrum import Waves, agreement, brightness, held, mean_around, symbol_scores, waves

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

READABLE_FROM = 256  # pixels of the shorter side; smaller pictures say only that they are marked
PAYLOAD = SYMBOLS - 1  # bytes, and one more that checks them

_PILOT_GOAL, _SYMBOL_GOAL, _LEAD = 13.0, 9.0, 4.0  # agreements aimed at, and that of a byte over any other in its place
_FLAT, _BUSY, _MOST = 0.8, 0.4, 5.0  # levels of 255: at least anywhere, for each level of detail around, and at most
_DETAIL = 2  # pixels at SIDE to each side that count as around
_LOUDEST = 2.4  # levels: root mean square over a picture, which is 40.5 dB
_SMALL = 1.6  # times as loud in small pictures, which hold so few frequencies that the pattern is else lost in them


def marked(picture: "Picture", payload: bytes) -> "Picture":
    """The picture with the pattern in its brightness; `payload` are the PAYLOAD bytes that a large enough one will say.

    RGB, same size. Deterministic. Where the picture is too small to hold any frequency of the pattern, it is as it was.
    """
    side, field = min(picture.size), brightness(picture)
    added = _said(field, side, with_check(payload)) if side >= READABLE_FROM else _present(field, side)
    return _added(picture, added)


def with_check(payload: bytes) -> bytes:
    """The payload and the byte that checks it."""
    assert len(payload) == PAYLOAD, payload
    return payload + hashlib.sha256(payload).digest()[:1]


def _present(field: Floats, side: int) -> Floats:
    """The pattern of all frequencies that the picture holds."""
    added: Floats = _woven(pattern().presence * held(side)[:, None]) * _loudness(field) * np.float32(_SMALL)
    return added


def _said(field: Floats, side: int, symbols: bytes) -> Floats:
    """What to add so that pilot and bytes reach their goals: what the picture already agrees with need not be added."""
    found = waves(field, side)
    signs = _spelled(symbols) * held(side)[:, None]
    before = _agreements(found, signs)
    needed = np.maximum(_goals(found, symbols) - before, 0)
    woven, loudness = _woven(signs * needed[pattern().group][:, None]), _loudness(field)
    gained = _agreements(waves(field + woven * loudness, side), signs) - before
    share = min(1.0, float(np.max(needed / np.maximum(gained, 1e-3))))
    added: Floats = woven * np.maximum(loudness * np.float32(share), np.float32(_FLAT))
    return added


def _spelled(symbols: bytes) -> Floats:
    """The signs with these bytes in their groups."""
    known = pattern()
    row = np.array([0, *symbols])[known.group]  # row 0 has no negative sign: the pilot stays as it is
    signs: Floats = known.signs * known.rows[row[:, None], known.column]
    return signs


def _agreements(found: Waves, signs: Floats) -> Floats:
    """Of the pilot and of each byte."""
    group = pattern().group
    return np.array([agreement(found[group == one], signs[group == one]) for one in range(SYMBOLS + 1)], np.float32)


def _goals(found: Waves, symbols: bytes) -> Floats:
    scores = symbol_scores(found)
    others = [np.delete(scores[index], symbol).max() for index, symbol in enumerate(symbols)]
    return np.array([_PILOT_GOAL, *(max(_SYMBOL_GOAL, other + _LEAD) for other in others)], np.float32)


def _woven(amplitudes: Floats) -> Floats:
    """The SIDE x SIDE field with these amplitudes (n, 2) and a deviation of 1."""
    spectrum = np.zeros(SIDE * SIDE, np.complex64)
    spectrum[pattern().where] = amplitudes[:, 0] + 1j * amplitudes[:, 1]
    field = np.fft.ifft2(spectrum.reshape(SIDE, SIDE)).real  # the other half of the frequencies would add as much again
    return (field / (field.std() or 1)).astype(np.float32)


def _loudness(field: Floats) -> Floats:
    """Levels that the eye does not see: few where nothing is around, more where the picture is busy."""
    detail = mean_around(np.abs(field - mean_around(field, _DETAIL)), _DETAIL)
    return np.clip(_BUSY * detail, _FLAT, _MOST).astype(np.float32)


def _added(picture: "Picture", field: Floats) -> "Picture":
    from PIL import Image, ImageChops

    full = np.asarray(Image.fromarray(field).resize(picture.size, Image.Resampling.BICUBIC))
    loud = float(np.sqrt(np.mean(full**2)))
    levels = np.rint(full * min(1.0, _LOUDEST / loud) if loud else full)
    shift = Image.fromarray((levels.clip(-128, 127) + 128).astype(np.uint8))
    return ImageChops.add(picture.convert("RGB"), Image.merge("RGB", (shift,) * 3), scale=1, offset=-128)
