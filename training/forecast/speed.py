"""Seconds and money of a step on a GPU: operations over peak, times what published trainers reach. Ranges, never points. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from itertools import pairwise
from typing import Any

import yaml

Range = tuple[float, float]  # low, high


@dataclass(frozen=True, kw_only=True, slots=True)
class Gpu:
    """A GPU: bytes, dense bfloat16 operations a second, and fal's lowest and list rate where they are known."""

    name: str
    memory: float
    peak: float
    usd_per_second: tuple[float, float | None] | None = None


def gpus() -> tuple[Gpu, ...]:
    """The GPUs of training/facts/gpus.yaml, smallest first."""
    return tuple(
        Gpu(
            name=row["name"],
            memory=row["memory"] * 1e9,
            peak=row["peak"] * 1e12,
            usd_per_second=tuple(row["usd_per_second"]) if "usd_per_second" in row else None,
        )
        for row in facts()["gpus"]
    )


def seconds_per_step(flops: float, peak: float, *, operations: float = 0, precision: str = "bf16") -> Range:
    """Seconds of a step on a GPU of `peak` operations a second, from published utilisations.

    `flops` counts floating point operations, `operations` the calls that make them: no eager step is faster than its calls.
    """
    floor = flops / peak
    low, high = utilisation(floor)
    slower = facts()["quantised_speed"].get(precision, 1.0)
    calls = operations * facts()["host_microseconds"]["value"] * 1e-6
    return floor / high / slower, max(floor / low / slower, calls)


def utilisation(floor: float) -> Range:
    """Share of the peak, lowest and highest published, for a step that would take `floor` seconds at the peak."""
    rows = facts()["utilisation"]
    return _between(rows, floor * 1e3, "low"), _between(rows, floor * 1e3, "high")


def cost(seconds: Range, rate: tuple[float, float | None] | None) -> Range | None:
    """Dollars: the least time at the lowest rate to the most time at the highest rate that is known; None without a rate."""
    if rate is None:
        return None
    lowest, listed = rate
    return seconds[0] * lowest, seconds[1] * (listed or lowest)


@cache
def facts() -> Mapping[str, Any]:
    """training/facts/gpus.yaml, parsed."""
    parsed: dict[str, Any] = yaml.safe_load((files("training") / "facts" / "gpus.yaml").read_text(encoding="utf-8"))
    return parsed


def _between(rows: Sequence[Mapping[str, float]], at: float, column: str) -> float:
    """The column at `at`, interpolated in the logarithms of both; the first and last value beyond the ends."""
    if at <= rows[0]["floor_ms"]:
        return rows[0][column]
    for left, right in pairwise(rows):
        if at <= right["floor_ms"]:
            part = math.log(at / left["floor_ms"]) / math.log(right["floor_ms"] / left["floor_ms"])
            return float(left[column] * (right[column] / left[column]) ** part)
    return rows[-1][column]
