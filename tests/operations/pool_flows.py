"""publish and train for a real server: the true way to the GPU pool and back, around a trainer that takes no time."""

import json
import subprocess
import sys
import time
from pathlib import Path

from prefect import flow

from flows import step_inputs
from flows.adapter_steps import adapter_inputs
from flows.errors import GateRejected, StepFailed
from flows.home import home
from flows.job import Job
from flows.machines.compute import GRACE_SECONDS
from flows.machines.pool_training import fault_told, train_on_pool
from flows.store import make
from flows.train import kept

LINE = "the adapter was not accepted: it is a toy"


def note(event: str, job: Job) -> None:
    """One line of what happened, and when."""
    with (home() / "notes.jsonl").open("a") as file:
        file.write(json.dumps({"event": event, "seed": job.training.seed, "at": time.time()}) + "\n")


@flow(name="publish")
def publish(job: Job, licences: str, dataset: str) -> None:
    try:
        train_on_pool(job, kept("dataset", dataset), kept("verdict", licences), "sandbox")
    except StepFailed as error:
        note(f"{error.exit_code}: {error}", job)
        raise
    note("published", job)


@flow(name="train")
def train(job: Job, licences: str, dataset: str, target: str) -> None:
    """What the job's trigger says: `fails`, or `waits` with a process of its own until the test says go."""
    with fault_told():
        inputs = adapter_inputs(job, kept("dataset", dataset), kept("verdict", licences))
        adapter = make(home(), "adapter", inputs, lambda out: trained(job, out))
        make(home(), "bundle", step_inputs.evaluation_inputs(job, adapter.key, {}), lambda out: None)


def trained(job: Job, out: Path) -> None:
    note("begin", job)
    if job.dataset.trigger == "fails":
        raise GateRejected(LINE)
    if job.dataset.trigger == "waits":
        wait_for_go(job)
    (out / "training.json").write_text("{}")
    note("end", job)


def wait_for_go(job: Job) -> None:
    """Under the reaper, as the trainer is."""
    words = [
        "-m",
        "flows.orchestration.reaper",
        str(GRACE_SECONDS),
        sys.executable,
        "-c",
        "import time; time.sleep(600)",
        f"TOY-{job.training.seed}",
    ]
    child = subprocess.Popen([sys.executable, *words], stdin=subprocess.PIPE)
    assert child.stdin
    try:
        while not (home() / "go").exists():
            time.sleep(0.1)
    finally:
        child.stdin.close()
        child.wait(GRACE_SECONDS + 15)
