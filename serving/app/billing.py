"""Billable units are decided here and written here, from what was delivered and never from what was asked for."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

BillingUnit = Literal["image", "megapixel", "request"]
Headers = list[tuple[bytes, bytes]]

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
    assert unit == "image", unit
    return len(images)


def units_of_response(status: int, receipt: Receipt, unit: BillingUnit) -> int:
    """Units of one response: those of the receipt when the answer succeeded, else 0."""
    return units_for(receipt.images, unit) if 200 <= status < 300 else 0


def with_units(headers: Iterable[tuple[bytes, bytes]], units: int) -> Headers:
    """The response headers with exactly one statement of units: ours. What the SDK or a route put there is dropped."""
    kept = [(name, value) for name, value in headers if name.lower() != _UNITS_HEADER]
    return [*kept, (_UNITS_HEADER, b"%d" % units)]
