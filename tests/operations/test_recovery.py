"""`lorasmith server up` and `worker up`: whatever of them is killed, the work goes on, once, and no process is left behind."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import psutil
import pytest

from flows.errors import FlowError
from flows.orchestration import automating, provisioning, server_state
from flows.orchestration.orchestrator import HEARTBEAT_SECONDS
from tests.operations.prefect import ROOT, until
from tests.operations.stack import TOYS, Stack, is_alive, marked, notes, process_of

ASLEEP = {"crash-zombies", "toy-trigger"}  # one of ours, and one that a deployment brings


@pytest.fixture(scope="module")
def stack(home: Path, environment: dict[str, str]) -> Iterator[Stack]:
    """Its server is up, though a killed one has left its files; workers are the tests' own."""
    made = Stack(home, environment)
    server_state.lock_file(home).parent.mkdir()
    server_state.lock_file(home).write_text("1\n")
    server_state.write(home, server_state.ServerState(port=9, pid=1, since="2026-11-22T12:00:00+00:00"))
    made.server_up()
    yield made
    made.end()


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Where a toy flow writes; nothing that it started is there when its test ends."""
    yield tmp_path
    (tmp_path / "go").touch()


def begun(stack: Stack, folder: Path, times: int = 1) -> None:
    until(lambda: notes(folder).count("begun") == times, 240, lambda: f"{notes(folder)}; {stack.said()}")


def server_process(stack: Stack) -> psutil.Process:
    """Prefect's own process, below keeper and reaper."""
    (reaper,) = psutil.Process(stack.state()["pid"]).children()
    (server,) = reaper.children()
    return server


def kill_server(stack: Stack) -> None:
    """And wait until its keeper has started it again."""
    before = server_process(stack)
    before.kill()
    until(lambda: not is_alive(before.pid), 20, "it lives")
    until(lambda: not stack.has_state(), 60, "its keeper has not seen it")
    until(stack.has_state, 240, stack.said)


def test_a_second_server_up_says_so_and_status_tells_where(stack: Stack) -> None:
    for arguments in ((), ("--background",)):
        assert "is up already on" in stack.lorasmith("server", "up", *arguments)
    status = json.loads(stack.lorasmith("server", "status", "--json"))
    assert status["server"]["address"] == stack.url
    assert status["server"]["answers"] is True
    assert (stack.home / "prefect" / "server.json").stat().st_mode & 0o777 == 0o600
    assert stack.state().keys() == {"port", "pid", "since"}
    assert stack.state()["pid"] != 1


def test_pools_limits_and_automations_are_there(stack: Stack) -> None:
    with stack.client() as client:
        pools = {pool.name: (pool.type, pool.concurrency_limit) for pool in client.read_work_pools()}
        zombies = [one for one in client.read_automations() if one.name in ("crash-zombies", "crash-stillborn")]
    assert pools == {"gpu": ("process", provisioning.gpus(os.environ)), "cpu": ("process", None)}
    assert [(one.enabled, one.trigger.within.total_seconds()) for one in zombies] == [(True, 3 * HEARTBEAT_SECONDS)] * 2


def test_of_late_runs_only_the_last_one_is_left(stack: Stack) -> None:
    """A yearly schedule, and nobody there for five years; Prefect would run them all."""
    now = datetime.now(UTC)
    with stack.client() as client:
        yearly = client.read_deployment_by_name("patient/scheduled").id
        years = {
            "start_time": (now - timedelta(days=5 * 365)).isoformat(),
            "end_time": now.isoformat(),
            "min_runs": 5,
            "max_runs": 5,
        }
        client.request("POST", "/deployments/{id}/schedule", path_params={"id": str(yearly)}, json=years)

        def due() -> list[Any]:
            runs = [run for run in client.read_flow_runs() if run.deployment_id == yearly and run.expected_start_time <= now]
            return sorted(runs, key=lambda run: run.expected_start_time)

        names = [run.state.name for run in due()]
        assert len(names) == 5
        wanted = ["Cancelled"] * 4 + ["Late"]
        until(lambda: [run.state.name for run in due()] == wanted, 120, lambda: f"{[run.state for run in due()]} {stack.said()}")
        assert {run.state.message for run in due()[:4]} == {"too late: a later run of this schedule waits"}
        client.delete_flow_run(due()[-1].id)


COMMAND = """
from flows.cli.server import prefect_ready

with prefect_ready():
    from prefect import flow

    flow(lambda: None, name="from the command line")()
"""


def test_commands_use_the_server_that_is_up(stack: Stack) -> None:
    subprocess.run([sys.executable, "-c", COMMAND], cwd=ROOT, env=stack.environment, check=True, capture_output=True)
    with stack.client() as client:
        names = [client.read_flow(run.flow_id).name for run in client.read_flow_runs()]
    assert names.count("from the command line") == 1


def test_a_run_survives_its_worker_and_its_server(stack: Stack, folder: Path) -> None:
    """Begun once by each worker that was there for it, and done once; a slot that another run holds meanwhile stays its own."""
    worker = stack.worker("cpu")
    assert "is up already" in stack.lorasmith("worker", "up", "--pool", "cpu")
    run = stack.run("patient/patient", folder=str(folder))
    begun(stack, folder)
    engine = process_of(folder)
    worker.send_signal(signal.SIGINT)  # which the shell that started it wanted ignored
    assert worker.wait(120) == 0
    assert not is_alive(engine)
    assert stack.states(run)[-1] == "AwaitingRetry"

    stack.worker("cpu")
    with stack.client() as client:
        client.upsert_global_concurrency_limit_by_name("toy-slot", 1)
    holder = stack.run("holding/holding", folder=str(folder))
    begun(stack, folder, 2)
    until(lambda: "held" in notes(folder), 240, stack.said)
    leases = stack.home / "prefect" / "concurrency_leases"
    held = {file.name for file in leases.glob("*.json")}
    kill_server(stack)
    assert slots(stack) == 1
    assert held <= {file.name for file in leases.glob("*.json")}
    (folder / "go").touch()
    for each in (run, holder):
        stack.until_state(each, "Completed")
    assert slots(stack) == 0
    assert [notes(folder).count(word) for word in ("begun", "done", "held", "released")] == [2, 1, 1, 1]


def test_a_run_that_finds_the_server_away_crashes_and_goes_on(stack: Stack, folder: Path) -> None:
    """It has not failed: nothing was wrong with it."""
    stack.worker("cpu")
    run = stack.run("losing/losing", folder=str(folder))
    stack.until_state(run, "Completed", 240)
    assert notes(folder) == ["begun", "begun", "done"]
    assert [state for state in stack.states(run) if state in ("Crashed", "Failed", "AwaitingRetry")] == ["Crashed", "AwaitingRetry"]


def slots(stack: Stack) -> int:
    """Of the limit that the holding flow takes a slot of."""
    with stack.client() as client:
        taken: int = client.read_global_concurrency_limit_by_name("toy-slot").active_slots
    return taken


def test_a_training_ends_with_its_worker_its_run_and_when_it_is_cancelled(stack: Stack, folder: Path) -> None:
    """With all its processes, also those in sessions of their own that ignore signals. In between the next worker takes it up."""
    worker, mark = stack.worker("gpu"), f"MARK-{folder.name}"
    run = stack.run("training/training", folder=str(folder))
    until(lambda: len(marked(mark)) == 4, 240, stack.said)
    first = marked(mark)
    until(lambda: str(run) in (stack.home / "prefect" / "worker-gpu.json").read_text(), 60, "the run is not on its worker's list")
    worker.kill()
    until(lambda: not any(is_alive(process.pid) for process in first), 60, lambda: f"survivors: {marked(mark)}")
    worker.wait(60)

    keeper = stack.worker("gpu")
    until(lambda: len(marked(mark)) == 4, 240, stack.said)
    second = marked(mark)
    until(lambda: str(run) in (stack.home / "prefect" / "worker-gpu.json").read_text(), 60, "the run is not on its worker's list")
    kill_worker(keeper.pid)  # alone: its keeper does the rest
    until(lambda: not any(is_alive(process.pid) for process in second), 60, lambda: f"survivors: {marked(mark)}")
    until(lambda: len(marked(mark)) == 4, 240, stack.said)
    assert "Crashed" not in stack.states(run), "settled by its keeper, not by silence"
    stack.cancel(run)
    until(lambda: marked(mark) == [], 60, lambda: f"survivors: {marked(mark)}")
    stack.until_state(run, "Cancelled")


def test_a_run_that_was_taken_for_dead_and_lives_goes_on(stack: Stack, folder: Path) -> None:
    """As a server does that was too busy to hear it: the run is not begun a second time."""
    from prefect.states import Crashed

    stack.worker("gpu")
    run = stack.run("patient/patient-gpu", folder=str(folder))
    begun(stack, folder)
    until(lambda: str(run) in (stack.home / "prefect" / "worker-gpu.json").read_text(), 60, "the run is not on its worker's list")
    with stack.client() as client:
        client.set_flow_run_state(run, Crashed(message="no heartbeat for 90 seconds: its process is gone"), force=True)
    stack.until_state(run, "Running", 60)
    assert stack.states(run)[-2:] == ["Crashed", "Running"]
    (folder / "go").touch()
    stack.until_state(run, "Completed")
    assert notes(folder) == ["begun", "done"]


def kill_worker(keeper: int) -> None:
    """Prefect's own process, below keeper and reaper."""
    (reaper,) = psutil.Process(keeper).children()
    (worker,) = [process for process in reaper.children() if "worker" in process.cmdline()]
    worker.kill()


def test_a_run_whose_machine_is_gone_crashes_and_goes_on(stack: Stack, folder: Path) -> None:
    """All of a worker dies in one moment, its list of runs too: silence alone tells, here ten seconds of it, not ninety.

    The pool takes one run at a time: the one that waits for its turn has it after that.
    """
    worker, other = stack.worker("gpu"), folder / "other"
    other.mkdir()
    run = stack.run("patient/patient-gpu", folder=str(folder))
    hastened = hasten_zombies(stack, run)
    begun(stack, folder)
    waiting = stack.run("patient/patient-gpu", folder=str(other))
    tree = [psutil.Process(worker.pid), *psutil.Process(worker.pid).children(recursive=True)]
    for act in (psutil.Process.suspend, psutil.Process.kill):
        for process in tree:
            act(process)
    worker.wait(60)
    (stack.home / "prefect" / "worker-gpu.json").unlink()
    until(lambda: "Crashed" in stack.states(run), 120, lambda: f"{stack.states(run)}")
    stack.until_state(run, "AwaitingRetry")
    with stack.client() as client:
        for automation in hastened:
            client.delete_automation(automation)
    stack.worker("gpu")
    for each in (folder, other):
        (each / "go").touch()
    for done in (run, waiting):
        stack.until_state(done, "Completed", 240)
    assert notes(folder) == ["begun", "begun", "done"]
    assert notes(other) == ["begun", "done"]
    kept = [json.loads(line) for line in (stack.home / "logs" / "events.jsonl").read_text().splitlines()]
    assert str(run) in {line["payload"].get("id") for line in kept if line["event"] == "lorasmith.run.resumed"}


def hasten_zombies(stack: Stack, run: UUID) -> list[UUID]:
    """The automations that are shipped, for one run, after ten seconds of silence; their ids."""
    from prefect.events.schemas.automations import AutomationCore

    made = []
    with stack.client() as client:
        for shipped in automating.automations_of(automating.FOLDER / "zombies.yaml"):
            trigger = shipped["trigger"] | {"match": {"prefect.resource.id": f"prefect.flow-run.{run}"}, "within": 10}
            hasty = AutomationCore.model_validate({**shipped, "name": f"hasty-{shipped['name']}", "trigger": trigger})
            made.append(client.create_automation(hasty))
    return made


def test_what_an_operator_paused_stays_paused_and_what_was_moved_comes_back(stack: Stack) -> None:
    """And nothing is there twice. A deployment in another pool than prefect.yaml says is a fault, told until it is mended."""
    from prefect.client.schemas.actions import DeploymentUpdate

    wanted = provisioning.deployments_of(TOYS)
    with stack.client() as client:
        assert provisioning.read_back(client, wanted) == []
        patient = client.read_deployment_by_name("patient/patient")
        client.update_deployment(patient.id, DeploymentUpdate(work_pool_name="gpu", tags=["resume"]))
        with pytest.raises(FlowError, match=r"patient: pool is 'gpu', not 'cpu'"):
            provisioning.read_back(client, wanted)
        assert provisioning.read_back(client, [each for each in wanted if each["name"] != "patient"])

        scheduled = client.read_deployment_by_name("patient/scheduled")
        client.update_deployment_schedule(scheduled.id, scheduled.schedules[0].id, active=False)
        automations = {one.name: one for one in client.read_automations()}
        for name in ASLEEP:
            client.pause_automation(automations[name].id)

        remarks = provisioning.provide(TOYS, stack.prefect_environment(), automating.FOLDER)
        assert [remark for remark in remarks if not remark.startswith("automation lorasmith-")] == []
        assert client.read_deployment_by_name("patient/patient").work_pool_name == "cpu"
        again = client.read_deployment_by_name("patient/scheduled")
        assert again.id == scheduled.id
        assert [schedule.active for schedule in again.schedules] == [False]
        found = client.read_automations()
        assert sorted(one.name for one in found) == sorted(automations)
        assert {one.name for one in found if not one.enabled} == ASLEEP


def test_a_port_that_is_taken_is_one_line(tmp_path: Path, environment: dict[str, str]) -> None:
    elsewhere = Stack(tmp_path, environment | {"LORASMITH_HOME": str(tmp_path)})
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        said = elsewhere.lorasmith("server", "up", "--background", "--port", str(port), code=2)
    assert said.startswith(f"lorasmith: port {port} of 127.0.0.1 is taken: name another with --port")
    assert said.count("\n") == 1
    assert "no Prefect server is up" in elsewhere.lorasmith("worker", "up", "--pool", "cpu", code=2)
    assert "there are gpu and cpu" in elsewhere.lorasmith("worker", "up", "--pool", "tpu", code=2)


def test_a_server_goes_with_its_keeper(stack: Stack) -> None:
    """The file that says where it was stays, and counts for nothing; the next start overwrites it, as the first one here did."""
    server = server_process(stack)
    os.kill(stack.state()["pid"], signal.SIGKILL)
    until(lambda: not is_alive(server.pid), 30, "the server outlived its keeper")
    assert stack.has_state()
    assert "no Prefect server is up" in stack.lorasmith("server", "status")
    assert "no Prefect server was up" in stack.lorasmith("server", "down")
