"""Whether an adapter may go on to be served: a decision over its evaluation. Pure."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Outcome = Literal["promote", "reject", "review"]


@dataclass(frozen=True, kw_only=True, slots=True)
class GatePolicy:
    """What is demanded; improvements are fractions of the base's loss (0.05: five per cent below it)."""

    held_out: int = 20
    improvement: float = 0.05
    review_from: float = 0.05  # a sure improvement from here up to `improvement` goes to a person; equal: no such band
    samples: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """One demand and whether it holds, with a sentence for the report."""

    name: str
    passed: bool
    sentence: str


@dataclass(frozen=True, kw_only=True, slots=True)
class GateDecision:
    """The outcome and all checks behind it, passed ones too."""

    outcome: Outcome
    checks: tuple[Check, ...]

    @property
    def sentence(self) -> str:
        """All that failed, in one line."""
        failed = [check.sentence for check in self.checks if not check.passed]
        return "; ".join(failed) if failed else "every check passed"


def decide(evaluation: Mapping[str, Any], policy: GatePolicy) -> GateDecision:
    """Promote where every check passes; what is demanded and was not measured counts as failed.

    Review only where nothing but the size of a sure improvement is in doubt, and the policy has such a band.
    """
    improvement = _improvement(evaluation, policy)
    checks = (
        _held_out(evaluation, policy),
        improvement,
        _sure(evaluation),
        _harmless_when_off(evaluation),
        _samples(evaluation, policy),
    )
    if all(check.passed for check in checks):
        return GateDecision(outcome="promote", checks=checks)
    relative = _number(evaluation, "loss", "relative")
    in_band = relative is not None and relative <= -policy.review_from
    only_size = in_band and all(check.passed for check in checks if check is not improvement)
    return GateDecision(outcome="review" if only_size else "reject", checks=checks)


def _held_out(evaluation: Mapping[str, Any], policy: GatePolicy) -> Check:
    number = _number(evaluation, "held_out") or 0
    sentence = f"{number:g} held-out pictures measured, at least {policy.held_out} demanded"
    return Check(name="held_out", passed=number >= policy.held_out, sentence=sentence)


def _improvement(evaluation: Mapping[str, Any], policy: GatePolicy) -> Check:
    relative = _number(evaluation, "loss", "relative")
    if relative is None:
        return Check(name="improvement", passed=False, sentence="held-out loss was not measured")
    sentence = f"held-out loss {relative:+.1%} against the base, at least {policy.improvement:.1%} below it demanded"
    return Check(name="improvement", passed=relative <= -policy.improvement, sentence=sentence)


def _sure(evaluation: Mapping[str, Any]) -> Check:
    high = _number(evaluation, "bootstrap", "high")
    if high is None:
        return Check(name="sure", passed=False, sentence="the bootstrap interval was not measured")
    return Check(
        name="sure", passed=high < 0, sentence=f"the 95 % interval of the difference ends at {high:+.4f}, below zero demanded"
    )


def _harmless_when_off(evaluation: Mapping[str, Any]) -> Check:
    equal = evaluation.get("strength_zero_equal")
    sentence = {True: "at strength zero the base is unchanged", False: "at strength zero the base is changed"}
    said = sentence[equal] if isinstance(equal, bool) else "strength zero was not measured"
    return Check(name="strength_zero", passed=equal is True, sentence=said)


def _samples(evaluation: Mapping[str, Any], policy: GatePolicy) -> Check:
    number = len(evaluation.get("samples") or ())
    return Check(name="samples", passed=number >= policy.samples, sentence=f"{number} samples, at least {policy.samples} demanded")


def _number(evaluation: Mapping[str, Any], *path: str) -> float | None:
    value: Any = evaluation
    for key in path:
        value = value.get(key) if isinstance(value, Mapping) else None
    measured = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return value if measured else None
