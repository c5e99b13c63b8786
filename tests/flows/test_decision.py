"""The record of a decision: what a person reads, what a machine reads, and that none is lost or written over."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from flows.retraining.decision import Decision, as_json, judgement, keep, last, markdown, newest
from flows.retraining.policy import Change

EVALUATION = {
    "held_out": 20,
    "loss": {"base": 0.5290, "adapter": 0.3566, "relative": -0.3258},
    "champion": {"loss": 0.3501, "relative": 0.0186, "bootstrap": {}},
    "scores": {"clip_t": {"unmeasured": "no CLIP"}, "dino": {"model": "d", "base": 0.41, "champion": 0.52, "adapter": 0.53}},
}
KEPT = Decision(
    app="my-style",
    target="fal",
    at="2026-11-23T03:17:09.000001+00:00",
    outcome="kept the champion",
    reason="Changed: pictures; the adapter was not accepted: worse than what is live.",
    next="the champion stays live.",
    run="brisk-fox",
    live="a" * 64,
    seen="b" * 64,
    changes=(Change(part="pictures", name="pictures", before="6c51aaac0554", now="8f00deadbeef"),),
    judged=judgement(EVALUATION),
    price={"before": 0.05, "after": None},
    money={
        "month": "2026-11",
        "cap_usd": "25.00",
        "spent_usd": "12.345",
        "unknown": 0,
        "forecast_usd": "3.10",
        "basis": ["940 s were measured last time", "the sandbox takes no money"],
        "this_run_usd": "2.005",
        "trained_seconds": "940.2",
    },
    seconds={"train": 900.2, "evaluate": 40.0},
    links={"samples": "/home/grid.png"},
)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LORASMITH_HOME", str(tmp_path))
    return tmp_path


def test_a_person_reads_what_was_decided_why_what_it_cost_and_what_comes_next() -> None:
    assert markdown(KEPT) == (
        "# my-style on fal: trained, and the champion stays\n\n"
        "2026-11-23 03:17 UTC, run brisk-fox\n\n"
        "Changed: pictures; the adapter was not accepted: worse than what is live.\n\n"
        "| What changed | on record | now |\n|---|---|---|\n| pictures | `6c51aaac0554` | `8f00deadbeef` |\n\n"
        "| measured | base | live | new |\n|---|---|---|---|\n"
        "| held-out loss (20 pictures) | 0.5290 | 0.3501 | 0.3566 |\n"
        "| DINO | 0.4100 | 0.5200 | 0.5300 |\n\n"
        "Loss of the new adapter: -32.6% against the base, +1.9% against the champion.\n\n"
        "- Spent in 2026-11: $12.345 of $25.00\n"
        "- Forecast of this retrain: $3.10 (940 s were measured last time; the sandbox takes no money)\n"
        "- This retrain: $2.005; it trained and evaluated for 940 s\n"
        "- Price of a unit: to be agreed, was $0.05\n\n"
        "- samples: /home/grid.png\n\n"
        "**Next:** the champion stays live.\n"
    )


def test_nothing_to_do_is_a_few_lines() -> None:
    plain = Decision(app="a", target="sandbox", at=KEPT.at, outcome="nothing to do", reason="Nothing has changed.", next="nothing.")
    assert (
        markdown(plain) == "# a on sandbox: nothing to do\n\n2026-11-23 03:17 UTC\n\nNothing has changed.\n\n**Next:** nothing.\n"
    )


def test_what_is_not_known_is_said_to_be_unknown() -> None:
    money = {**KEPT.money, "cap_usd": None, "unknown": 2, "forecast_usd": None, "this_run_usd": None}
    text = markdown(replace(KEPT, money=money))
    assert "$12.345, no monthly_budget_usd is set, and 2 pieces of work whose cost nobody knows" in text
    assert "Forecast of this retrain: not known (" in text
    assert "This retrain:" not in text


def test_a_first_release_has_no_champion() -> None:
    seen = judgement({**EVALUATION, "champion": None})
    assert seen["loss"] == {"base": 0.5290, "live": None, "new": 0.3566}
    assert "-32.6% against the base." in markdown(replace(KEPT, judged=seen))


def test_records_are_kept_apart_and_the_last_is_found(home: Path) -> None:
    first = keep(KEPT)
    second = keep(replace(KEPT, outcome="promoted"))  # of the same microsecond
    other = keep(replace(KEPT, target="sandbox", at="2026-11-24T03:17:09.000001+00:00"))
    assert first == home / "decisions" / "my-style" / "20261123T031709.000001Z.json"
    assert json.loads(first.read_text()) == json.loads(json.dumps(as_json(KEPT)))
    assert first.with_suffix(".md").read_text() == markdown(KEPT)
    assert [record["path"] for record in newest("my-style")] == [str(other), str(second), str(first)]
    assert (last("my-style") or {})["target"] == "sandbox"
    assert (last("my-style", "fal") or {})["outcome"] == "promoted"
    assert last("another") is None
