"""Training on the GPU pool, with a real server and workers: one at a time, found again, ended with its parent, its fault told."""

import json
import os
import signal
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import psutil
import pytest
from prefect import get_client
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import FlowRun
from prefect.deployments import run_deployment
from prefect.states import Cancelled, Cancelling, Failed

from flows.errors import FlowError
from flows.orchestration.orchestrator import POOLS
from flows.orchestration.profiles import load_profile, template
from flows.orchestration.provisioning import provide
from flows.store import Artefact, make
from tests.operations.pool_flows import LINE
from tests.operations.prefect import ROOT, Prefect, until

FILE = Path(__file__).with_name("pool.yaml")
SECONDS = 120.0  # for anything to happen, on a busy machine


class Shop:
    """What a test does and sees: publishes begun, trainings of the server, notes that both have left."""

    def __init__(self, prefect: Prefect, client: SyncPrefectClient, home: Path) -> None:
        self.prefect, self.client, self.home = prefect, client, home
        self.deployment = client.read_deployment_by_name("publish/publish").id
        self.verdict = artefact(home, "verdict", {"verdict.json": {"nodes": []}})
        self.dataset = artefact(home, "dataset", {"manifest.json": {"hash": "0" * 64}})

    def publish(self, seed: int, trigger: str = "at once", title: str = "Toy") -> UUID:
        given = {"job": job_of(self, seed, trigger, title), "licences": self.verdict.key, "dataset": self.dataset.key}
        return self.client.create_flow_run_from_deployment(self.deployment, parameters=given).id

    def notes(self, seed: int) -> list[dict[str, Any]]:
        file = self.home / "notes.jsonl"
        lines = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
        return [line for line in lines if line["seed"] == seed]

    def trainings(self, seed: int) -> list[FlowRun]:
        runs = [run for run in self.client.read_flow_runs() if "target" in run.parameters]
        return [run for run in runs if run.parameters["job"]["training"]["seed"] == seed]

    def state(self, run: UUID) -> str:
        state = self.client.read_flow_run(run).state
        assert state
        return state.type.value

    def ended(self, run: UUID) -> str:
        """The state that a run ends in."""
        over = ("COMPLETED", "FAILED", "CANCELLED", "CRASHED")
        until(lambda: self.state(run) in over, SECONDS, lambda: f"{self.state(run)}: {self.log()}")
        return self.state(run)

    def begun(self, seed: int) -> None:
        until(lambda: bool(self.toys(seed)), SECONDS, lambda: f"no training: {self.log()}")

    def toys(self, seed: int) -> list[psutil.Process]:
        return [process for process in psutil.process_iter(["cmdline"]) if (process.info["cmdline"] or [""])[-1] == f"TOY-{seed}"]

    def log(self) -> str:
        return (self.prefect.folder / "worker.log").read_text()[-3000:]


def job_of(shop: Shop, seed: int, trigger: str = "at once", title: str = "Toy") -> dict[str, Any]:
    return {
        "name": "toy",
        "base": {"ref": str(ROOT / "examples" / "base")},
        "dataset": {"path": str(shop.home), "trigger": trigger},
        "training": {"seed": seed},
        "serving": {"app": "toy"},
        "listing": {"title": title, "short_description": "A toy."},
    }


def artefact(home: Path, kind: str, content: dict[str, Any]) -> Artefact:
    def write(out: Path) -> None:
        for name, value in content.items():
            (out / name).write_text(json.dumps(value))

    return make(home, kind, {"of": "a toy"}, write)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory, environment: dict[str, str], home: Path) -> Iterator[Shop]:
    soon = {"PREFECT_SERVER_SERVICES_CANCELLATION_CLEANUP_LOOP_SECONDS": "2"}  # in place of 20
    server = Prefect(tmp_path_factory.mktemp("prefect"), environment, file=FILE, extra=soon)
    try:
        server("work-pool", "set-concurrency-limit", "gpu", "1")
        with server.client_settings(), get_client(sync_client=True) as client:
            yield Shop(server, client, home)
    finally:
        server.end()


def test_two_trainings_take_turns_and_two_publishes_of_one_job_share_theirs(shop: Shop) -> None:
    runs = [shop.publish(1), shop.publish(2), shop.publish(1, title="Other words")]
    assert [shop.ended(run) for run in runs] == ["COMPLETED"] * 3
    assert [len(shop.trainings(seed)) for seed in (1, 2)] == [1, 1]
    moments = sorted((note["at"], note["event"]) for seed in (1, 2) for note in shop.notes(seed) if note["event"] != "published")
    assert [event for _, event in moments] == ["begin", "end", "begin", "end"]


def test_what_is_made_is_found_without_a_run(shop: Shop) -> None:
    assert shop.ended(shop.publish(1)) == "COMPLETED"
    assert len(shop.trainings(1)) == 1


def test_the_fault_of_a_training_is_the_publishs_and_does_not_stay_for_ever(shop: Shop) -> None:
    for attempt in (1, 2):
        assert shop.ended(shop.publish(3, "fails")) == "FAILED"
        assert [note["event"] for note in shop.notes(3)] == ["begin", f"4: {LINE}"] * attempt
    assert sorted(str(run.idempotency_key)[-2:] for run in shop.trainings(3)) == ["-1", "-2"]


def test_a_publish_that_was_killed_finds_its_training_and_one_that_is_cancelled_ends_it(shop: Shop) -> None:
    first = shop.publish(4, "waits")
    shop.begun(4)
    (engine,) = engines(shop, first)
    os.kill(engine.pid, signal.SIGKILL)
    second = shop.publish(4, "waits")
    until(lambda: bool(engines(shop, second)), SECONDS, shop.log)
    until(lambda: "goes on in run" in shop.log(), SECONDS, shop.log)
    assert shop.toys(4), "the training of a publish that died goes on"
    assert len(shop.trainings(4)) == 1

    shop.client.set_flow_run_state(second, Cancelling())
    until(lambda: not shop.toys(4), SECONDS, shop.log)
    assert shop.ended(second) == "CANCELLED"
    (training,) = shop.trainings(4)
    assert shop.ended(training.id) == "CANCELLED"
    assert [note["event"] for note in shop.notes(4)] == ["begin"]


def engines(shop: Shop, run: UUID) -> list[psutil.Process]:
    """The process of a run, below the worker."""
    below = psutil.Process(shop.prefect.workers["cpu"].pid).children(recursive=True)
    return [process for process in below if runs_here(process, run)]


def runs_here(process: psutil.Process, run: UUID) -> bool:
    try:
        return process.environ().get("PREFECT__FLOW_RUN_ID") == str(run) and "prefect.engine" in process.cmdline()
    except psutil.Error:
        return False


def test_prefect_gives_the_first_run_of_a_key_back_for_ever_with_its_old_parameters(shop: Shop) -> None:
    """Why the key of a training counts attempts."""
    later, given = (
        datetime.now(UTC) + timedelta(days=1),
        {"job": job_of(shop, 6), "licences": "x", "dataset": "x", "target": "sandbox"},
    )
    ask = partial(run_deployment, "train/train", timeout=0, scheduled_time=later, idempotency_key="one key", as_subflow=False)
    first = ask(parameters=given)
    shop.client.set_flow_run_state(first.id, Failed(), force=True)
    second = ask(parameters=given | {"licences": "others"})
    assert (second.id, second.parameters["licences"], second.state.is_failed()) == (first.id, "x", True)


def test_the_server_cancels_the_training_of_a_publish_that_is_cancelled_and_gone(shop: Shop) -> None:
    """The second line: the publish was killed, so that it can not do so itself."""
    parent = shop.publish(7, "waits")
    shop.begun(7)
    (engine,) = engines(shop, parent)
    worker = psutil.Process(shop.prefect.workers["cpu"].pid)
    worker.suspend()  # so that nobody tells the server of the crash
    try:
        os.kill(engine.pid, signal.SIGKILL)
        shop.client.set_flow_run_state(parent, Cancelled(), force=True)
        until(lambda: not shop.toys(7), SECONDS, shop.log)
    finally:
        worker.resume()
    assert [shop.ended(run.id) for run in shop.trainings(7)] == ["CANCELLED"]


@pytest.mark.parametrize(("name", "file"), [("docker", FILE), ("kubernetes", ROOT / "prefect.yaml")], ids=["docker", "kubernetes"])
def test_prefect_takes_a_profiles_pools_and_all_deployments(shop: Shop, name: str, file: Path, tmp_path: Path) -> None:
    for worker in shop.prefect.workers.values():  # one that is up would make its pool again as it was
        if worker.poll() is None:
            shop.prefect.kill(worker)
    for pool in POOLS:
        shop.client.delete_work_pool(pool)
    deployed = partial(provide, file, shop.prefect.environment, tmp_path)
    assert deployed(name) == []
    for pool, wanted in load_profile(name).pools.items():
        found = shop.client.read_work_pool(pool)
        assert (found.type, found.concurrency_limit, found.base_job_template) == (name, wanted.limit, template(wanted))
    training = shop.client.read_deployment_by_name("train/train")
    assert training.pull_steps == [{"prefect.deployments.steps.set_working_directory": {"directory": "/app"}}]
    with pytest.raises(FlowError, match=f"is of type {name}, and process in the profile"):
        deployed("laptop")
