"""The book of what was spent: exact sums, what was cut off, what nobody knows, and forecasts of a retrain."""

import json
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from flows.job import Job
from flows.job_file import load_job
from flows.money import training_cost
from flows.money.spending import Rate, book, book_forecast, booked, latest, month_of, nano, spent, usd

ROOT = Path(__file__).resolve().parents[2]
RENTED = Rate(usd_per_second=Decimal("0.001"), source="a rate")
FREE = Rate(usd_per_second=Decimal(0), source="yours")
UNKNOWN = Rate(usd_per_second=None, source="nobody says")
MONTH = month_of(datetime.now(UTC))


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LORASMITH_HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def job(tmp_path: Path) -> Callable[..., Job]:
    def made(**changes: Any) -> Job:
        raw = yaml.safe_load((ROOT / "examples" / "emoji" / "job.yaml").read_text())
        raw["base"]["ref"] = str(ROOT / "examples" / "base")
        raw["dataset"] |= {name: str(ROOT / "examples" / "emoji" / raw["dataset"][name]) for name in ("path", "held_out")}
        file = tmp_path / "job.yaml"
        file.write_text(yaml.safe_dump(raw | changes))
        return load_job(file)

    return made


@given(st.lists(st.integers(0, 10**15), max_size=30))
def test_sums_of_money_are_exact(amounts: list[int]) -> None:
    told = [usd(amount) for amount in amounts]
    assert sum(nano(Decimal(text)) for text in told) == sum(amounts)
    assert all(len(text.partition(".")[2]) >= 2 for text in told)


@pytest.mark.parametrize(
    ("nanos", "text"), [(0, "0.00"), (1, "0.000000001"), (10**9, "1.00"), (25_100_000_000, "25.10"), (-5, "-0.000000005")]
)
def test_money_is_told_exactly(nanos: int, text: str) -> None:
    assert usd(nanos) == text


def test_what_is_done_is_booked_by_its_seconds(home: Path) -> None:
    with booked(home, "a", "train", rate=RENTED, recipe="r"):
        pass
    (line,) = latest(book(home, MONTH))
    assert line.ended
    assert line.usd_nano == nano(Decimal(line.seconds) * Decimal("0.001")) > 0
    assert spent(home, MONTH)["training"] == {
        "usd": usd(line.usd_nano), "runs": 1, "unknown": 0, "seconds": line.seconds, "unfinished": 0
    }  # fmt: skip


def test_what_fails_has_cost_its_time(home: Path) -> None:
    with pytest.raises(ValueError, match="broken"), booked(home, "a", "evaluate", rate=RENTED):
        raise ValueError("broken")
    assert Decimal(spent(home, MONTH)["usd"]) > 0


def test_what_is_killed_is_booked_up_to_then(home: Path) -> None:
    code = (
        "import os, time; from decimal import Decimal; from pathlib import Path; from flows.money.spending import Rate, booked\n"
        "rate = Rate(usd_per_second=Decimal('0.001'), source='a rate')\n"
        f"with booked(Path({str(home)!r}), 'a', 'train', rate=rate, every=0.02):\n"
        "    time.sleep(0.3); os.kill(os.getpid(), 9)\n"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == -9
    found = spent(home, MONTH)
    assert (found["training"]["unfinished"], found["unknown"]) == (1, 0)
    assert 0 < Decimal(found["training"]["seconds"]) < 60
    assert Decimal(found["usd"]) == Decimal(found["training"]["seconds"]) * Decimal("0.001")


def test_months_and_apps_are_apart_and_the_unknown_is_counted_in_no_sum(home: Path) -> None:
    with booked(home, "a", "train", rate=FREE):
        pass
    with booked(home, "a", "train", rate=UNKNOWN):
        pass
    book_forecast(home, "b", "deploy", usd_nano=250_000_000, source="a forecast")
    book_forecast(home, "b", "deploy", usd_nano=None, source="no rate")
    whole = spent(home, MONTH)
    assert (whole["usd"], whole["unknown"]) == ("0.25", 2)
    assert whole["deploys"] == {"usd": "0.25", "runs": 2, "unknown": 1}
    assert (spent(home, MONTH, app="a")["usd"], spent(home, MONTH, app="a")["unknown"]) == ("0.00", 1)
    assert spent(home, "2020-01")["training"]["runs"] == 0


def test_half_a_line_of_a_full_disk_is_passed_over(home: Path) -> None:
    book_forecast(home, "b", "deploy", usd_nano=1, source="a forecast")
    file = home / "spending" / f"{MONTH}.jsonl"
    file.write_text(file.read_text() + '{"id": "x", "at"\n')
    assert spent(home, MONTH)["usd"] == "0.000000001"


def test_the_sandbox_s_ledger_is_play_money_and_told_apart(home: Path) -> None:
    from serving.sandbox.money.ledger import Entry, Ledger
    from serving.sandbox.money.prices import Prices
    from serving.sandbox.state import State

    (home / "sandbox").mkdir()
    state = State(home / "sandbox" / "state.db")
    ledger = Ledger(state.db)
    Prices(state.db).set("sandbox-owner/a", 50_000_000, unit="image")
    for caller in ("sandbox-caller", "somebody-else"):
        ledger.record(
            Entry(
                request_id=caller,
                app="a",
                environment="main",
                revision="r",
                caller=caller,
                path="/",
                status=200,
                units="2",
                seconds=1.0,
                owner="sandbox-owner",
                runner="1",
                auth_mode="shared",
            )
        )
    state.close()
    found = spent(home, MONTH, app="a")
    assert found["sandbox"] == {"usd": "0.10", "requests": 1, "unknown": 0}
    assert found["usd"] == "0.00"


def test_a_machine_of_your_own_costs_nothing_and_a_rented_one_what_it_took_last_time(home: Path, job: Callable[..., Job]) -> None:
    now = datetime.now(UTC)
    assert training_cost.training_estimate(job(), "fal", now).usd_nano == 0
    rented = job(retrain={"machine_usd_per_hour": 3.6})
    assert training_cost.rate_of(rented, "fal").usd_per_second == Decimal("0.001")
    unknown = training_cost.training_estimate(rented, "fal", now)
    assert (unknown.usd_nano, unknown.basis) == (
        None,
        "nothing was measured yet on this machine, so what a training takes is not known",
    )
    for work in training_cost.WORKS:
        assert training_cost.training_estimate(rented, "fal", now).usd_nano is None
        with training_cost.booking(rented, work):
            pass
    seconds = [Decimal(line.seconds) for line in latest(book(home, MONTH))]
    assert training_cost.training_estimate(rented, "fal", now).usd_nano == sum(nano(one * Decimal("0.0015")) for one in seconds)
    other = job(retrain={"machine_usd_per_hour": 3.6}, training={"steps": 7})
    assert training_cost.training_estimate(other, "fal", now).usd_nano is None, "of another recipe nothing was measured"


def test_fal_s_machines_are_forecast_at_the_rate_that_is_known(home: Path, job: Callable[..., Job]) -> None:
    now = datetime.now(UTC)
    estimate = training_cost.training_estimate(job(compute="fal:GPU-H200"), "fal", now)
    assert estimate.usd_nano
    assert "GPU-H200 at fal's list rate" in estimate.basis
    assert training_cost.training_estimate(job(compute="fal:GPU-H200"), "sandbox", now).usd_nano == 0
    unknown = training_cost.training_estimate(job(compute="fal:GPU-NEW"), "fal", now)
    assert (unknown.usd_nano, unknown.basis.partition(";")[0]) == (None, "no rate of GPU-NEW is known (training/facts/gpus.yaml)")
    deploy = training_cost.deploy_estimate(job(), "sandbox")
    assert (deploy.usd_nano, deploy.basis) == (0, "the sandbox takes no money")
    assert training_cost.deploy_estimate(job(), "fal").usd_nano is None, "the demo's machine has no GPU whose rate is known"


def test_a_rented_machine_is_booked_by_its_own_record_and_not_by_the_wait_for_it(home: Path, job: Callable[..., Job]) -> None:
    record = home / "remote" / "fal-0123456789abcdef.json"
    record.parent.mkdir()

    def told(*seconds: float) -> None:
        record.write_text(json.dumps({"requests": [{"seconds": one} for one in seconds]}))

    told(100.0)  # paid and booked by an earlier run
    with training_cost.booking(job(compute="fal:GPU-H200"), "train", "fal", "0123456789abcdef" + "0" * 48):
        told(100.0, 12.5)
    (line,) = latest(book(home, MONTH))
    assert (line.seconds, line.usd_nano) == ("12.5", nano(Decimal("12.5") * Decimal("0.00125")))
