"""Whether an adapter goes on to be served, as a table; and that the document tells of the same checks."""

import copy
import re
from pathlib import Path
from typing import Any

import pytest

from training.gate import CHECKS, DEMANDED, GatePolicy, decide

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "evaluation.md"

GOOD: dict[str, Any] = {
    "held_out": 20,
    "loss": {"base": 0.5, "adapter": 0.45, "relative": -0.1},
    "bootstrap": {"low": -0.06, "high": -0.04},
    "strength_zero_equal": True,
    "samples": [{}] * 8,
    "champion": {"loss": 0.48, "difference": -0.03, "relative": -0.0625, "bootstrap": {"low": -0.04, "high": -0.02}},
    "twin": {"floor": 0.01},
    "memorisation": {"hash": {"copies": 0}, "embedding": {"copies": 0}},
    "diversity": {"pixel": {"ratio": 0.8}},
    "drift": {"trigger": True, "pixel": {"ratio": 0.4}},
    "scores": {
        "clip_t": {"base": 0.3, "champion": 0.31, "adapter": 0.30},
        "clip_i": {"base": 0.6, "champion": 0.7, "adapter": 0.71},
        "dino": {"base": 0.4, "champion": 0.6, "adapter": 0.61},
    },
}
BAND = GatePolicy(review_from=0.02)
DRIFT = GatePolicy(drift=0.5)
ALL = GatePolicy(drift=0.5, demanded=frozenset(CHECKS))


def changed(*path: str, to: object) -> dict[str, Any]:
    evaluation = copy.deepcopy(GOOD)
    place = evaluation
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = to
    return evaluation


def champion(difference: float, high: float) -> dict[str, Any]:
    return changed("champion", to=GOOD["champion"] | {"difference": difference, "bootstrap": {"low": -1.0, "high": high}})


CASES = [
    (GOOD, GatePolicy(), "promote", None),
    (GOOD, ALL, "promote", None),
    (changed("loss", "relative", to=-0.05), GatePolicy(), "promote", None),
    (changed("loss", "relative", to=-0.049), GatePolicy(), "reject", "improvement"),
    (changed("loss", "relative", to=-0.049), BAND, "review", "improvement"),
    (changed("loss", "relative", to=-0.01), BAND, "reject", "improvement"),
    (changed("bootstrap", "high", to=0.0), GatePolicy(), "reject", "sure"),
    (changed("held_out", to=19), GatePolicy(), "reject", "held_out"),
    (changed("held_out", to=19), GatePolicy(held_out=5), "promote", None),
    (changed("strength_zero_equal", to=False), GatePolicy(), "reject", "strength_zero"),
    (changed("samples", to=[]), GatePolicy(samples=8), "reject", "samples"),
    (changed("champion", to=None), GatePolicy(), "promote", None),
    (champion(-0.03, -0.02), GatePolicy(), "promote", None),
    (champion(-0.03, 0.001), GatePolicy(), "review", "champion"),
    (champion(-0.03, -0.02), GatePolicy(noise_floor=0.1), "review", "champion"),
    (champion(-0.01, -0.001), GatePolicy(), "review", "champion"),
    (champion(-0.01, -0.001), GatePolicy(noise_floor=0.0), "promote", None),
    (champion(0.0, 0.01), GatePolicy(), "reject", "champion"),
    (champion(0.03, 0.04), GatePolicy(), "reject", "champion"),
    (champion(0.03, 0.04), GatePolicy(beat_champion=False), "promote", None),
    (changed("memorisation", "hash", "copies", to=1), GatePolicy(), "reject", "memorisation"),
    (changed("memorisation", "embedding", "copies", to=1), GatePolicy(), "reject", "memorisation"),
    (changed("memorisation", "embedding", to={"unmeasured": "no model"}), GatePolicy(), "promote", None),
    (changed("memorisation", "hash", "copies", to=1), GatePolicy(copies=1), "promote", None),
    (changed("memorisation", "hash", to={"copies": 0, "chance": 1e-4}), GatePolicy(), "review", "memorisation"),
    (changed("memorisation", "hash", to={"copies": 0, "chance": 0.1}), GatePolicy(), "promote", None),
    (changed("memorisation", "hash", "copies", to=9), GatePolicy(copies=None), "promote", None),
    (changed("diversity", "pixel", "ratio", to=0.2), GatePolicy(), "reject", "diversity"),
    (changed("diversity", "pixel", "ratio", to=0.2), GatePolicy(diversity=None), "promote", None),
    (changed("drift", "pixel", "ratio", to=0.6), GatePolicy(), "promote", None),
    (changed("drift", "pixel", "ratio", to=0.6), DRIFT, "review", "drift"),
    (changed("drift", "trigger", to=False), DRIFT, "promote", None),
    (changed("scores", "clip_t", "adapter", to=0.25), GatePolicy(), "review", "prompt_score"),
    (changed("scores", "clip_t", "champion", to=None), GatePolicy(prompt_drop=0.0), "promote", None),
    (changed("scores", "clip_t", "adapter", to=0.1), GatePolicy(prompt_drop=None), "promote", None),
    (changed("scores", "dino", "adapter", to=0.5), GatePolicy(), "review", "concept_score"),
    (changed("scores", "dino", to={"unmeasured": "no model"}), GatePolicy(concept_drop=0.0), "promote", None),
]

UNMEASURED = [
    ("loss", {"relative": None}, "improvement"),
    ("loss", {"relative": float("nan")}, "improvement"),
    ("loss", None, "improvement"),
    ("bootstrap", {"high": None}, "sure"),
    ("strength_zero_equal", None, "strength_zero"),
    ("held_out", True, "held_out"),
    ("champion", {"unmeasured": "another base"}, "champion"),
    ("twin", {"unmeasured": "no second training"}, "champion"),
    ("memorisation", {"hash": {"unmeasured": "a reason"}}, "memorisation"),
    ("diversity", {"pixel": {"ratio": None}}, "diversity"),
    ("drift", {"trigger": True, "pixel": {"ratio": None}}, "drift"),
    ("scores", {"clip_t": {"unmeasured": "no CLIP"}, "dino": GOOD["scores"]["dino"]}, "prompt_score"),
    ("scores", {"clip_t": GOOD["scores"]["clip_t"]}, "concept_score"),
]


@pytest.mark.parametrize(("evaluation", "policy", "outcome", "failed"), CASES)
def test_decisions(evaluation: dict[str, Any], policy: GatePolicy, outcome: str, failed: str | None) -> None:
    decision = decide(evaluation, policy)
    assert decision.outcome == outcome
    assert [check.name for check in decision.checks if not check.passed] == ([failed] if failed else [])


@pytest.mark.parametrize(("section", "value", "failed"), UNMEASURED)
def test_what_was_not_measured_rejects_where_it_is_demanded(section: str, value: object, failed: str) -> None:
    evaluation = changed(section, to=value)
    decision = decide(evaluation, ALL)
    assert (decision.outcome, [check.name for check in decision.checks if not check.passed]) == ("reject", [failed])
    said = value.get("unmeasured") if isinstance(value, dict) else None
    assert said is None or said in decision.sentence
    usual = decide(evaluation, DRIFT)
    assert usual.outcome == ("reject" if failed in DEMANDED else "promote")


def test_an_empty_evaluation_is_rejected_with_a_sentence_for_each_check() -> None:
    decision = decide({}, GatePolicy(samples=1, drift=1.0, demanded=frozenset(CHECKS)))
    assert decision.outcome == "reject"
    assert not any(check.passed for check in decision.checks)
    assert decision.sentence.count(";") == len(decision.checks) - 1


def test_a_weak_and_unsure_adapter_is_no_matter_for_review() -> None:
    weak = changed("loss", "relative", to=-0.03) | {"bootstrap": {"high": 0.01}}
    assert decide(weak, BAND).outcome == "reject"


def test_the_document_tells_of_every_check_and_of_no_other() -> None:
    assert tuple(check.name for check in decide({}, GatePolicy()).checks) == CHECKS
    told = DOCUMENT.read_text(encoding="utf-8").partition("## What the gate does with it")[2]
    rows = dict(re.findall(r"^\| `(\w+)` \| (.+?) \|", told, flags=re.MULTILINE))
    assert tuple(rows) == CHECKS
    assert {name for name, demanded in rows.items() if demanded == "always"} == DEMANDED | {"samples"}
