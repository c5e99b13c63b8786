"""What paired losses say: base against adapter, what is live against what is new, and how far two equal runs differ. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

LEARNED_PICTURES, LEARNED_BELOW = 20, -0.05  # fewest held-out pictures, relative loss at most
RESAMPLES, SEED = 10_000, 0

Losses = NDArray[np.float64]  # [pictures, levels], or [pictures] where levels are averaged


def verdict(base: Losses, adapter: Losses) -> dict[str, Any]:
    """The fields loss, bootstrap and learned from the paired losses [pictures]; unmeasured (None) without pictures."""
    if len(base) == 0:
        return {"loss": {"base": None, "adapter": None, "relative": None}, "bootstrap": interval(base), "learned": False}
    relative = float(adapter.mean() / base.mean() - 1)
    spread = interval(adapter - base)
    return {
        "loss": {"base": float(base.mean()), "adapter": float(adapter.mean()), "relative": relative},
        "bootstrap": spread,
        "learned": len(base) >= LEARNED_PICTURES and relative <= LEARNED_BELOW and spread["high"] < 0,
    }


def against(champion: Losses, adapter: Losses) -> dict[str, Any]:
    """The new adapter's loss against that of the live one, on the same pictures [pictures]."""
    if len(champion) == 0:
        return unmeasured("no picture was held out")
    difference = adapter - champion
    return {
        "loss": float(champion.mean()),
        "difference": float(difference.mean()),
        "relative": float(adapter.mean() / champion.mean() - 1),
        "bootstrap": interval(difference),
    }


def noise_floor(adapter: Losses, twin: Losses) -> dict[str, Any]:
    """How large a difference of mean loss two trainings of one recipe make: the far end of its bootstrap interval."""
    if len(adapter) == 0:
        return unmeasured("no picture was held out")
    spread = interval(twin - adapter)
    return {"floor": max(abs(spread["low"]), abs(spread["high"])), "loss": float(twin.mean()), "bootstrap": spread}


def by_level(columns: Mapping[str, Losses]) -> list[dict[str, float]]:
    """Mean loss of each column [pictures, levels] at each noise level; empty without pictures."""
    from training.validation import SIGMAS  # which loads torch; who asks what decides a score needs none

    if not all(len(losses) for losses in columns.values()):
        return []
    means = {name: losses.mean(axis=0) for name, losses in columns.items()}
    return [{"sigma": sigma} | {name: float(mean[level]) for name, mean in means.items()} for level, sigma in enumerate(SIGMAS)]


def interval(differences: Losses) -> dict[str, Any]:
    """`paired_bootstrap` with how it was drawn; None without pictures."""
    if len(differences) == 0:
        return {"low": None, "high": None, "samples": 0, "seed": SEED}
    low, high = paired_bootstrap(differences)
    return {"low": low, "high": high, "samples": RESAMPLES, "seed": SEED}


def paired_bootstrap(differences: Losses) -> tuple[float, float]:
    """95 % percentile interval of the mean difference over resampled pictures, with a fixed seed. (Efron 1979)"""
    chosen = np.random.default_rng(SEED).integers(len(differences), size=(RESAMPLES, len(differences)))
    low, high = np.percentile(differences[chosen].mean(axis=1), [2.5, 97.5])
    return float(low), float(high)


def unmeasured(reason: str) -> dict[str, Any]:
    """What stands in an evaluation in place of figures that are not there."""
    return {"unmeasured": reason}
