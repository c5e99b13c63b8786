"""The gate of a job: its policy, and what a decision means for the run."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from flows.errors import GateRejected
from flows.job import Gate
from flows.progress import say

if TYPE_CHECKING:
    from training.gate import GateDecision, GatePolicy

LEARNING = frozenset({"held_out", "improvement", "sure", "champion"})  # checks that ask whether the adapter learned
MAY_HELP = "More steps, more pictures (dataset.held_out, gate.min_held_out) or another learning rate may help"


def require_accepted(gate: Gate, evaluation: Mapping[str, Any], *, adopted: bool = False) -> "GateDecision":
    """The decision, where it lets the run go on; GateRejected with the sentences of the failed checks where it does not.

    `adopted`: trained elsewhere, perhaps on pictures that nobody has here, so that memorisation may stay unmeasured.
    """
    from training.gate import decide

    decision = decide(evaluation, policy_of(gate, adopted=adopted))
    waived = frozenset() if gate.require_learned else LEARNING
    failed = [check for check in decision.checks if not check.passed]
    if waived and failed:
        say(f"! gate        not asked whether the adapter learned (gate.require_learned: false): {decision.sentence}")
    left = [check for check in failed if check.name not in waived]
    if any(check.outcome == "reject" for check in left):
        raise GateRejected(f"the adapter was not accepted: {decision.sentence}. {MAY_HELP}")
    if left and gate.review == "stop":
        raise GateRejected(
            f"the adapter needs a person's judgement: {decision.sentence}. Look at its samples; gate.review: accept lets it pass"
        )
    if left:
        say(f"! gate        accepted as the job says (gate.review: accept): {decision.sentence}")
    return decision


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
