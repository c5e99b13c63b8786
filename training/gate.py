"""Whether an adapter may go on to be served: a decision over its evaluation, that of what is live in it, and the noise floor. Pure.

docs/evaluation.md tells of every check and of what it reads.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Outcome = Literal["promote", "reject", "review"]

CHECKS = (
    "held_out",
    "improvement",
    "sure",
    "strength_zero",
    "samples",
    "champion",
    "memorisation",
    "diversity",
    "drift",
    "prompt_score",
    "concept_score",
)
CHANCE = 1e-3  # below it, training captions that gain more nearness to training pictures than others are no accident
DEMANDED = frozenset({"held_out", "improvement", "sure", "strength_zero", "champion", "memorisation", "diversity"})


@dataclass(frozen=True, kw_only=True, slots=True)
class GatePolicy:
    """What is demanded; improvements are fractions of the base's loss (0.05: five per cent below it).

    A check whose limit is None is not made. What was not measured fails where the check is `demanded`, and passes where it is not.
    """

    held_out: int = 20
    improvement: float = 0.05
    review_from: float = 0.05  # a sure improvement from here up to `improvement` goes to a person; equal: no such band
    samples: int = 0
    beat_champion: bool = True
    noise_floor: float | None = None  # fraction of the champion's loss; None: as the twin run has it
    copies: int | None = 0
    diversity: float | None = 0.25  # least, as a fraction of the base's
    drift: float | None = None  # most, as a fraction of how far the adapter moves its own prompts
    prompt_drop: float | None = 0.05  # most, in CLIP-T
    concept_drop: float | None = 0.05  # most, in DINO, or CLIP-I where there is no DINO
    demanded: frozenset[str] = field(default=DEMANDED)


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """One demand, what it asks for alone, and a sentence for the report."""

    name: str
    outcome: Outcome
    sentence: str

    @property
    def passed(self) -> bool:
        return self.outcome == "promote"


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
    """Promote where every check passes, reject where one rejects, else review: nothing but what a person may judge is in doubt."""
    checks = (
        _held_out(evaluation, policy),
        _improvement(evaluation, policy),
        _sure(evaluation, policy),
        _harmless_when_off(evaluation, policy),
        _samples(evaluation, policy),
        _champion(evaluation, policy),
        _memorisation(evaluation, policy),
        _diversity(evaluation, policy),
        _drift(evaluation, policy),
        _prompt_score(evaluation, policy),
        _concept_score(evaluation, policy),
    )
    outcomes = {check.outcome for check in checks}
    outcome: Outcome = "reject" if "reject" in outcomes else "review" if "review" in outcomes else "promote"
    return GateDecision(outcome=outcome, checks=checks)


def _held_out(evaluation: Mapping[str, Any], policy: GatePolicy) -> Check:
    number = _number(evaluation, "held_out") or 0
    sentence = f"{number:g} held-out pictures measured, at least {policy.held_out} demanded"
    return _check("held_out", number >= policy.held_out, sentence)


def _improvement(evaluation: Mapping[str, Any], policy: GatePolicy) -> Check:
    relative = _number(evaluation, "loss", "relative")
    if relative is None:
        return _unmeasured("improvement", "held-out loss was not measured", policy)
    sentence = f"held-out loss {relative:+.1%} against the base, at least {policy.improvement:.1%} below it demanded"
    in_band = -policy.improvement < relative <= -policy.review_from
    return _check("improvement", relative <= -policy.improvement, sentence, otherwise="review" if in_band else "reject")


def _sure(evaluation: Mapping[str, Any], policy: GatePolicy) -> Check:
    high = _number(evaluation, "bootstrap", "high")
    if high is None:
        return _unmeasured("sure", "the bootstrap interval was not measured", policy)
    return _check("sure", high < 0, f"the 95 % interval of the difference ends at {high:+.4f}, below zero demanded")


def _harmless_when_off(evaluation: Mapping[str, Any], policy: GatePolicy) -> Check:
    equal = evaluation.get("strength_zero_equal")
    if not isinstance(equal, bool):
        return _unmeasured("strength_zero", "strength zero was not measured", policy)
    return _check("strength_zero", equal, f"at strength zero the base is {'unchanged' if equal else 'changed'}")


def _samples(evaluation: Mapping[str, Any], policy: GatePolicy) -> Check:
    number = len(evaluation.get("samples") or ())
    return _check("samples", number >= policy.samples, f"{number} samples, at least {policy.samples} demanded")


def _champion(evaluation: Mapping[str, Any], policy: GatePolicy) -> Check:
    """Better than what is live by more than chance; a better mean that is not sure goes to a person."""
    name = "champion"
    if not policy.beat_champion:
        return _unasked(name, "not asked whether it is better than what is live")
    if "champion" in evaluation and evaluation["champion"] is None:
        return _unasked(name, "nothing is live to be better than")
    relative, difference, high, loss = (
        _number(evaluation, name, *path) for path in (("relative",), ("difference",), ("bootstrap", "high"), ("loss",))
    )
    if relative is None or difference is None or high is None or loss is None:
        return _unmeasured(name, f"what is live was not measured{_reason(evaluation, name)}", policy)
    floor = _number(evaluation, "twin", "floor") if policy.noise_floor is None else policy.noise_floor * loss
    if floor is None:
        return _unmeasured(name, f"the noise floor was not measured{_reason(evaluation, 'twin')}", policy)
    found = f"held-out loss {relative:+.1%} against what is live (difference {difference:+.4f}, 95 % interval to {high:+.4f}, "
    found += f"noise floor {floor:.4f})"
    if difference >= 0:
        return _check(name, False, f"not better than what is live: {found}")
    if high >= 0 or -difference <= floor:
        return _check(name, False, f"inconclusive against what is live: {found}", otherwise="review")
    return _check(name, True, f"better than what is live: {found}")


def _memorisation(evaluation: Mapping[str, Any], policy: GatePolicy) -> Check:
    """Copies by hash always, by embedding where there is one; a person looks where training captions gain more than chance says."""
    name = "memorisation"
    if policy.copies is None:
        return _unasked(name, "not asked whether training pictures come back")
    counts = [_number(evaluation, name, way, "copies") for way in ("hash", "embedding")]
    if counts[0] is None:
        return _unmeasured(name, f"memorisation was not measured{_reason(evaluation, name, 'hash')}", policy)
    copies = max(count for count in counts if count is not None)
    chance = _number(evaluation, name, "hash", "chance")
    sentence = f"{copies:g} samples are copies, less than half as far from a training picture as any held-out picture and as the "
    sentence += f"base's picture; at most {policy.copies} allowed"
    if copies <= policy.copies and chance is not None and chance < CHANCE:
        sentence = "against the base, samples of training captions come nearer to training pictures than those of held-out "
        sentence += f"captions do, which chance explains with {chance:.0e}"
        return _check(name, False, sentence, otherwise="review")
    return _check(name, copies <= policy.copies, sentence)


def _diversity(evaluation: Mapping[str, Any], policy: GatePolicy) -> Check:
    if policy.diversity is None:
        return _unasked("diversity", "not asked how much pictures of one prompt differ")
    ratio = _number(evaluation, "diversity", "pixel", "ratio")
    if ratio is None:
        return _unmeasured("diversity", f"diversity was not measured{_reason(evaluation, 'diversity', 'pixel')}", policy)
    sentence = f"over seeds its pictures differ {ratio:.2f} times as much as the base's, at least {policy.diversity:.2f} demanded"
    return _check("diversity", ratio >= policy.diversity, sentence)


def _drift(evaluation: Mapping[str, Any], policy: GatePolicy) -> Check:
    if policy.drift is None:
        return _unasked("drift", "not asked how far it moves prompts without its trigger")
    if _at(evaluation, "drift", "trigger") is False:
        return _unmeasured("drift", "drift means nothing without a trigger: every prompt calls the adapter", policy)
    ratio = _number(evaluation, "drift", "pixel", "ratio")
    if ratio is None:
        return _unmeasured("drift", f"drift was not measured{_reason(evaluation, 'drift', 'pixel')}", policy)
    sentence = f"prompts without the trigger move {ratio:.2f} times as far as those with it, at most {policy.drift:.2f} allowed"
    return _check("drift", ratio <= policy.drift, sentence, otherwise="review")


def _prompt_score(evaluation: Mapping[str, Any], policy: GatePolicy) -> Check:
    return _score("prompt_score", evaluation, "clip_t", policy.prompt_drop, policy)


def _concept_score(evaluation: Mapping[str, Any], policy: GatePolicy) -> Check:
    seen = _number(evaluation, "scores", "dino", "adapter") is not None
    return _score("concept_score", evaluation, "dino" if seen else "clip_i", policy.concept_drop, policy)


def _score(name: str, evaluation: Mapping[str, Any], score: str, drop: float | None, policy: GatePolicy) -> Check:
    """Against what is live, or the base where nothing is: not lower by more than `drop`."""
    if drop is None:
        return _unasked(name, f"not asked for {score}")
    rival = "base" if _number(evaluation, "scores", score, "champion") is None else "champion"
    before, after = _number(evaluation, "scores", score, rival), _number(evaluation, "scores", score, "adapter")
    if before is None or after is None:
        return _unmeasured(name, f"{score} was not measured{_reason(evaluation, 'scores', score)}", policy)
    sentence = f"{score} {after:.3f} against {before:.3f} of the {rival}, at most {drop:.3f} lower allowed"
    return _check(name, after >= before - drop, sentence, otherwise="review")


def _check(name: str, holds: bool, sentence: str, *, otherwise: Outcome = "reject") -> Check:
    return Check(name=name, outcome="promote" if holds else otherwise, sentence=sentence)


def _unasked(name: str, sentence: str) -> Check:
    return Check(name=name, outcome="promote", sentence=sentence)


def _unmeasured(name: str, sentence: str, policy: GatePolicy) -> Check:
    return Check(name=name, outcome="reject" if name in policy.demanded else "promote", sentence=sentence)


def _reason(evaluation: Mapping[str, Any], *path: str) -> str:
    said = _at(evaluation, *path, "unmeasured")
    return f" ({said})" if isinstance(said, str) else ""


def _number(evaluation: Mapping[str, Any], *path: str) -> float | None:
    value = _at(evaluation, *path)
    measured = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return value if measured else None


def _at(evaluation: Mapping[str, Any], *path: str) -> Any:
    value: Any = evaluation
    for key in path:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value
