"""Aspect-ratio buckets that drop nothing, and batches built within them. Pure."""

import math
import random
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

LONGEST = 4.0  # aspect ratios beyond 1:4 are cropped to it
Bucket = tuple[int, int]  # height, width


def buckets_for(resolution: int, multiple: int) -> tuple[Bucket, ...]:
    """Buckets of about resolution squared pixels, one for each shorter side, sides divisible by `multiple`; 1:4 is the longest."""
    step = max(multiple, resolution // 16 // multiple * multiple)
    side = max(step, resolution // step * step)
    shorter = range(step, side + 1, step)
    shapes = {(short, round(side * side / short / step) * step) for short in shorter if side * side <= LONGEST * short * short}
    return tuple(sorted(shapes | {(width, height) for height, width in shapes}))


def bucket_of(width: int, height: int, buckets: Sequence[Bucket]) -> Bucket:
    """The bucket whose aspect ratio is nearest to the picture's."""
    return min(buckets, key=lambda bucket: (abs(math.log(width * bucket[0] / (height * bucket[1]))), bucket))


def cover(width: int, height: int, bucket: Bucket) -> tuple[float, float, float, float]:
    """The centred box (left, top, right, bottom) of the picture that has the bucket's aspect ratio."""
    tall, wide = bucket
    scale = min(width / wide, height / tall)
    left, top = (width - wide * scale) / 2, (height - tall * scale) / 2
    return left, top, width - left, height - top


def cropped_share(width: int, height: int, bucket: Bucket) -> float:
    """The share of the picture's pixels that the crop loses, 0 to 1."""
    left, top, right, bottom = cover(width, height, bucket)
    return max(0.0, 1.0 - (right - left) * (bottom - top) / (width * height))


def empty_places(buckets: Iterable[Bucket], batch_size: int) -> int:
    """Places that stay empty in one epoch's batches: each bucket's last batch may be short."""
    return sum(-count % batch_size for count in Counter(buckets).values())


def batches(buckets: Sequence[Bucket], batch_size: int, *, seed: int, epoch: int) -> list[list[int]]:
    """Indices of one epoch in batches of one bucket each; every picture once, the last batch of a bucket may be short."""
    order = random.Random(f"{seed}/{epoch}")
    groups: dict[Bucket, list[int]] = {}
    for index, bucket in enumerate(buckets):
        groups.setdefault(bucket, []).append(index)
    epoch_batches = []
    for bucket in sorted(groups):
        members = groups[bucket]
        order.shuffle(members)
        epoch_batches += [members[start : start + batch_size] for start in range(0, len(members), batch_size)]
    order.shuffle(epoch_batches)
    return epoch_batches


def batches_from(step: int, buckets: Sequence[Bucket], batch_size: int, *, seed: int) -> Iterator[list[int]]:
    """Batches from a step (0-based) on, without end: functions of seed and step alone, so that a resumed run meets the same."""
    counts = Counter(buckets)
    epoch, position = divmod(step, sum(-(-count // batch_size) for count in counts.values()))
    while True:
        yield from batches(buckets, batch_size, seed=seed, epoch=epoch)[position:]
        epoch, position = epoch + 1, 0
