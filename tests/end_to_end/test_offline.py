"""A publish with its trainer, sandbox and Prefect server calls nobody beyond this machine, though nobody has asked for that."""

import subprocess
import sys
from pathlib import Path

from tests.end_to_end.conftest import ROOT, Run


def test_nobody_beyond_this_machine_is_called(
    published: "subprocess.CompletedProcess[str]", lorasmith: Run, environment: dict[str, str], calls: Path
) -> None:
    for command in (["status"], ["runs", "list"], ["logs"]):
        assert lorasmith(*command).returncode == 0
    assert not calls.exists(), calls.read_text()


def test_who_calls_somebody_is_seen(environment: dict[str, str], tmp_path: Path) -> None:
    script = "import socket; socket.create_connection(('192.0.2.1', 80), timeout=1)"
    env = environment | {"CALLS": str(tmp_path / "calls")}
    found = subprocess.run([sys.executable, "-c", script], env=env, cwd=ROOT, capture_output=True, check=False)
    assert found.returncode == 1
    assert "192.0.2.1" in (tmp_path / "calls").read_text()


def test_the_run_can_be_looked_up_afterwards(published: "subprocess.CompletedProcess[str]", lorasmith: Run) -> None:
    (run,) = [line for line in lorasmith("runs", "list").stdout.splitlines() if " done " in line][-1:]
    shown = lorasmith("runs", "show", run.split()[3]).stdout
    for part in ("steps ", "release ", "license report ", "held-out loss ", "log "):
        assert part in shown
    assert "✓ preflight" in lorasmith("logs", run.split()[3]).stdout
