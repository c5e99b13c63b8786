"""The book of runs and the logs: every run is in it from its first moment, however it ends, and can be looked up."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from flows.books import log_files, run_book
from flows.books.records import write_json
from flows.cli.main import app
from flows.errors import GateRejected
from flows.progress import say

ROOT = Path(__file__).resolve().parents[2]
SLEEPER = """
import time
from flows.books import run_book
with run_book.entry("fox", "fox", "sandbox"):
    print(flush=True)
    time.sleep(600)
"""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LORASMITH_HOME", str(tmp_path))
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    return tmp_path


def told(*arguments: str, code: int = 0) -> str:
    result = CliRunner().invoke(app, [*arguments])
    assert result.exit_code == code, (result.output, result.exception)
    return result.output


def run(name: str = "fox", *, ends: BaseException | None = None) -> str:
    with run_book.entry(name, name, "sandbox") as identity:
        say("✓ dataset     done  1234")
        if ends:
            raise ends
    return identity


def failed(ends: BaseException) -> dict[str, Any]:
    with pytest.raises(type(ends)):
        run(ends=ends)
    return run_book.listed()[0]


def test_a_run_that_is_done_says_so() -> None:
    identity = run()
    found = run_book.found(identity[:5])
    assert (found["state"], found["exit_code"], found["app"], found["flow"]) == ("done", 0, "fox", "publish")
    assert f"done        {identity}  fox (sandbox)" in told("runs", "list")


@pytest.mark.parametrize(
    ("error", "state", "code"),
    [
        (GateRejected("not better\nthan its base"), "failed", 4),
        (RuntimeError("no idea"), "failed", 1),
        (KeyboardInterrupt(), "interrupted", 130),
    ],
)
def test_a_run_that_is_not_says_why_in_one_line(error: BaseException, state: str, code: int) -> None:
    found = failed(error)
    assert (found["state"], found["exit_code"]) == (state, code)
    assert "\n" not in (found["line"] or "")
    if state == "failed":
        assert f"failed ({code})" in told("runs", "list")


def test_a_run_that_is_suspended_waits() -> None:
    from prefect.exceptions import Pause

    assert failed(Pause())["state"] == "waiting"


def test_a_run_that_prefect_ended_is_no_fault_of_its_own() -> None:
    from prefect._internal.concurrency.cancellation import CancelledError
    from prefect.exceptions import TerminationSignal

    for error in (TerminationSignal(signal.SIGTERM), CancelledError()):
        found = failed(error)
        assert (found["state"], found["line"]) == ("killed", run_book.ENDED_FROM_OUTSIDE)


def test_a_run_that_was_killed_is_told_from_one_that_runs(home: Path) -> None:
    child = subprocess.Popen([sys.executable, "-c", SLEEPER], stdout=subprocess.PIPE, cwd=ROOT)
    assert child.stdout
    child.stdout.readline()
    assert "running     fox-" in told("runs", "list")
    child.send_signal(signal.SIGKILL)
    child.wait(30)
    child.stdout.close()
    assert "killed      fox-" in told("runs", "list")


def test_what_a_run_writes_to_its_record_stays_in_it(home: Path) -> None:
    with run_book.entry("fox", "fox", "sandbox") as identity:
        say("a line")
        path = run_book.folder() / f"{identity}.json"
        write_json(path, run_book.read(path) | {"seconds": {"train": 1.5}, "bundle": "/store/bundle"})
    shown = told("runs", "show", identity)
    assert "steps            train 1.5 s" in shown
    assert "adapter          /store/bundle" in shown
    assert f"lorasmith logs {identity}" in shown
    assert json.loads(told("runs", "show", identity, "--json"))["bundle"] == "/store/bundle"


def test_a_record_of_before_runs_were_booked_is_shown_too(home: Path) -> None:
    (home / "runs").mkdir()
    write_json(home / "runs" / "fox-1.json", {"run": "fox-1", "app": "fox", "target": "sandbox"})
    write_json(home / "runs" / "last.json", {"run": "fox-1", "app": "fox", "target": "sandbox"})
    assert len(told("runs", "list").splitlines()) == 1


def test_a_run_that_is_not_here_is_refused_with_what_to_do() -> None:
    run(), run()
    for wrong, said in (("wolf", "is no run of this home"), ("fox", "begins 2 ids"), ("", "")):
        result = CliRunner().invoke(app, ["runs", "show", wrong])
        assert getattr(result.exception, "exit_code", None) == 2
        assert said in str(result.exception)


def test_logs_show_a_runs_lines_and_what_its_trainer_wrote_meanwhile(home: Path) -> None:
    work = home / "work" / "abc"
    work.mkdir(parents=True)
    (work / "old.log").write_text("of an earlier run\n")
    os.utime(work / "old.log", (1, 1))
    with run_book.entry("fox", "fox", "sandbox") as identity:
        say("! gate        not sure")
        step = {"event": "step", "stage": "train", "step": 3, "total": 9, "loss": 0.5, "steps_per_second": 3.84}
        (work / "train.jsonl").write_text(json.dumps(step) + "\n")
        (work / "train.log").write_text("a library said this\n")
    shown = told("logs", identity)
    assert "! gate        not sure" in shown
    assert "==> work/abc/train.log <==\na library said this" in shown
    assert "step train 3 of 9, loss 0.5000, 3.84 steps/s" in shown
    assert "of an earlier run" not in shown
    assert "of an earlier run" in told("logs")
    assert told("logs", identity, "-n", "0").count("\n") == 3


def test_logs_that_are_followed_come_by_whole_lines_and_end_with_their_run(home: Path) -> None:
    with run_book.entry("fox", "fox", "sandbox") as identity:
        command = [sys.executable, "-m", "flows.cli.main", "logs", identity, "--follow"]
        child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
        assert child.stdout
        with (home / "runs" / f"{identity}.log").open("a") as file:
            file.write("first\nhal")
            file.flush()
            deadline = time.monotonic() + 60
            while "first" not in (line := child.stdout.readline()):
                assert line or time.monotonic() < deadline
            file.write("f\n")
        say("last")
    rest = child.stdout.read()
    assert child.wait(60) == 0
    child.stdout.close()
    assert f"runs/{identity}.log: half" in rest
    assert "last" in rest


def test_a_file_that_became_shorter_is_read_from_its_beginning(tmp_path: Path) -> None:
    file = tmp_path / "server.log"
    file.write_text("one\ntwo\nthr")
    place, lines = log_files.new_lines(file, 0)
    assert lines == ["one", "two"]
    file.write_text("a\n")
    assert log_files.new_lines(file, place) == (2, ["a"])
