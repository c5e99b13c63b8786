"""Whether a training is worth it, as a table: what changed, what that asks for, what may be spent, and when it is too late."""

import json
import subprocess
import sys
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from flows.errors import JobError
from flows.retraining.policy import NAMES, TRAINED_BY, Retrain, Snapshot, changes, lateness, named, needs_training, over_budget

PARTS = [field.name for field in fields(Snapshot)]
ON_RECORD = Snapshot(**{name: f"{name}-1" for name in PARTS})
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def test_every_part_has_a_name() -> None:
    assert list(NAMES) == PARTS
    assert set(PARTS) >= TRAINED_BY


def test_nothing_changed_is_no_change() -> None:
    assert changes(ON_RECORD, replace(ON_RECORD)) == ()


@pytest.mark.parametrize("part", PARTS)
def test_each_part_that_differs_is_named_alone(part: str) -> None:
    (change,) = changes(ON_RECORD, replace(ON_RECORD, **{part: "x" * 64}))
    assert (change.part, change.name) == (part, NAMES[part])
    assert (change.before, change.now) == (f"{part}-1"[:12], "x" * 12)
    assert needs_training((change,)) is (part in TRAINED_BY)


def test_what_is_not_on_record_any_more_has_changed() -> None:
    (change,) = changes(replace(ON_RECORD, pictures=None), ON_RECORD)
    assert (change.part, change.before) == ("pictures", "-")
    assert [change.part for change in changes(None, ON_RECORD)] == PARTS


def test_changes_are_told_in_one_phrase() -> None:
    now = replace(ON_RECORD, pictures="2", recipe="2", gate="2")
    assert named(changes(ON_RECORD, now)) == "pictures, recipe and gate"
    assert named(changes(ON_RECORD, now)[:1]) == "pictures"


BUDGETS: list[tuple[dict[str, Any], str | None]] = [
    ({"cap": None, "spent": "1000", "forecast": None}, None),
    ({"cap": "25.00", "spent": "20", "forecast": "5"}, None),
    (
        {"cap": "25.00", "spent": "20", "forecast": "5.000000001"},
        "$20 spent this month and $5.000000001 by forecast are $25.000000001",
    ),
    ({"cap": "25.00", "spent": "0", "forecast": None}, "what it would cost is not known (nobody measured)"),
    ({"cap": "25.00", "spent": "0", "forecast": "0", "unknown": 1}, "what 1 piece of this month's work cost is not known"),
    ({"cap": "25.00", "spent": "25", "forecast": "0"}, None),
]


@pytest.mark.parametrize(("given", "said"), BUDGETS)
def test_the_cap(given: dict[str, Any], said: str | None) -> None:
    cap, forecast = (None if given[name] is None else Decimal(given[name]) for name in ("cap", "forecast"))
    fault = over_budget(
        cap, spent=Decimal(given["spent"]), unknown=given.get("unknown", 0), forecast=forecast, why="nobody measured"
    )
    if said is None:
        assert fault is None
    else:
        assert fault
        assert fault.startswith(said)
        assert fault.endswith("and retrain.monthly_budget_usd is $25.00")


@pytest.mark.parametrize(
    ("minutes", "limit", "late"), [(-5, 1, None), (0, 1, None), (1, 1, None), (1.5, 1, 1.5), (3 * 1440, 1440, 3 * 1440)]
)
def test_a_run_is_stale_when_it_starts_later_than_allowed(minutes: float, limit: float, late: float | None) -> None:
    found = lateness(NOON, NOON + timedelta(minutes=minutes), limit)
    assert found == (None if late is None else timedelta(minutes=late))
    assert lateness(None, NOON, limit) is None


def test_the_job_says_what_a_month_may_cost_in_cents() -> None:
    assert Retrain.model_validate({"monthly_budget_usd": 25.1}).monthly_budget_usd == Decimal("25.1")
    assert json.loads(Retrain(monthly_budget_usd=Decimal("25.10")).model_dump_json())["monthly_budget_usd"] == "25.10"
    for wrong in ({"monthly_budget_usd": 0}, {"monthly_budget_usd": "25.001"}, {"stale_minutes": 0}, {"budget": 3}):
        with pytest.raises(ValidationError):
            Retrain.model_validate(wrong)


def test_a_look_loads_no_torch() -> None:
    looks = "flows.retrain, flows.retraining.snapshots, flows.data_sensor, training.scores"
    code = f"import sys, {looks}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2], check=False).returncode == 0


def test_an_event_that_names_nothing_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from flows.retrain import chosen

    monkeypatch.setenv("LORASMITH_HOME", str(tmp_path))
    monkeypatch.delenv("LORASMITH_REGISTRY", raising=False)
    with pytest.raises(JobError, match="names neither folder nor app"):
        list(chosen(None, None, "", ""))
    assert list(chosen(None, None, None, None)) == []
    assert list(chosen(None, None, "", "/pictures")) == []
