"""The invisible watermark's pattern: which frequencies of a picture carry which sign. It is public: anybody can look for it.

Of a picture at SIDE x SIDE, some 15,000 frequencies take part, each with a sign for its cosine and one for its sine. There are two
layouts. In `presence` all signs are one pattern. In `signs` the frequencies are dealt to a pilot, found as that one is, and to
SYMBOLS groups, in which a row of a Hadamard matrix on top of the signs says one byte.
"""

import hashlib
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

SIDE = 256  # pictures are looked at in this size whatever theirs is, so that a resized picture is the same picture
LOWEST, HIGHEST = 8, 100  # cycles a picture; 100 of them pass half of 512 pixels, and JPEG keeps them from there on
SYMBOLS, ALPHABET = 5, 256
PILOT = 0  # the group that says that there are bytes to read

_NAME = b"lorasmith watermark 1"  # another name is another pattern
_DEALT = np.array([PILOT, PILOT, 1, 2, 3, 4, 5], np.uint8)  # the pilot gets two shares: without it nothing is read

Floats = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Pattern:
    """Arrays over the n frequencies that take part: int and float (n,), signs and columns (n, 2) for cosine and sine."""

    where: NDArray[np.intp]  # index into the flattened SIDE x SIDE spectrum
    across: Floats  # cycles from left to right
    down: Floats  # cycles from top to bottom
    presence: Floats
    signs: Floats
    group: NDArray[np.uint8]  # PILOT or 1 to SYMBOLS
    column: NDArray[np.uint8]  # of the Hadamard matrix
    rows: Floats  # that matrix: (ALPHABET, ALPHABET)


@cache
def pattern() -> Pattern:
    """The pattern, the same everywhere and for ever: its randomness is a hash of its name."""
    cycles = np.fft.fftfreq(SIDE, 1 / SIDE)
    down, across = (grid.ravel() for grid in np.meshgrid(cycles, cycles, indexing="ij"))
    radius = np.hypot(down, across)
    where = np.flatnonzero((radius >= LOWEST) & (radius <= HIGHEST) & (across > 0))  # the other half is their conjugate
    bits = _random(where.size * 6).reshape(where.size, 6)
    index = np.arange(ALPHABET)
    return Pattern(
        where=where,
        across=across[where].astype(np.float32),
        down=down[where].astype(np.float32),
        presence=_signs(bits[:, 0]),
        signs=_signs(bits[:, 1]),
        group=_DEALT[bits[:, 2:4].view("<u2").ravel() % _DEALT.size],
        column=bits[:, 4:],
        rows=_sign(np.bitwise_count(index[:, None] & index) & 1),
    )


def _random(count: int) -> NDArray[np.uint8]:
    return np.frombuffer(hashlib.shake_256(_NAME).digest(count), np.uint8)


def _signs(drawn: NDArray[Any]) -> Floats:
    return np.stack([_sign(drawn & 1), _sign(drawn >> 1 & 1)], axis=1)


def _sign(bit: NDArray[Any]) -> Floats:
    return (1 - 2 * bit.astype(np.int8)).astype(np.float32)
