"""A training as it would be without the reaper, and with a task's timeout and retry; for tests/operations/bare.py alone."""

import subprocess
import sys
from pathlib import Path

from prefect import flow, task

from tests.operations.toy_flows import TREE, note

TIMEOUT_SECONDS = 5


def started(folder: str) -> "subprocess.Popen[bytes]":
    """A launcher with two workers, one of them in a session of its own; both ignore signals."""
    mark = f"MARK-{Path(folder).name}"
    with Path(folder, "out").open("ab") as out:
        return subprocess.Popen([sys.executable, "-c", TREE.replace("'MARK'", f"'{mark}'"), mark], stdout=out, stderr=out)


@flow
def tree(folder: str) -> None:
    note(folder, "begun")
    started(folder).wait()


@task(timeout_seconds=TIMEOUT_SECONDS, retries=1)
def timed(folder: str) -> None:
    note(folder, "begun")
    started(folder).wait()


@flow
def impatient(folder: str) -> None:
    timed(folder)
