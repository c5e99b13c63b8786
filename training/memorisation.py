"""Does the adapter give its training pictures back? The nearest training picture of each sample, judged by what is usual. Pure.

Usual is, first, how near held-out pictures, which nobody trained on, lie to their own nearest training picture: a copy lies less
than half as far from one as the nearest held-out picture does, so that pictures that resemble each other (icons on white) set
their own bar. Usual is, second, what the plain base draws at the same caption and seed: a copy has also gone more than half of the
way from the base's picture to the training picture, so that what the base draws already is not put down to the adapter.
Half-remembered pictures show in numbers: against the base, samples of training captions come nearer to training pictures than
samples of held-out captions do by more than chance explains. What a style does to every caption alike cancels out in that.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.comparison import unmeasured
from training.distances import Distances

COPY = 0.5  # of the nearest held-out picture's distance, and of that of the base's picture

Gains = NDArray[np.float64]


def judged(
    drawn: Distances,
    plain: Distances,
    held_out: Distances,
    *,
    samples: Sequence[str],
    recalled: Sequence[str],
    pictures: Sequence[str],
) -> dict[str, Any]:
    """How near pictures come to the training pictures: `drawn` by the adapter, `plain` by the base, both [drawn, train], and
    `held_out` [held-out, train].

    Names: of `samples` (held-out captions) and, after them, of those `recalled` by training captions; of the training `pictures`.
    Unmeasured where a held-out picture is itself a copy.
    """
    usual, found, before = held_out.min(axis=1), drawn.min(axis=1), plain.min(axis=1)
    if not usual.min() > 0:
        return unmeasured("a held-out picture looks the same as a training picture, so there is nothing to judge by")
    bar = COPY * float(usual.min())
    nearest = drawn.argmin(axis=1)
    same = plain[np.arange(len(plain)), nearest]
    rows = [
        {"sample": name, "nearest": pictures[picture], "distance": float(apart), "base": float(base)}
        for name, picture, apart, base in zip((*samples, *recalled), nearest, found, same, strict=True)
    ]
    gains = before - found
    return {
        "held_out": {"nearest": float(usual.min()), "median": float(np.median(usual))},
        "bar": bar,
        "samples": rows,
        "below_bar": int((found < bar).sum()),
        "copies": int(((found < bar) & (found < COPY * same)).sum()),
        "nearer": int((found[len(samples) :] < usual.min()).sum()),
        "gain": {"held_out": _mean(gains[: len(samples)]), "trained": _mean(gains[len(samples) :])},
        "chance": chance_of_gains(gains[len(samples) :], gains[: len(samples)]),
    }


def chance_of_gains(trained: Gains, held_out: Gains) -> float:
    """Chance of gains at training captions that rank at least as high among all gains if both kinds were alike. (Wilcoxon 1945)

    Exact, over all ways to choose them; ties share their ranks. 1 where there is nothing to compare.
    """
    gains = np.concatenate([trained, held_out])
    ranks = (gains[:, None] > gains).sum(axis=1) + ((gains[:, None] == gains).sum(axis=1) + 1) / 2
    sums = np.array([sum(chosen) for chosen in combinations(ranks.tolist(), len(trained))])
    return float((sums >= ranks[: len(trained)].sum()).mean())


def _mean(gains: Gains) -> float | None:
    return float(gains.mean()) if len(gains) else None
