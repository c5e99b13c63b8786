"""Does the adapter give its training pictures back? The nearest training picture of each sample, judged by what is usual. Pure.

Usual is how near held-out pictures, which nobody trained on, lie to their own nearest training picture. A sample is called a copy
where it lies less than half as far from one as the nearest held-out picture does, so that pictures that resemble each other
(icons on white) set their own bar. Half-remembered pictures show in numbers: more samples of training captions lie nearer than
every held-out picture than chance explains.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import comb
from typing import Any

import numpy as np

from training.comparison import unmeasured
from training.distances import Distances

COPY = 0.5  # of the nearest held-out picture's distance


def judged(
    drawn: Distances, held_out: Distances, *, samples: Sequence[str], recalled: Sequence[str], pictures: Sequence[str]
) -> dict[str, Any]:
    """Distances of drawn pictures [drawn, train] and of held-out ones [held-out, train] to the training pictures, judged.

    Names: of `samples` and, after them, of those `recalled` by training captions; of the training `pictures`.
    Unmeasured where a held-out picture is itself a copy.
    """
    usual, found = held_out.min(axis=1), drawn.min(axis=1)
    if not usual.min() > 0:
        return unmeasured("a held-out picture looks the same as a training picture, so there is nothing to judge by")
    bar = COPY * float(usual.min())
    rows = [
        {"sample": name, "nearest": pictures[int(row.argmin())], "distance": float(row.min())}
        for name, row in zip((*samples, *recalled), drawn, strict=True)
    ]
    nearer = int((found[len(samples) :] < usual.min()).sum())
    return {
        "held_out": {"nearest": float(usual.min()), "median": float(np.median(usual))},
        "bar": bar,
        "samples": rows,
        "copies": int((found < bar).sum()),
        "nearer": nearer,
        "chance": chance_of_nearer(nearer, len(recalled), len(usual)),
    }


def chance_of_nearer(nearer: int, samples: int, held_out: int) -> float:
    """Chance that at least `nearer` samples are nearer than every held-out picture if both were alike: an exact rank test."""
    return comb(samples, nearer) / comb(samples + held_out, nearer)
