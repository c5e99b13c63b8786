"""The way of a picture from the engine to the answer: checked, encoded, handed out; what fails on it is not delivered."""

import json
import sys
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from fal.exceptions import AppException
from fal.toolkit import Image

from .billing import Delivered
from .errors import ContentRefused, NothingDelivered
from .pictures import OutputFormat, encode
from .safety import Checker

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

Reason = Literal["content_policy", "safety_check_failed", "encode_failed", "upload_failed"]
HandOut = Callable[[bytes, OutputFormat, tuple[int, int]], Image]


@dataclass(frozen=True, kw_only=True, slots=True)
class Delivery:
    """What a request ends with: images and receipts in the same order, and the (index, reason) of those that are not there."""

    images: tuple[Image, ...]
    receipts: tuple[Delivered, ...]
    undelivered: tuple[tuple[int, Reason], ...]


class _Withheld(Exception):
    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        self.reason: Reason = reason


def deliver(
    pictures: Iterable["Picture"],
    *,
    checker: Checker | None,
    output_format: OutputFormat,
    hand_out: HandOut,
) -> Delivery:
    """Check, encode and hand out each picture; one that fails does not hurt the others. Raises if nothing is left to deliver.

    Errors of the engine while it makes the pictures end the request: they pass through.
    """
    images: list[Image] = []
    receipts: list[Delivered] = []
    undelivered: list[tuple[int, Reason]] = []
    for index, picture in enumerate(pictures):
        try:
            _check(picture, checker)
            data = _encoded(picture, output_format)
            images.append(_handed_out(data, output_format, picture.size, hand_out))
            receipts.append(Delivered(index=index, width=picture.width, height=picture.height))
        except _Withheld as withheld:
            undelivered.append((index, withheld.reason))
    if not images:
        raise _nothing(undelivered)
    return Delivery(images=tuple(images), receipts=tuple(receipts), undelivered=tuple(undelivered))


def _check(picture: "Picture", checker: Checker | None) -> None:
    try:
        flagged = checker is not None and checker.flags(picture)
    except Exception as error:
        raise _logged(error, "safety_check_failed") from error  # fails closed: an unchecked picture is a withheld one
    if flagged:
        raise _Withheld("content_policy")


def _encoded(picture: "Picture", output_format: OutputFormat) -> bytes:
    try:
        return encode(picture, output_format)
    except Exception as error:
        raise _logged(error, "encode_failed") from error


def _handed_out(data: bytes, output_format: OutputFormat, size: tuple[int, int], hand_out: HandOut) -> Image:
    try:
        return hand_out(data, output_format, size)
    except AppException:
        raise  # the SDK tells the caller that the upload policy of the request itself can not be met
    except Exception as error:
        raise _logged(error, "upload_failed") from error


def _logged(error: Exception, reason: Reason) -> _Withheld:
    line = {"event": "undelivered", "reason": reason, "traceback": "".join(traceback.format_exception(error))}
    print(json.dumps(line), file=sys.stderr, flush=True)
    return _Withheld(reason)


def _nothing(undelivered: list[tuple[int, Reason]]) -> Exception:
    reasons = {reason for _, reason in undelivered}
    if reasons == {"content_policy"}:
        return ContentRefused("Every image made from this prompt is against the content policy of this app")
    return NothingDelivered(f"no image could be delivered ({', '.join(sorted(reasons)) or 'none was made'})")
