"""The way of a picture from the engine to the answer: checked, made a file, handed out; what fails on it is not delivered."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias, Union

from fal.exceptions import AppException
from fal.toolkit import Image

from .billing import Delivered
from .errors import ContentRefused, GpuBroken, MarkingError, NothingDelivered, failure_of
from .pictures import OutputFormat
from .runner import logs
from .runner.contained import contained_call
from .runner.logs import Notes
from .safety.checker import Checker

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

Reason = Literal["content_policy", "safety_check_failed", "drawing_failed", "marking_failed", "encode_failed", "upload_failed"]
Result: TypeAlias = Union["Picture", Exception]


@dataclass(frozen=True, kw_only=True, slots=True)
class Way:
    """What is done with each picture of a request; all three are called in threads, several at a time."""

    checker: Checker | None
    file: Callable[["Picture", OutputFormat], bytes]  # raises MarkingError where the marks fail and not the format
    hand_out: Callable[[bytes, OutputFormat, tuple[int, int]], Image]
    output_format: OutputFormat


@dataclass(frozen=True, kw_only=True, slots=True)
class Delivery:
    """What a request ends with: images and receipts in the same order, and the (index, reason) of those that are not there."""

    images: tuple[Image, ...]
    receipts: tuple[Delivered, ...]
    undelivered: tuple[tuple[int, Reason], ...]


class _Withheld(Exception):
    """told: what the caller hears instead of ours where nothing at all is delivered."""

    def __init__(self, reason: Reason, told: AppException | None = None) -> None:
        super().__init__(reason)
        self.reason: Reason = reason
        self.told = told


async def deliver(drawn: Sequence[Result], way: Way, notes: Notes) -> Delivery:
    """Check, encode and hand out each picture beside the event loop; one that fails does not hurt the others, and is noted.

    Raises if nothing is left to deliver, with the engine's own error where it drew nothing and the SDK's where the upload policy of
    the request refused it; and for a lost CUDA context always, since the platform then replaces the runner and asks again.
    """
    for result in drawn:
        if isinstance(result, Exception) and isinstance(failure_of(result), GpuBroken):
            raise result
    ends = await asyncio.gather(*(_end(result, way) for result in drawn))
    delivered = [(index, end) for index, end in enumerate(ends) if not isinstance(end, _Withheld)]
    withheld = [(index, end) for index, end in enumerate(ends) if isinstance(end, _Withheld)]
    notes.undelivered = tuple(end.reason for _, end in withheld)
    if not delivered:
        raise _nothing(drawn, [end for _, end in withheld])
    return Delivery(
        images=tuple(image for _, (image, _) in delivered),
        receipts=tuple(Delivered(index=index, width=width, height=height) for index, (_, (width, height)) in delivered),
        undelivered=tuple((index, end.reason) for index, end in withheld),
    )


async def _end(result: Result, way: Way) -> tuple[Image, tuple[int, int]] | _Withheld:
    """Where a picture's way ends: handed out, or withheld."""
    try:
        if isinstance(result, Exception):
            raise _logged(result, "drawing_failed") from result
        return await asyncio.to_thread(contained_call(_delivered), result, way), result.size
    except _Withheld as withheld:
        return withheld


def _delivered(picture: "Picture", way: Way) -> Image:
    _check(picture, way.checker)
    return _handed_out(_file(picture, way), picture.size, way)


def _check(picture: "Picture", checker: Checker | None) -> None:
    try:
        flagged = checker is not None and checker.flags(picture)
    except Exception as error:
        raise _logged(error, "safety_check_failed") from error  # fails closed: an unchecked picture is a withheld one
    if flagged:
        raise _Withheld("content_policy")


def _file(picture: "Picture", way: Way) -> bytes:
    try:
        return way.file(picture, way.output_format)
    except MarkingError as error:
        raise _logged(error, "marking_failed") from error
    except Exception as error:
        raise _logged(error, "encode_failed") from error


def _handed_out(data: bytes, size: tuple[int, int], way: Way) -> Image:
    try:
        return way.hand_out(data, way.output_format, size)
    except AppException as error:  # the upload policy that the request came with can not be met
        raise _logged(error, "upload_failed", told=error) from error
    except Exception as error:
        raise _logged(error, "upload_failed") from error


def _logged(error: Exception, reason: Reason, *, told: AppException | None = None) -> _Withheld:
    logs.failed(error, event="undelivered", reason=reason)
    return _Withheld(reason, told)


def _nothing(drawn: Sequence[Result], withheld: Sequence[_Withheld]) -> Exception:
    told: list[Exception] = [end.told for end in withheld if end.told is not None]
    if told:
        return told[0]
    reasons = {end.reason for end in withheld}
    if reasons == {"content_policy"}:
        return ContentRefused("Every image made from this prompt is against the content policy of this app")
    errors = [result for result in drawn if isinstance(result, Exception)]
    if len(errors) == len(drawn):
        return errors[0]
    return NothingDelivered(f"no image could be delivered ({', '.join(sorted(reasons))})")
