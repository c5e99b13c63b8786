"""What a release may cost in seconds and failures, judged on measured numbers alone."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

SLACK_SECONDS: Final = 2.0  # what one request may be late by for reasons that are nobody's fault


@dataclass(frozen=True, kw_only=True, slots=True)
class Budget:
    """What a rollout is held to.

    latency_factor: median seconds of the candidate over those of what is live. latency_seconds: an absolute limit of that median,
    None where there is none. error_budget: share of requests that may fail (5xx). watch_minutes: how long a promoted release is
    on probation. min_requests: how many requests callers must have made before their failures are judged.
    """

    latency_factor: float = 2.0
    latency_seconds: float | None = None
    error_budget: float = 0.05
    watch_minutes: float = 10.0
    min_requests: int = 20


USUAL: Final = Budget()


@dataclass(frozen=True, kw_only=True, slots=True)
class Judgement:
    """`ok` also where there was too little to judge by, which `judged` tells; `text` has the figures in words."""

    ok: bool
    judged: bool
    text: str
    figures: dict[str, Any]


def latency(candidate: Sequence[float], live: Sequence[float], budget: Budget) -> Judgement:
    """Median seconds of the candidate's requests against the live release's for the same requests, and the absolute limit."""
    if not candidate:
        return Judgement(ok=True, judged=False, text="no request was timed", figures={})
    took = statistics.median(candidate)
    limits = {}
    if live:
        limits[f"{budget.latency_factor:g} times the live release's {statistics.median(live):.2f} s"] = allowed(live, budget)
    if budget.latency_seconds is not None:
        limits["the limit"] = budget.latency_seconds
    figures = {
        "seconds": round(took, 3),
        "live_seconds": round(statistics.median(live), 3) if live else None,
        "allowed_seconds": round(min(limits.values()), 3) if limits else None,
    }
    if not limits:
        return Judgement(ok=True, judged=False, text=f"median {took:.2f} s; there is nothing to compare with", figures=figures)
    what, limit = min(limits.items(), key=lambda item: item[1])
    text = f"median {took:.2f} s of {len(candidate)} requests, allowed are {limit:.2f} s ({what})"
    return Judgement(ok=took <= limit, judged=True, text=text, figures=figures)


def allowed(live: Sequence[float], budget: Budget) -> float:
    """Seconds that the median may take next to a live release with these."""
    return budget.latency_factor * statistics.median(live) + SLACK_SECONDS


def failures(requests: int, failed: int, *, share: float, at_least: int = 1) -> Judgement:
    """Failed requests against the share that may fail; fewer requests than `at_least` are not judged."""
    figures = {"requests": requests, "failed": failed, "budget": share}
    counted = f"{failed} of {requests} requests failed"
    if requests < at_least:
        return Judgement(ok=True, judged=False, text=f"{counted}; judged from {at_least} requests on", figures=figures)
    text = f"{counted} ({failed / requests:.1%}), the error budget is {share:.1%}"
    return Judgement(ok=failed <= share * requests, judged=True, text=text, figures=figures)
