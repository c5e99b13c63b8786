"""Billable units: what they are, from what was delivered and never from what was asked for; and the one place that writes them.

Each unit states its invariant and its rounding. All are exact integers, are 0 for nothing and at least 1 for anything delivered,
and never grow when something is withheld.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil
from typing import Literal

BillingUnit = Literal["image", "megapixel", "request"]
Headers = list[tuple[bytes, bytes]]

MEGAPIXEL = 1024 * 1024  # as fal counts: its square_hd preset is one
TEXT_CHUNK = 1000  # characters

_UNITS_HEADER = b"x-fal-billable-units"


@dataclass(frozen=True, kw_only=True, slots=True)
class Delivered:
    """One image that is part of the answer; `index` is its place in the request (its seed is the request's seed + index)."""

    index: int
    width: int
    height: int


@dataclass(slots=True)
class Receipt:
    """What one request has delivered so far: empty until the answer is complete, so that every other way out bills 0."""

    images: tuple[Delivered, ...] = ()


def units_for(images: Sequence[Delivered], unit: BillingUnit) -> int:
    """Billable units for what was delivered; a withheld or failed image is not in `images` and costs nothing."""
    return _UNITS[unit](images)


def units_per_image(images: Sequence[Delivered]) -> int:
    """One for each image, whatever its size: limits.max_area caps what one buys.

    Invariant: units = images delivered. Nothing is rounded.
    """
    return len(images)


def units_per_megapixel(images: Sequence[Delivered]) -> int:
    """Megapixels of 1024 x 1024 pixels, each image's rounded up by itself.

    Invariant: the sum over images of ceil(width x height / 2^20), so an image costs the same alone and among others. Rounded up
    by less than one unit an image.
    """
    return sum(_rounded_up(image.width * image.height, MEGAPIXEL) for image in images)


def units_per_request(images: Sequence[Delivered]) -> int:
    """One for a request that delivered anything.

    Invariant: 1 if there is an image, else 0; how many there are does not matter.
    """
    return min(1, len(images))


def units_per_video_second(clips: Iterable[tuple[int, Fraction]]) -> int:
    """No app yet. Seconds of video for clips of (frames, frames a second), each clip's rounded up by itself.

    Invariant: the sum over clips of ceil(frames / rate), exact for rates such as 30000/1001; a clip costs the same alone and
    among others. Rounded up by less than one unit a clip. Raises ValueError for a rate of 0 or less.
    """
    return sum(_seconds(frames, rate) for frames, rate in clips)


def units_per_text_chunk(texts: Iterable[str]) -> int:
    """No app yet. Chunks of 1000 characters (code points) of all text of one answer together.

    Invariant: ceil(characters / 1000) of the sum, so it does not matter into how many pieces a stream cuts the answer. Rounded up
    by less than one unit a request.
    """
    return _rounded_up(sum(map(len, texts)), TEXT_CHUNK)


def units_of_response(status: int, receipt: Receipt, unit: BillingUnit) -> int:
    """Units of one response: those of the receipt when the answer succeeded, else 0."""
    return units_for(receipt.images, unit) if 200 <= status < 300 else 0


def with_units(headers: Iterable[tuple[bytes, bytes]], units: int) -> Headers:
    """The response headers with exactly one statement of units: ours. What the SDK or a route put there is dropped."""
    kept = [(name, value) for name, value in headers if name.lower() != _UNITS_HEADER]
    return [*kept, (_UNITS_HEADER, b"%d" % units)]


_UNITS: Mapping[BillingUnit, Callable[[Sequence[Delivered]], int]] = {
    "image": units_per_image,
    "megapixel": units_per_megapixel,
    "request": units_per_request,
}


def _rounded_up(amount: int, of: int) -> int:
    return -(-amount // of)


def _seconds(frames: int, rate: Fraction) -> int:
    if rate <= 0:
        raise ValueError(f"frames a second must be more than 0, got {rate}")
    return ceil(Fraction(frames) / rate)
