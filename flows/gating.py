"""The gate of a job: its policy, and what a decision means for the run."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from flows.errors import GateRejected
from flows.job import Gate
from flows.progress import say

if TYPE_CHECKING:
    from training.gate import Check, GateDecision, GatePolicy

LEARNING = frozenset({"held_out", "improvement", "sure", "champion"})  # checks that ask whether the adapter learned
MAY_HELP = "More steps, more pictures (dataset.held_out, gate.min_held_out) or another learning rate may help"


def require_accepted(gate: Gate, evaluation: Mapping[str, Any], *, adopted: bool = False, asks: bool = False) -> "GateDecision":
    """The decision, where it lets the run go on; GateRejected with the sentences of the failed checks where it does not.

    `adopted`: trained elsewhere, perhaps on pictures that nobody has here, so that memorisation may stay unmeasured.
    `asks`: a person is asked before the deploy where only a person can judge.
    """
    from training.gate import decide

    decision = decide(evaluation, policy_of(gate, adopted=adopted))
    left = not_waived(gate, decision)
    if not gate.require_learned and decision.outcome != "promote":
        say(f"! gate        not asked whether the adapter learned (gate.require_learned: false): {decision.sentence}")
    if any(check.outcome == "reject" for check in left):
        raise GateRejected(f"the adapter was not accepted: {decision.sentence}. {MAY_HELP}")
    if left and gate.review == "stop" and asks:
        say(f"! gate        a person is asked before the deploy: {decision.sentence}")
    elif left and gate.review == "stop":
        raise GateRejected(
            f"the adapter needs a person's judgement: {decision.sentence}. Look at its samples; gate.review: accept lets it pass"
        )
    elif left:
        say(f"! gate        accepted as the job says (gate.review: accept): {decision.sentence}")
    return decision


def is_doubtful(gate: Gate, decision: "GateDecision") -> bool:
    """Whether a decision that did not end the run is for a person to judge, and the job does not say that it passes."""
    return gate.review == "stop" and bool(not_waived(gate, decision))


def not_waived(gate: Gate, decision: "GateDecision") -> "list[Check]":
    """The checks that did not pass, less those that the job does not ask for."""
    waived = frozenset[str]() if gate.require_learned else LEARNING
    return [check for check in decision.checks if not check.passed and check.name not in waived]


def policy_of(gate: Gate, *, adopted: bool = False) -> "GatePolicy":
    """The policy that a job's gate section describes."""
    from training.gate import DEMANDED, GatePolicy

    return GatePolicy(
        held_out=gate.min_held_out,
        improvement=gate.min_improvement,
        review_from=gate.min_improvement if gate.review_from is None else gate.review_from,
        beat_champion=gate.beat_champion,
        noise_floor=gate.noise_floor,
        copies=gate.max_copies,
        diversity=gate.min_diversity,
        drift=gate.max_drift,
        prompt_drop=gate.max_prompt_drop,
        concept_drop=gate.max_concept_drop,
        demanded=DEMANDED - ({"memorisation"} if adopted else set()) | frozenset(gate.demand),
    )
