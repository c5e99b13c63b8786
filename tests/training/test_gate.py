"""Whether an adapter goes on to be served, as a table."""

import copy
from typing import Any

import pytest

from training.gate import GatePolicy, decide

GOOD: dict[str, Any] = {
    "held_out": 20,
    "loss": {"base": 0.5, "adapter": 0.45, "relative": -0.1},
    "bootstrap": {"low": -0.06, "high": -0.04},
    "strength_zero_equal": True,
    "samples": [{}] * 8,
}
BAND = GatePolicy(review_from=0.02)


def changed(*path: str, to: object) -> dict[str, Any]:
    evaluation = copy.deepcopy(GOOD)
    place = evaluation
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = to
    return evaluation


CASES = [
    (GOOD, GatePolicy(), "promote", None),
    (changed("loss", "relative", to=-0.05), GatePolicy(), "promote", None),
    (changed("loss", "relative", to=-0.049), GatePolicy(), "reject", "improvement"),
    (changed("loss", "relative", to=-0.049), BAND, "review", "improvement"),
    (changed("loss", "relative", to=-0.01), BAND, "reject", "improvement"),
    (changed("bootstrap", "high", to=0.0), GatePolicy(), "reject", "sure"),
    (changed("held_out", to=19), GatePolicy(), "reject", "held_out"),
    (changed("held_out", to=19), GatePolicy(held_out=5), "promote", None),
    (changed("strength_zero_equal", to=False), GatePolicy(), "reject", "strength_zero"),
    (changed("samples", to=[]), GatePolicy(samples=8), "reject", "samples"),
    (changed("loss", "relative", to=None), BAND, "reject", "improvement"),
    (changed("loss", "relative", to=float("nan")), BAND, "reject", "improvement"),
    (changed("loss", to=None), BAND, "reject", "improvement"),
    (changed("bootstrap", "high", to=None), BAND, "reject", "sure"),
    (changed("strength_zero_equal", to=None), BAND, "reject", "strength_zero"),
    (changed("held_out", to=True), BAND, "reject", "held_out"),
]


@pytest.mark.parametrize(("evaluation", "policy", "outcome", "failed"), CASES)
def test_decisions(evaluation: dict[str, Any], policy: GatePolicy, outcome: str, failed: str | None) -> None:
    decision = decide(evaluation, policy)
    assert decision.outcome == outcome
    assert [check.name for check in decision.checks if not check.passed] == ([failed] if failed else [])


def test_an_empty_evaluation_is_rejected_with_a_sentence_for_each_check() -> None:
    decision = decide({}, GatePolicy(samples=1))
    assert decision.outcome == "reject"
    assert not any(check.passed for check in decision.checks)
    assert decision.sentence.count(";") == len(decision.checks) - 1


def test_a_weak_and_unsure_adapter_is_no_matter_for_review() -> None:
    weak = changed("loss", "relative", to=-0.03) | {"bootstrap": {"high": 0.01}}
    assert decide(weak, BAND).outcome == "reject"
