"""Prices of comparable endpoints: dated, sourced, and never more than a comparison."""

from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path
from statistics import quantiles
from typing import Any, Literal

import yaml

FACTS = Path(__file__).with_name("facts") / "anchors.yaml"
LEAST = 3  # comparable prices, below which a band says nothing

Kind = Literal["base", "lora", "style"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Anchor:
    """US dollars for a unit of an endpoint; `family` is that of its base, None where it is not known."""

    endpoint: str
    family: str | None
    kind: Kind
    unit: Literal["megapixel", "image"]
    usd: float
    seen: Literal["page", "elsewhere"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Band:
    """Quarter, middle, three quarters and highest of comparable prices, in US dollars for one image of a megapixel."""

    low: float
    middle: float
    high: float
    highest: float
    of: tuple[Anchor, ...]
    as_of: date
    note: str


@cache
def anchors() -> tuple[Anchor, ...]:
    return tuple(Anchor(**row) for row in _facts()["anchors"])


@cache
def as_of() -> date:
    day: date = _facts()["as_of"]
    return day


def band(family: str, *, known: tuple[Anchor, ...] | None = None) -> Band | None:
    """What callers pay for adapters on a base of this family; for any adapter, where too few are known. None without any.

    A megapixel stands for an image: the area of an image is capped at about one.
    """
    known = anchors() if known is None else known
    adapted = tuple(one for one in known if one.kind in ("lora", "style"))
    names = sorted({one.family for one in known if one.family is not None and family.startswith(one.family)}, key=len)
    near = tuple(one for one in adapted if names and one.family == names[-1])  # flux-2, not flux, for flux-2-klein
    chosen, note = (near, f"adapters on {family}") if len(near) >= LEAST else (adapted, "adapters on any base")
    if len(chosen) < LEAST:
        return None
    low, middle, high = quantiles([one.usd for one in chosen], n=4, method="inclusive")
    highest = max(one.usd for one in chosen)
    return Band(low=low, middle=middle, high=high, highest=highest, of=chosen, as_of=as_of(), note=note)


def _facts() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(FACTS.read_text(encoding="utf-8"))
    return loaded
