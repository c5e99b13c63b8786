"""A publish that waits for a person, on a real server with a worker: no process waits, and what was said is one record."""

import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml
from typer.testing import CliRunner

from flows import prefect_api
from flows.answering import kept_up
from flows.cli.main import app
from flows.targets import registry_url
from serving.release.approvals import found, listed
from serving.release.registry import Registry
from tests.flows.approval_material import deployed, toy_job
from tests.operations.prefect import ROOT, Prefect, until

ASKS = {"first_publication": True}


@pytest.fixture(scope="module")
def prefect(tmp_path_factory: pytest.TempPathFactory, environment: dict[str, str]) -> Iterator[Prefect]:
    """A server that knows the toy's publish alone, one at a time, and one worker."""
    folder = tmp_path_factory.mktemp("prefect")
    file = folder / "prefect.yaml"
    deployment = {
        "entrypoint": "tests/operations/toy_publish.py:publish",
        "enforce_parameter_schema": True,
        "work_pool": {"name": "cpu", "work_queue_name": "default"},
    }
    one = {"limit": 1, "collision_strategy": "ENQUEUE"}
    deployments = [deployment | {"name": "publish"}, deployment | {"name": "one-at-a-time", "concurrency_limit": one}]
    pull = [{"prefect.deployments.steps.set_working_directory": {"directory": str(ROOT)}}]
    file.write_text(yaml.safe_dump({"name": "toy", "pull": pull, "deployments": deployments}))
    server = Prefect(folder, environment, workers=("cpu",), file=file)
    yield server
    server.end()


@pytest.fixture(autouse=True)
def here(prefect: Prefect, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """This process is a shell on the same machine."""
    monkeypatch.setenv("LORASMITH_HOME", str(home))
    monkeypatch.setenv("PREFECT_API_URL", prefect.url)


def started(app_name: str, deployment: str = "publish", **policy: Any) -> str:
    """The id of a new run that publishes an app which was never live."""
    deployment = prefect_api.asked(f"/deployments/name/publish/{deployment}", seconds=20)["id"]
    job = toy_job(ASKS | policy, app_name).model_dump(mode="json")
    body = {"state": {"type": "SCHEDULED"}, "parameters": {"job": job}}
    run: str = prefect_api.asked(f"/deployments/{deployment}/create_flow_run", body, seconds=20)["id"]
    return run


def state(run: str) -> dict[str, Any]:
    found: dict[str, Any] = prefect_api.asked(f"/flow_runs/{run}", seconds=20)["state"]
    return found


def reached(run: str, *names: str) -> dict[str, Any]:
    until(lambda: state(run)["name"] in names, 90, lambda: f"run {run} is {state(run)}")
    return state(run)


def suspended(run: str) -> dict[str, Any]:
    """The question of a run that waits, once its process is gone."""
    reached(run, "Suspended")
    with closing(Registry(registry_url())) as registry:
        (row,) = [row for row in listed(registry, state="pending") if row["flow_run"] == run]
    until(lambda: not living(), 30, "a process of a suspended run is left")
    return row


def living() -> list[int]:
    pids = [int(pid) for pid in (Path(os.environ["LORASMITH_HOME"]) / "started").read_text().split()]
    return [pid for pid in pids if psutil.pid_exists(pid)]


def record(identity: str) -> dict[str, Any]:
    with closing(Registry(registry_url())) as registry:
        registry.verify_journal()
        return found(registry, identity)


def told(*arguments: str, code: int = 0) -> str:
    result = CliRunner().invoke(app, [*arguments])
    assert result.exit_code == code, result.output
    return result.output


def resumed(run: str, answer: dict[str, Any]) -> dict[str, Any]:
    """What the form in Prefect's pages sends."""
    result: dict[str, Any] = prefect_api.asked(f"/flow_runs/{run}/resume", {"run_input": answer}, seconds=20)
    return result


def test_it_waits_without_a_process_refuses_bad_answers_and_goes_on_once(home: Path) -> None:
    run = started("formed", "one-at-a-time")
    row = suspended(run)
    behind = started(
        "behind", "one-at-a-time", first_publication=False
    )  # the slot of the deployment is free while the first one waits
    for bad in (
        {"approve": "maybe", "by": "Ada"},
        {"approve": True},
        {"approve": True, "by": " "},
        {"approve": True, "by": "Ada", "waive_licence": True},
    ):
        assert resumed(run, bad)["status"] == "REJECT", bad
    reached(behind, "Completed")
    assert state(run)["name"] == "Suspended"
    assert deployed(home, "formed") == []
    assert resumed(run, {"approve": True, "by": "Ada", "why": "saw the grid"})["status"] == "ACCEPT"
    reached(run, "Completed")
    assert deployed(home, "formed") == ["candidate", "main"]
    said = record(row["id"])
    assert (said["state"], said["by"], said["why"], said["way"]) == ("approved", "Ada", "saw the grid", "form")


def test_a_command_resumes_it_and_leaves_the_same_record(home: Path) -> None:
    run = started("commanded")
    row = suspended(run)
    shown = told("approvals", "show", row["id"][:6])
    for evidence in ("first publication", "held-out loss: base 0.5000", "price of one image", "licences: duties", "promote:"):
        assert evidence in shown
    assert f"run {run} goes on" in told("approvals", "approve", row["id"], "--by", "Ada", "--why", "saw the grid")
    reached(run, "Completed")
    said = record(row["id"])
    assert (said["state"], said["by"], said["why"], said["way"]) == ("approved", "Ada", "saw the grid", "command")
    assert deployed(home, "commanded") == ["candidate", "main"]


def test_a_no_ends_the_run_and_what_it_asked_stays_undeployed(home: Path) -> None:
    run = started("refused")
    row = suspended(run)
    assert resumed(run, {"approve": False, "by": "Ada", "why": "the hands are wrong"})["status"] == "ACCEPT"
    assert "was denied by Ada" in reached(run, "Failed")["message"]
    assert (record(row["id"])["state"], deployed(home, "refused")) == ("denied", [])


def test_silence_is_a_no_and_the_run_ends_with_one_line(home: Path) -> None:
    run = started("silent", timeout_hours=0.003)
    row = suspended(run)
    until(lambda: any(row["id"] in line for line in kept_up()), 30, "the question never ran out")
    assert [line for line in kept_up() if run in line] in ([], [f"run {run} goes on"])
    assert "no answer until" in reached(run, "Failed")["message"]
    said = record(row["id"])
    assert (said["state"], said["by"], said["way"]) == ("expired", "nobody", "timeout")
    assert deployed(home, "silent") == []
