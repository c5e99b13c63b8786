"""Held-out losses over a run: which was the best, and when to wait no longer. Pure."""

from __future__ import annotations

from collections.abc import Sequence

Measurement = tuple[int, float]  # steps done, held-out loss then


def best_of(measured: Sequence[Measurement]) -> Measurement:
    """The least loss, the earliest where several are equal."""
    return min(measured, key=lambda measurement: (measurement[1], measurement[0]))


def exhausted(measured: Sequence[Measurement], patience: int | None) -> bool:
    """Whether the last `patience` measurements all missed the best one; never without patience."""
    return bool(patience and measured) and len(measured) - 1 - measured.index(best_of(measured)) >= (patience or 0)
