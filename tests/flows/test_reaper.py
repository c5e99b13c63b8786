"""Nothing that a step started outlives it."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).resolve().parents[2]

# A child, a grandchild in a session of its own that ignores SIGTERM, and their process ids in a file.
TREE = """
import os, signal, subprocess, sys, time
stubborn = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(300)"
child = subprocess.Popen([sys.executable, "-c", stubborn], start_new_session=True)
open(sys.argv[1], "w").write(f"{os.getpid()} {child.pid}")
time.sleep(300)
"""


def start(tmp_path: Path) -> tuple["subprocess.Popen[bytes]", list[int]]:
    pids = tmp_path / "pids"
    command = [sys.executable, "-m", "flows.orchestration.reaper", "1", sys.executable, "-c", TREE, str(pids)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, cwd=ROOT)
    deadline = time.monotonic() + 30
    while not (pids.exists() and len(pids.read_text().split()) == 2):
        assert time.monotonic() < deadline, "the tree did not start"
        time.sleep(0.05)
    return process, [int(pid) for pid in pids.read_text().split()]


@pytest.mark.parametrize("how", ["parent gone", "SIGTERM", "SIGINT"])
def test_the_whole_tree_ends(tmp_path: Path, how: str) -> None:
    process, pids = start(tmp_path)
    if how == "parent gone":
        assert process.stdin
        process.stdin.close()
    else:
        process.send_signal(signal.Signals[how])
    assert process.wait(20) != 0
    assert [pid for pid in pids if psutil.pid_exists(pid)] == []
    if process.stdin:
        process.stdin.close()


@pytest.mark.parametrize("code", [0, 3, 130])
def test_the_exit_code_is_the_commands(code: int) -> None:
    command = [sys.executable, "-m", "flows.orchestration.reaper", "1", sys.executable, "-c", f"raise SystemExit({code})"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, cwd=ROOT) as process:
        assert process.wait(20) == code
