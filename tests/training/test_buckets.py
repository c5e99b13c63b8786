"""Buckets and batches: nothing is dropped, nothing is seen twice an epoch, and a resumed run meets the same batches."""

from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.data.buckets import batches, batches_from, bucket_of, buckets_for, cover, cropped_share, empty_places

SHAPES = [(64, 16), (96, 16), (512, 16), (512, 64), (1024, 16), (1024, 64), (16, 16)]


@pytest.mark.parametrize(("resolution", "multiple"), SHAPES)
def test_buckets_have_the_area_the_multiple_and_their_mirror_images(resolution: int, multiple: int) -> None:
    buckets = buckets_for(resolution, multiple)
    assert (resolution, resolution) in buckets
    for height, width in buckets:
        assert height % multiple == width % multiple == 0
        assert 0.75 <= height * width / resolution**2 <= 1.25
        assert (width, height) in buckets
    assert len(buckets) <= 33


@given(st.integers(1, 20_000), st.integers(1, 20_000))
def test_every_picture_has_a_bucket_and_is_cropped_never_padded(width: int, height: int) -> None:
    bucket = bucket_of(width, height, buckets_for(64, 16))
    left, top, right, bottom = cover(width, height, bucket)
    assert 0 <= left < right <= width
    assert 0 <= top < bottom <= height
    assert (right - left) / (bottom - top) == pytest.approx(bucket[1] / bucket[0])
    if 1 / 4 <= width / height <= 4:
        assert cropped_share(width, height, bucket) <= 0.36


def test_the_nearest_aspect_ratio_wins() -> None:
    buckets = buckets_for(1024, 64)
    assert bucket_of(500, 500, buckets) == (1024, 1024)
    assert bucket_of(1600, 400, buckets) == (512, 2048)
    assert bucket_of(400, 1600, buckets) == (2048, 512)


@given(st.lists(st.sampled_from([(1, 1), (2, 1), (1, 2)]), min_size=1, max_size=60), st.integers(1, 9), st.integers(0, 3))
def test_an_epoch_shows_each_picture_once_in_batches_of_one_bucket(
    buckets: list[tuple[int, int]], batch_size: int, epoch: int
) -> None:
    found = batches(buckets, batch_size, seed=1, epoch=epoch)
    assert sorted(index for batch in found for index in batch) == list(range(len(buckets)))
    for batch in found:
        assert len({buckets[index] for index in batch}) == 1
        assert 1 <= len(batch) <= batch_size


@given(st.lists(st.sampled_from([(1, 1), (2, 1)]), min_size=1, max_size=20), st.integers(1, 5), st.integers(0, 30))
def test_batches_from_a_later_step_are_those_of_an_unbroken_run(
    buckets: list[tuple[int, int]], batch_size: int, start: int
) -> None:
    unbroken = list(islice(batches_from(0, buckets, batch_size, seed=7), start + 10))
    assert list(islice(batches_from(start, buckets, batch_size, seed=7), 10)) == unbroken[start:]


def test_epochs_and_seeds_are_shuffled_differently() -> None:
    buckets = [(1, 1)] * 40
    orders = {str(batches(buckets, 4, seed=seed, epoch=epoch)) for seed in range(3) for epoch in range(3)}
    assert len(orders) == 9


@given(st.lists(st.sampled_from([(1, 1), (2, 1), (1, 2)]), max_size=60), st.integers(1, 9))
def test_empty_places_are_what_the_batches_of_an_epoch_lack(buckets: list[tuple[int, int]], batch_size: int) -> None:
    epoch = batches(buckets, batch_size, seed=1, epoch=0)
    assert empty_places(buckets, batch_size) == sum(batch_size - len(batch) for batch in epoch)
