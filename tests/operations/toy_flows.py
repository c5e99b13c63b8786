"""Small flows for a real server: one that sleeps and writes what it did, one with children as a trainer has them."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
from prefect import flow
from prefect.concurrency.sync import concurrency

from flows.machines.compute import GRACE_SECONDS
from flows.orchestration.server_away import crashing

STUBBORN = "import signal, time; [signal.signal(n, signal.SIG_IGN) for n in (signal.SIGTERM, signal.SIGINT)]; time.sleep(600)"
TREE = (
    f"import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', {STUBBORN!r}, 'MARK'], start_new_session=True);"
    f"subprocess.Popen([sys.executable, '-c', {STUBBORN!r}, 'MARK']); time.sleep(600)"
)


def note(folder: str, line: str) -> None:
    """One line more of what happened, with the process that it happened in."""
    with (Path(folder) / "notes").open("a") as file:
        file.write(f"{line} {os.getpid()}\n")


def wait_for(folder: str, name: str, seconds: float = 900) -> None:
    """Until the test has made a file of this name."""
    deadline = time.monotonic() + seconds
    while not (Path(folder) / name).exists():
        assert time.monotonic() < deadline, f"{name} did not come"
        time.sleep(0.1)


@flow
def patient(folder: str, crash: bool = False) -> None:
    """Begun, then done when the test says go; or killed by its own hand at every attempt."""
    note(folder, "begun")
    if crash:
        os.kill(os.getpid(), signal.SIGKILL)
    wait_for(folder, "go")
    note(folder, "done")


@flow
def brief() -> None:
    """Done at once."""


@flow
def holding(folder: str) -> None:
    """Holds a slot of a limit while it waits."""
    with concurrency("toy-slot", occupy=1, strict=True):
        note(folder, "held")
        wait_for(folder, "go")
    note(folder, "released")


@flow
@crashing
def losing(folder: str) -> None:
    """Finds Prefect's server away, the first time."""
    note(folder, "begun")
    if (Path(folder) / "notes").read_text().count("begun") == 1:
        asked = httpx.Request("POST", f"{os.environ['PREFECT_API_URL']}/task_runs/")
        raise httpx.ConnectError("connection refused", request=asked)
    note(folder, "done")


@flow
def training(folder: str) -> None:
    """As flows/machines/compute.py does: under the reaper, a tree with a process in a session of its own that ignores signals."""
    command = [
        sys.executable,
        "-m",
        "flows.orchestration.reaper",
        str(GRACE_SECONDS),
        sys.executable,
        "-c",
        TREE,
        f"MARK-{Path(folder).name}",
    ]
    with Path(folder, "out").open("wb") as out:
        child = subprocess.Popen(
            [word.replace("'MARK'", f"'MARK-{Path(folder).name}'") for word in command],
            stdin=subprocess.PIPE,
            stdout=out,
            stderr=out,
        )
    note(folder, "begun")
    assert child.stdin
    try:
        child.wait()
    finally:
        child.stdin.close()
        child.wait(GRACE_SECONDS + 15)
