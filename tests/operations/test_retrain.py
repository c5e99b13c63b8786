"""retrain-and-redeploy on a real server: missed schedules do not pile up, an event reaches its app alone, nothing is trained."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from flows.retraining.decision import newest
from tests.flows.published import release, toy_job
from tests.operations.prefect import ROOT, Prefect, until

DEPLOYMENT = "retrain-and-redeploy/retrain-and-redeploy"
MADE_UP = {
    "name": "at-once",
    "entrypoint": "tests/operations/toy_retrain.py:retrain",
    "parameters": {"app": "yak", "stale_minutes": 20_000},
}
CAPPED = {"monthly_budget_usd": 5, "machine_usd_per_hour": 2.5}  # nothing was measured here: no training may start


@pytest.fixture(scope="module")
def folder(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The pictures of two live apps, fox and owl, in a home of their own."""
    folder = tmp_path_factory.mktemp("datasets")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LORASMITH_HOME", str(home))
        patch.delenv("LORASMITH_REGISTRY", raising=False)
        for name in ("fox", "owl"):
            release(toy_job(folder, name, retrain=CAPPED))
        yield folder


@pytest.fixture(scope="module")
def prefect(folder: Path, tmp_path_factory: pytest.TempPathFactory, environment: dict[str, str]) -> Iterator[Prefect]:
    """A server with this deployment of prefect.yaml, the same with made-up work, and no worker yet."""
    whole = yaml.safe_load((ROOT / "prefect.yaml").read_text())
    ours = [each for each in whole["deployments"] if each["name"] == "retrain-and-redeploy"]
    toys = [MADE_UP | {key: each[key] for key in ("schedules", "work_pool")} for each in ours]
    file = tmp_path_factory.mktemp("deployed") / "prefect.yaml"
    file.write_text(yaml.safe_dump(whole | {"deployments": [*ours, *toys]}))
    extra = {"PREFECT_SERVER_DEPLOYMENTS_CONCURRENCY_SLOT_WAIT_SECONDS": "4"}
    server = Prefect(tmp_path_factory.mktemp("prefect"), environment, workers=(), file=file, extra=extra)
    yield server
    server.end()


def asked(prefect: Prefect, path: str, body: dict[str, Any] | None = None) -> Any:
    """What the API answers; while its database is locked it is silent, or says 503."""
    answers: list[httpx.Response] = []

    def answered() -> bool:
        with suppress(httpx.TransportError):
            method = "GET" if body is None else "POST"
            answers.append(httpx.request(method, f"{prefect.url}{path}", json=body, timeout=20, trust_env=False))
        return bool(answers) and answers[-1].status_code != 503

    until(answered, 120, lambda: answers[-1].text if answers else f"{path}: no answer")
    return answers[-1].raise_for_status().json() if answers[-1].content else None


def states(prefect: Prefect) -> list[str]:
    return [run["state"]["name"] for run in asked(prefect, "/flow_runs/filter", {})]


def outcomes(app: str) -> list[str]:
    return [record["outcome"] for record in newest(app)]


def watch(prefect: Prefect, folder: Path, *options: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "flows.cli.main", "data", "watch", str(folder), "--once", "--settle", "0.2", *options]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=prefect.environment, timeout=120, check=False)


def test_missed_schedules_do_not_pile_up(prefect: Prefect) -> None:
    """Three weekly runs that no worker took: all end in seconds as completed, none looks at anything."""
    deployment = asked(prefect, f"/deployments/name/{DEPLOYMENT}")["id"]
    now = datetime.now(UTC)
    weeks = {"start_time": (now - timedelta(days=23)).isoformat(), "end_time": (now - timedelta(days=2)).isoformat()}
    asked(prefect, f"/deployments/{deployment}/schedule", weeks | {"min_runs": 10, "max_runs": 10})
    past = {"flow_runs": {"expected_start_time": {"before_": now.isoformat()}}}
    late = asked(prefect, "/flow_runs/filter", past)
    assert len(late) == 3
    assert all(run["auto_scheduled"] for run in late)
    prefect.start_worker("cpu")

    def all_ended() -> bool:
        return {run["state"]["name"] for run in asked(prefect, "/flow_runs/filter", past)} == {"Completed"}

    until(all_ended, 240, lambda: str(states(prefect)), pause=1.0)
    assert outcomes("fox") == outcomes("owl") == ["stale"] * 3
    record = next(newest("fox"))
    assert "retrain.stale_minutes allows 1440" in record["reason"]
    assert record["seen"] is None


def test_an_update_of_a_dataset_is_looked_at_for_its_app_alone(prefect: Prefect, folder: Path) -> None:
    next((folder / "fox").glob("*.txt")).write_text("another caption")
    told = watch(prefect, folder / "fox", "--json")
    assert told.returncode == 0, told.stderr
    assert json.loads(told.stdout)["event"] == "dataset.updated"
    until(lambda: len(outcomes("fox")) == 4, 120, lambda: str(states(prefect)))
    record = next(newest("fox"))
    assert (record["outcome"], [change["part"] for change in record["changes"]]) == ("over budget", ["pictures"])
    assert "what it would cost is not known" in record["reason"]
    assert outcomes("owl") == ["stale"] * 3
    assert watch(prefect, folder / "fox").stdout == f"unchanged  {folder / 'fox'}\n"
    until(lambda: shown(prefect, "decision-fox").startswith("# fox on sandbox: not started"), 30, "no artifact of the decision")


def test_what_has_not_changed_is_nothing_to_do_within_seconds(prefect: Prefect) -> None:
    command = [sys.executable, "-m", "flows.cli.main", "retrain", "owl", "--json"]
    start = time.monotonic()
    run = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=prefect.environment, timeout=120, check=False)
    assert run.returncode == 0, run.stderr
    (record,) = json.loads(run.stdout)
    assert record["outcome"] == "nothing to do"
    assert time.monotonic() - start < 120
    assert run.stderr.count("\n") == 1, run.stderr


def test_a_schedule_and_a_person_at_the_same_moment_retrain_once(prefect: Prefect, folder: Path, home: Path) -> None:
    """The second says why it does nothing; no limit of Prefect keeps the two apart here."""
    if prefect.processes == [prefect.server]:  # no test before this one has started the worker
        prefect.start_worker("cpu")
    release(toy_job(folder, "yak"))
    next((folder / "yak").glob("*.txt")).write_text("another caption")
    deployment = asked(prefect, "/deployments/name/retrain-and-redeploy/at-once")["id"]
    now = datetime.now(UTC)
    week = {"start_time": (now - timedelta(days=7)).isoformat(), "end_time": now.isoformat()}
    asked(prefect, f"/deployments/{deployment}/schedule", week | {"min_runs": 1, "max_runs": 1})
    by_hand = asked(prefect, f"/deployments/{deployment}/create_flow_run", {})["id"]
    ours = {"deployments": {"id": {"any_": [deployment]}}, "flow_runs": {"expected_start_time": {"before_": by_now().isoformat()}}}

    def both_ended() -> bool:
        return [run["state"]["name"] for run in asked(prefect, "/flow_runs/filter", ours)] == ["Completed"] * 2

    until(both_ended, 240, lambda: str(states(prefect)), pause=1.0)
    found = {run["id"]: run["auto_scheduled"] for run in asked(prefect, "/flow_runs/filter", ours)}
    assert sorted(found.values()) == [False, True]
    assert found[by_hand] is False
    assert sorted(outcomes("yak")) == ["nothing to do", "promoted"]
    (idle,) = [record for record in newest("yak") if record["outcome"] == "nothing to do"]
    assert idle["reason"] == "Nothing has changed since the release that is live."
    assert (home / "published").read_text() == "yak\n"


def by_now() -> datetime:
    """A moment after all that was asked for until now."""
    return datetime.now(UTC) + timedelta(minutes=1)


def shown(prefect: Prefect, key: str) -> str:
    found = asked(prefect, "/artifacts/latest/filter", {"artifacts": {"key": {"any_": [key]}}})
    return found[0]["data"] if found else ""
