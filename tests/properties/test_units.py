"""Billable units: each unit's own invariant, exactly, for whatever was delivered."""

from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from serving.app.billing import (
    MEGAPIXEL,
    TEXT_CHUNK,
    BillingUnit,
    Delivered,
    Receipt,
    units_for,
    units_of_response,
    units_per_text_chunk,
    units_per_video_second,
    with_units,
)

UNITS: tuple[BillingUnit, ...] = get_args(BillingUnit)

sides = st.one_of(st.integers(1, 4096), st.sampled_from([1, 1023, 1024, 1025, 2048, 14142, 2**40, 2**40 + 1]))
images = st.lists(st.builds(Delivered, index=st.integers(0, 9), width=sides, height=sides), max_size=6)
rates = st.one_of(st.sampled_from([Fraction(24), Fraction(30000, 1001), Fraction(1, 3)]), st.fractions(Fraction(1, 10), 240))
clips = st.lists(st.tuples(st.integers(0, 100_000), rates), max_size=5)
quickly = hypothesis_settings(deadline=None, max_examples=150, derandomize=True)


@pytest.mark.parametrize("unit", UNITS)
@given(images=images, more=images)
@quickly
def test_every_unit_is_an_integer_that_only_grows_with_what_is_delivered(
    unit: BillingUnit, images: list[Delivered], more: list[Delivered]
) -> None:
    units = units_for(images, unit)
    assert type(units) is int
    assert (units == 0) == (not images)
    assert units <= units_for([*images, *more], unit)
    assert units == units_for([*reversed(images)], unit)


@given(images=images)
@quickly
def test_per_image_units_are_the_images_delivered(images: list[Delivered]) -> None:
    assert units_for(images, "image") == len(images)


@given(images=images, more=images)
@quickly
def test_per_megapixel_an_image_costs_the_same_alone_and_among_others(images: list[Delivered], more: list[Delivered]) -> None:
    together = units_for([*images, *more], "megapixel")
    assert together == units_for(images, "megapixel") + units_for(more, "megapixel")
    assert together == sum(units_for([one], "megapixel") for one in [*images, *more])


@given(width=sides, height=sides)
@quickly
def test_per_megapixel_an_image_is_rounded_up_by_less_than_one(width: int, height: int) -> None:
    units = units_for([Delivered(index=0, width=width, height=height)], "megapixel")
    assert (units - 1) * MEGAPIXEL < width * height <= units * MEGAPIXEL
    assert units <= units_for([Delivered(index=0, width=width + 1, height=height)], "megapixel")


@given(images=images)
@quickly
def test_per_request_there_is_one_unit_for_anything(images: list[Delivered]) -> None:
    assert units_for(images, "request") == (1 if images else 0)


@given(clips=clips)
@quickly
def test_video_seconds_are_exact_and_rounded_up_clip_by_clip(clips: Sequence[tuple[int, Fraction]]) -> None:
    units = units_per_video_second(clips)
    assert type(units) is int
    assert units == sum(units_per_video_second([clip]) for clip in clips)
    for frames, rate in clips:
        alone = units_per_video_second([(frames, rate)])
        assert (alone - 1) * rate < frames <= alone * rate
        assert alone <= units_per_video_second([(frames + 1, rate)])
        assert (alone == 0) == (frames == 0)


@pytest.mark.parametrize("rate", [Fraction(0), Fraction(-1, 2)])
def test_a_clip_without_a_rate_has_no_seconds(rate: Fraction) -> None:
    with pytest.raises(ValueError, match="frames a second"):
        units_per_video_second([(1, rate)])


@given(text=st.text(max_size=3000), cuts=st.lists(st.integers(0, 3000), max_size=5))
@quickly
def test_text_costs_the_same_however_it_is_cut(text: str, cuts: list[int]) -> None:
    edges = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    pieces = [text[start:end] for start, end in pairwise(edges)]
    units = units_per_text_chunk(pieces)
    assert units == units_per_text_chunk([text])
    assert (units - 1) * TEXT_CHUNK < len(text) <= units * TEXT_CHUNK
    assert units <= units_per_text_chunk([text, "more"])


@pytest.mark.parametrize("unit", UNITS)
@given(images=images, status=st.integers(100, 599))
@quickly
def test_only_a_success_is_billed(unit: BillingUnit, images: list[Delivered], status: int) -> None:
    units = units_of_response(status, Receipt(images=tuple(images)), unit)
    assert units == (units_for(images, unit) if status // 100 == 2 else 0)


names = st.sampled_from([b"x-fal-billable-units", b"X-Fal-Billable-Units", b"X-FAL-BILLABLE-UNITS", b"content-type", b"x-other"])


@given(headers=st.lists(st.tuples(names, st.binary(max_size=5)), max_size=6), units=st.integers(0, 10**12))
@quickly
def test_there_is_one_statement_of_units_and_nothing_else_is_touched(headers: list[tuple[bytes, bytes]], units: int) -> None:
    *others, last = with_units(headers, units)
    assert last == (b"x-fal-billable-units", str(units).encode())
    assert others == [(name, value) for name, value in headers if name.lower() != last[0]]
