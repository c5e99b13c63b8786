"""What a decision of the gate means for the run: go on, say so, or end with exit code 4."""

from typing import Any

import pytest

from flows.errors import GateRejected
from flows.gating import policy_of, require_accepted
from flows.job import Gate
from tests.training.test_gate import GOOD, champion, changed
from training.gate import DEMANDED, GatePolicy

WORSE, UNSURE = champion(0.02, 0.03), champion(-0.02, 0.01)


def test_the_defaults_of_a_job_are_those_of_the_policy() -> None:
    assert policy_of(Gate()) == GatePolicy()


def test_every_field_reaches_the_policy() -> None:
    gate = Gate(
        min_held_out=3,
        min_improvement=0.2,
        review_from=0.1,
        beat_champion=False,
        noise_floor=0.01,
        max_copies=None,
        min_diversity=0.5,
        max_drift=0.6,
        max_prompt_drop=None,
        max_concept_drop=0.01,
        demand=("drift",),
    )
    assert policy_of(gate) == GatePolicy(
        held_out=3,
        improvement=0.2,
        review_from=0.1,
        beat_champion=False,
        noise_floor=0.01,
        copies=None,
        diversity=0.5,
        drift=0.6,
        prompt_drop=None,
        concept_drop=0.01,
        demanded=DEMANDED | {"drift"},
    )


@pytest.mark.parametrize(
    ("gate", "evaluation", "said"),
    [
        (Gate(), WORSE, "not accepted: not better than what is live"),
        (Gate(review="accept"), WORSE, "not accepted: not better than what is live"),
        (Gate(), UNSURE, "needs a person's judgement: inconclusive against what is live"),
        (Gate(demand=("prompt_score",)), changed("scores", "clip_t", to={"unmeasured": "no CLIP"}), "clip_t was not measured"),
        (Gate(require_learned=False), changed("diversity", "pixel", "ratio", to=0.1), "over seeds its pictures differ 0.10"),
    ],
)
def test_a_rejection_and_a_review_end_the_run_with_code_4(gate: Gate, evaluation: dict[str, Any], said: str) -> None:
    with pytest.raises(GateRejected, match=said) as caught:
        require_accepted(gate, evaluation)
    assert caught.value.exit_code == 4


@pytest.mark.parametrize(
    ("gate", "evaluation", "outcome"),
    [
        (Gate(), GOOD, "promote"),
        (Gate(review="accept"), UNSURE, "review"),
        (Gate(beat_champion=False), WORSE, "promote"),
        (Gate(require_learned=False), WORSE, "reject"),
        (Gate(require_learned=False), changed("loss", "relative", to=None), "reject"),
    ],
)
def test_what_passes_says_why_where_a_check_failed(
    gate: Gate, evaluation: dict[str, Any], outcome: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert require_accepted(gate, evaluation).outcome == outcome
    assert ("! gate" in capsys.readouterr().err) == (outcome != "promote")


def test_an_adapter_from_elsewhere_may_leave_memorisation_unmeasured() -> None:
    evaluation = changed("memorisation", to={"hash": {"unmeasured": "no training picture is here"}})
    assert require_accepted(Gate(), evaluation, adopted=True).outcome == "promote"
    with pytest.raises(GateRejected, match="no training picture is here"):
        require_accepted(Gate(), evaluation)
