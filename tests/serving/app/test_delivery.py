"""The way of a picture to the answer: side by side, in order, and each one's failure its own."""

import asyncio
import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from fal.exceptions import AppException
from fal.toolkit import Image
from PIL import Image as PIL

from serving.app.delivery import Delivery, Result, Way, deliver
from serving.app.errors import ContentRefused, GpuBroken, MarkingError, NothingDelivered, TimedOut
from serving.app.pictures import OutputFormat
from serving.app.runner.logs import Notes

OK, FLAGGED, UNCHECKABLE, UNMARKED, UNENCODABLE, UNSTORED = range(6)  # how wide a picture is says what happens to it
REASONS = {
    FLAGGED: "content_policy",
    UNCHECKABLE: "safety_check_failed",
    UNMARKED: "marking_failed",
    UNENCODABLE: "encode_failed",
    UNSTORED: "upload_failed",
}


class Checker:
    def flags(self, picture: PIL.Image) -> bool:
        if picture.width == 10 + UNCHECKABLE:
            raise RuntimeError("the checker lost its model")
        return picture.width == 10 + FLAGGED


def to_file(picture: PIL.Image, _format: OutputFormat) -> bytes:
    if picture.width == 10 + UNMARKED:
        raise MarkingError("no certificate")
    if picture.width == 10 + UNENCODABLE:
        raise OSError("encoder error -2")
    return bytes([picture.width])


def store(data: bytes, _format: OutputFormat, _size: tuple[int, int]) -> Image:
    if data == bytes([10 + UNSTORED]):
        raise ConnectionError("the storage does not answer")
    return Image(url=f"https://example.com/{data.hex()}", content_type="image/png")


def picture(kind: int) -> PIL.Image:
    return PIL.new("RGB", (10 + kind, 7))


def delivered(drawn: Sequence[Result], hand_out: Callable[..., Image] = store) -> tuple[Delivery, Notes]:
    notes = Notes()
    way = Way(checker=Checker(), file=to_file, hand_out=hand_out, output_format="png")
    return asyncio.run(deliver(drawn, way, notes)), notes


@pytest.mark.parametrize("kind", REASONS)
def test_what_fails_is_withheld_for_its_own_reason_and_nothing_else_is(kind: int) -> None:
    delivery, notes = delivered([picture(OK), picture(kind), picture(OK)])
    assert delivery.undelivered == ((1, REASONS[kind]),)
    assert notes.undelivered == (REASONS[kind],)
    assert [(one.index, one.width, one.height) for one in delivery.receipts] == [(0, 10, 7), (2, 10, 7)]
    assert len(delivery.images) == 2


def test_what_could_not_be_drawn_is_not_delivered_and_the_others_are() -> None:
    delivery, _ = delivered([ValueError("no"), picture(OK), TimedOut("late")])
    assert delivery.undelivered == ((0, "drawing_failed"), (2, "drawing_failed"))
    assert [one.index for one in delivery.receipts] == [1]


@pytest.mark.parametrize(
    ("drawn", "error", "says"),
    [
        ([FLAGGED, FLAGGED], ContentRefused, "content policy"),
        ([FLAGGED, UNMARKED], NothingDelivered, "content_policy, marking_failed"),
        ([ValueError("first"), TimedOut("second")], ValueError, "first"),
        ([ValueError("no"), FLAGGED], NothingDelivered, "content_policy, drawing_failed"),
        ([OK, GpuBroken("the GPU of this runner failed")], GpuBroken, "GPU"),
        ([OK, RuntimeError("CUDA error: an illegal memory access was encountered")], RuntimeError, "CUDA"),
    ],
)
def test_nothing_to_deliver_is_an_error_that_says_why(drawn: list[Any], error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        delivered([picture(one) if isinstance(one, int) else one for one in drawn])


def refuse_narrow(data: bytes, output_format: OutputFormat, size: tuple[int, int]) -> Image:
    if size[0] < 20:
        raise AppException("no such policy", 424)
    return store(data, output_format, size)


def test_an_upload_policy_that_refuses_one_picture_costs_only_that_one() -> None:
    wide = PIL.new("RGB", (20, 7))
    delivery, notes = delivered([picture(OK), wide, picture(FLAGGED)], refuse_narrow)
    assert delivery.undelivered == ((0, "upload_failed"), (2, "content_policy"))
    assert notes.undelivered == ("upload_failed", "content_policy")
    assert [one.index for one in delivery.receipts] == [1]


@pytest.mark.parametrize("drawn", [[OK], [OK, OK], [FLAGGED, OK], [OK, UNENCODABLE]])
def test_an_upload_policy_that_refuses_all_is_what_the_caller_hears_of(drawn: list[int]) -> None:
    with pytest.raises(AppException, match="no such policy"):
        delivered([picture(kind) for kind in drawn], refuse_narrow)


def test_pictures_go_their_way_side_by_side_and_stay_in_order() -> None:
    all_there = threading.Barrier(3, timeout=5)

    def wait(data: bytes, output_format: OutputFormat, size: tuple[int, int]) -> Image:
        all_there.wait()  # breaks unless three hand out at once
        return store(data, output_format, size)

    drawn = [PIL.new("RGB", (width, 7)) for width in (30, 20, 40)]
    delivery, _ = delivered(drawn, wait)
    assert [image.url.rpartition("/")[2] for image in delivery.images] == ["1e", "14", "28"]
    assert [(one.index, one.width) for one in delivery.receipts] == [(0, 30), (1, 20), (2, 40)]
