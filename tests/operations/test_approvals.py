"""A publish that waits for a person, on a real server with a worker: no process waits, and what was said is one record.

None of these processes calls anybody beyond this machine: a guard in each of them writes it down.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import psutil
import pytest
import yaml
from typer.testing import CliRunner

from flows.approvals.answering import kept_up
from flows.books import overview
from flows.cli.main import app
from flows.orchestration import prefect_api
from flows.orchestration.resuming import resume_crashed
from flows.targets import registry_url
from serving.release.approvals import listed
from serving.release.registry import Registry
from tests.flows.approval_material import deployed, toy_job
from tests.operations.prefect import ROOT, Prefect, until

ASKS = {"first_publication": True}
WAITING: dict[str, dict[str, Any]] = {"formed": ASKS, "commanded": ASKS, "refused": ASKS, "silent": ASKS | {"timeout_hours": 0.003}}


@pytest.fixture(scope="module")
def calls(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("calls") / "calls"


@pytest.fixture(scope="module")
def environment(environment: dict[str, str], calls: Path) -> dict[str, str]:
    return environment | {"CALLS": str(calls), "PYTHONPATH": str(ROOT / "tests" / "operations" / "guard")}


@pytest.fixture(scope="module")
def prefect(tmp_path_factory: pytest.TempPathFactory, environment: dict[str, str]) -> Iterator[Prefect]:
    """A server that knows the toy's publish alone, and one worker."""
    folder = tmp_path_factory.mktemp("prefect")
    file = folder / "prefect.yaml"
    deployment = {
        "entrypoint": "tests/operations/toy_publish.py:publish",
        "enforce_parameter_schema": True,
        "tags": ["resume"],
        "work_pool": {"name": "cpu", "work_queue_name": "default"},
        "parameters": {"job": toy_job().model_dump(mode="json")},
    }
    one = {"limit": 1, "collision_strategy": "ENQUEUE"}
    yearly = [{"cron": "17 3 1 1 *", "timezone": "UTC", "slug": "yearly"}]
    deployments = [
        deployment | {"name": "publish", "schedules": yearly},
        deployment | {"name": "one-at-a-time", "concurrency_limit": one},
    ]
    pull = [{"prefect.deployments.steps.set_working_directory": {"directory": str(ROOT)}}]
    file.write_text(yaml.safe_dump({"name": "toy", "pull": pull, "deployments": deployments}))
    server = Prefect(folder, environment, workers=("cpu",), file=file)
    yield server
    server.end()


@pytest.fixture(scope="module", autouse=True)
def here(prefect: Prefect, home: Path) -> Iterator[None]:
    """This process is a shell on the same machine."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LORASMITH_HOME", str(home))
        patch.setenv("PREFECT_API_URL", prefect.url)
        yield


@pytest.fixture(scope="module")
def runs(here: None, home: Path) -> dict[str, str]:
    """Runs that all wait for a person, by the app that they publish."""
    begun = {name: started(name, policy, "one-at-a-time" if name == "formed" else "publish") for name, policy in WAITING.items()}
    for run in begun.values():
        reached(run, "Suspended")
    until(lambda: not living(home), 30, "a process of a suspended run is left")
    return begun


def started(name: str, policy: dict[str, Any], deployment: str) -> str:
    """The id of a new run that publishes an app which was never live; a server whose database is busy is asked again."""
    identity = prefect_api.asked(f"/deployments/name/publish/{deployment}", seconds=20)["id"]
    body = {"state": {"type": "SCHEDULED"}, "parameters": {"job": toy_job(policy, name).model_dump(mode="json")}}
    made: list[str] = []

    def asked() -> bool:
        with suppress(prefect_api.Refused, prefect_api.ServerAway):
            given = body | {"idempotency_key": f"{name}-{deployment}"}
            made.append(prefect_api.asked(f"/deployments/{identity}/create_flow_run", given, seconds=60)["id"])
        return bool(made)

    until(asked, 240, lambda: f"no run of {name} is made")
    return made[0]


def state(run: str) -> dict[str, Any]:
    found: dict[str, Any] = prefect_api.asked(f"/flow_runs/{run}", seconds=20)["state"]
    return found


def reached(run: str, name: str) -> dict[str, Any]:
    until(lambda: state(run)["name"] == name, 240, lambda: f"run {run} is {state(run)}")
    return state(run)


def living(home: Path) -> list[int]:
    """The flows' processes that are left."""
    return [pid for pid in map(int, (home / "started").read_text().split()) if psutil.pid_exists(pid)]


def question_of(run: str) -> dict[str, Any]:
    with closing(Registry(registry_url())) as registry:
        registry.verify_journal()
        return next(row for row in listed(registry) if row["flow_run"] == run)


def told(*arguments: str) -> str:
    result = CliRunner().invoke(app, [*arguments])
    assert result.exit_code == 0, (result.output, result.exception)
    return result.output


def resumed(run: str, answer: dict[str, Any]) -> str:
    """What the server says to what the form in its pages sends."""
    said: str = prefect_api.asked(f"/flow_runs/{run}/resume", {"run_input": answer}, seconds=20)["status"]
    return said


def test_it_waits_without_a_process_and_refuses_bad_answers(runs: dict[str, str], home: Path) -> None:
    for bad in (
        {"approve": "maybe", "by": "Ada"},
        {"approve": True},
        {"approve": True, "by": " "},
        {"approve": True, "by": "Ada", "waive_licence": True},
    ):
        assert resumed(runs["formed"], bad) == "REJECT", bad
    assert state(runs["formed"])["name"] == "Suspended"
    assert (living(home), deployed(home, "formed")) == ([], [])


def test_a_run_that_waits_keeps_no_other_from_its_turn(runs: dict[str, str], home: Path) -> None:
    reached(started("behind", {}, "one-at-a-time"), "Completed")
    assert deployed(home, "behind") == ["candidate", "main"]


def test_a_yes_in_the_form_deploys_once(runs: dict[str, str], home: Path) -> None:
    assert resumed(runs["formed"], {"approve": True, "by": "Ada", "why": "saw the grid"}) == "ACCEPT"
    reached(runs["formed"], "Completed")
    assert deployed(home, "formed") == ["candidate", "main"]
    said = question_of(runs["formed"])
    assert (said["state"], said["by"], said["why"], said["way"]) == ("approved", "Ada", "saw the grid", "form")


def test_silence_of_a_run_that_waits_is_no_crash(runs: dict[str, str], prefect: Prefect) -> None:
    """A heartbeat between its pause and the end of its process is followed by nothing, which looks like a crash."""
    from prefect import get_client
    from prefect.settings import PREFECT_API_URL, temporary_settings
    from prefect.states import Crashed

    run = UUID(runs["commanded"])
    with temporary_settings({PREFECT_API_URL: prefect.url}), get_client(sync_client=True) as client:
        client.set_flow_run_state(run, Crashed(message="no heartbeat for 90 seconds: its process is gone"), force=True)
        assert resume_crashed(client) == []
    assert state(str(run))["name"] == "Suspended"


def test_a_command_resumes_it_and_leaves_the_same_record(runs: dict[str, str], home: Path) -> None:
    row = question_of(runs["commanded"])
    shown = told("approvals", "show", row["id"][:6])
    for evidence in ("first publication", "held-out loss: base 0.5000", "price of one image", "licences: duties", "promote:"):
        assert evidence in shown
    assert f"run {row['flow_run']} goes on" in told("approvals", "approve", row["id"], "--by", "Ada", "--why", "saw the grid")
    reached(runs["commanded"], "Completed")
    said = question_of(runs["commanded"])
    assert (said["state"], said["by"], said["why"], said["way"]) == ("approved", "Ada", "saw the grid", "command")
    assert deployed(home, "commanded") == ["candidate", "main"]


def test_a_no_ends_the_run_and_nothing_is_deployed(runs: dict[str, str], home: Path) -> None:
    assert resumed(runs["refused"], {"approve": False, "by": "Ada", "why": "the hands are wrong"}) == "ACCEPT"
    assert "was denied by Ada" in reached(runs["refused"], "Failed")["message"]
    assert (question_of(runs["refused"])["state"], deployed(home, "refused")) == ("denied", [])


def test_silence_is_a_no_and_the_run_ends_with_one_line(runs: dict[str, str], home: Path) -> None:
    until(lambda: bool(kept_up()) or question_of(runs["silent"])["state"] == "expired", 30, "the question never ran out")
    assert "no answer until" in reached(runs["silent"], "Failed")["message"]
    said = question_of(runs["silent"])
    assert (said["state"], said["by"], said["way"], deployed(home, "silent")) == ("expired", "nobody", "timeout", [])


def test_status_knows_what_is_next(runs: dict[str, str], prefect: Prefect) -> None:
    until(lambda: bool(overview.next_runs(datetime.now(UTC))), 90, "the server has scheduled nothing")
    found = json.loads(told("status", "--json"))
    assert found["schedules"]["fault"] is None
    assert [one["deployment"] for one in found["schedules"]["next"]] == ["publish"]
    assert found["schedules"]["next"][0]["at"][5:16] == "01-01T03:17"


def test_nobody_beyond_this_machine_was_called(environment: dict[str, str], runs: dict[str, str], calls: Path) -> None:
    """By server, worker and flows; the guard itself works. tests/end_to_end has the same of the command line."""
    assert not calls.exists(), calls.read_text()
    script = "import socket; socket.create_connection(('192.0.2.1', 80), timeout=1)"
    assert subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, check=False).returncode == 1
    assert "192.0.2.1" in calls.read_text()
