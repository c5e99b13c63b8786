"""Ctrl-C as a terminal sends it: to the whole group, at several moments of a publish over a live release."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from tests.end_to_end.conftest import ROOT, Changed, half_written, live

Publishing = subprocess.Popen[str]
COMMAND = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # the shell of the tests may have it ignored
from flows.cli.main import main
main()
"""


def until_prefect_starts(process: Publishing) -> None:
    deadline = time.monotonic() + 120
    while not psutil.Process(process.pid).children():
        assert process.poll() is None
        assert time.monotonic() < deadline, "no child was started"
        time.sleep(0.02)


def until_training_without_its_server(process: Publishing) -> None:
    """The server of the run dies first, as it did where Ctrl-C reached it too."""
    said(process, "= dataset")
    deadline = time.monotonic() + 120
    while not (running := children(process, "training.run")):
        assert time.monotonic() < deadline, "training did not start"
        time.sleep(0.05)
    assert running
    for server in children(process, "uvicorn"):
        server.kill()


def until_deploy(process: Publishing) -> None:
    said(process, "✓ package")


def children(process: Publishing, word: str) -> list[psutil.Process]:
    return [child for child in psutil.Process(process.pid).children(recursive=True) if word in " ".join(child.cmdline())]


def said(process: Publishing, words: str) -> None:
    assert process.stderr
    assert any(words in line for line in process.stderr), f"{words} was not said"


@pytest.mark.parametrize(
    ("section", "change", "moment"),
    [
        ("serving", {"keep_alive": 71}, until_prefect_starts),
        ("training", {"seed": 71}, until_training_without_its_server),
        ("serving", {"keep_alive": 71}, until_deploy),
    ],
    ids=["start", "training", "deploy"],
)
def test_it_ends_with_one_line_and_the_code_and_leaves_what_is_live(
    section: str,
    change: dict[str, int],
    moment: Callable[[Publishing], None],
    published: object,
    changed: Changed,
    environment: dict[str, str],
    home: Path,
) -> None:
    before = live(home)
    process = subprocess.Popen(
        [sys.executable, "-c", COMMAND, "publish", str(changed(section, change))],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=environment,
        start_new_session=True,
    )
    with process:
        assert process.stderr
        moment(process)
        started = psutil.Process(process.pid).children(recursive=True)
        os.killpg(process.pid, signal.SIGINT)
        rest = process.stderr.read()
        assert process.wait(120) == 130, rest
    assert "Traceback" not in rest
    assert rest.splitlines()[-1] == "lorasmith: interrupted; run the same command again to go on from here"
    assert rest.count("lorasmith: ") == 1
    assert psutil.wait_procs(started, timeout=30)[1] == []
    assert half_written(home) == []
    assert live(home) == before
