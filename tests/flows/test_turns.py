"""Runs deploy one app at once: Prefect's limit lets one in at a time, and a run that was killed keeps nobody out."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest

from flows.turns import given_back

ROOT = Path(__file__).resolve().parents[2]
SERVER = """
import os, subprocess, sys
from flows.cli.server import prefect_ready
with prefect_ready():
    from prefect.settings import PREFECT_API_URL
    environment = os.environ | {"PREFECT_API_URL": PREFECT_API_URL.value()}
    both = [subprocess.Popen([sys.executable, "-c", os.environ["RUN"], sys.argv[1]], env=environment) for _ in range(2)]
    print(*sorted(each.wait(120) for each in both))
"""
RUN = r"""
import os, pathlib, sys, time
from flows.turns import deploy_turn
log, held = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[1]).with_name("held")
def tell(word):
    with log.open("a") as file:
        file.write(f"{word} {os.getpid()}\n")
log.touch()
with deploy_turn("sandbox", "toy", busy=held.exists, wait=60, progress=lambda line: tell("waits")):
    tell("in")
    if log.read_text().count("in ") == 2:
        sys.exit(0)
    held.touch()
    deadline = time.monotonic() + 60
    while "waits" not in log.read_text() and time.monotonic() < deadline:
        time.sleep(0.01)
    tell("dies")
    held.unlink()
    os._exit(9)
"""


@pytest.fixture
def log(tmp_path: Path) -> list[list[str]]:
    """What two processes told: the first dies in its turn, once the other waits for it."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    environment = kept | {"LORASMITH_HOME": str(tmp_path / "home"), "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "RUN": RUN}
    command = [sys.executable, "-c", SERVER, str(tmp_path / "log")]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=300, check=True)
    assert done.stdout.split() == ["0", "9"], done.stderr
    return [line.split() for line in (tmp_path / "log").read_text().splitlines()]


def test_one_run_is_let_in_and_when_it_is_killed_the_next(log: list[list[str]]) -> None:
    first, second = (run for word, run in log if word == "in")
    assert log == [["in", first], ["waits", second], ["dies", first], ["in", second]]


def test_a_turn_that_no_server_takes_back_does_not_fail_the_deploy() -> None:
    """It asks a port where nobody is, as a slot's end does while the server is away."""

    @contextmanager
    def slot() -> Iterator[None]:
        yield
        httpx.post("http://127.0.0.1:9/api/v2/concurrency_limits/decrement-with-lease", trust_env=False)

    turn, said = ExitStack(), list[str]()
    turn.enter_context(slot())
    given_back(turn, said.append)
    assert len(said) == 1
    assert "ends with its lease" in said[0]
