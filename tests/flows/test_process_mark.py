"""A process is known again by its boot and its ticks: neither a set clock nor a reboot makes one of another."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from flows.books import process_mark, run_book
from flows.books.process_mark import is_gone, mark


@pytest.fixture
def other() -> Any:
    """A process of ours, its mark made by itself."""
    code = "import json, sys, flows.books.process_mark as m; print(json.dumps(m.mark()), flush=True); sys.stdin.read()"
    root = Path(__file__).resolve().parents[2]
    with subprocess.Popen([sys.executable, "-c", code], cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        yield child
        child.kill()


def marked(child: "subprocess.Popen[bytes]") -> dict[str, Any]:
    assert child.stdout is not None
    found: dict[str, Any] = json.loads(child.stdout.readline())
    return found


def test_a_process_is_there_until_it_has_ended_and_as_a_zombie_no_more(other: "subprocess.Popen[bytes]") -> None:
    its = marked(other)
    assert its["pid"] == other.pid
    assert not is_gone(its)
    other.kill()
    deadline = time.monotonic() + 30
    while not is_gone(its):  # nobody has waited for it: it is a zombie
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert psutil.Process(other.pid).status() == psutil.STATUS_ZOMBIE
    other.wait(20)
    assert is_gone(its)


def test_a_clock_that_is_set_makes_no_living_run_a_killed_one(monkeypatch: pytest.MonkeyPatch) -> None:
    its = mark()
    began = psutil.Process().create_time()
    monkeypatch.setattr(psutil.Process, "create_time", lambda self: began + 3600)  # what psutil tells after the clock was set
    assert not is_gone(its)
    assert run_book.as_it_is({"state": "running", "process": its})["state"] == "running"


def test_after_a_reboot_the_same_number_at_the_same_ticks_is_another_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    its = mark()
    (tmp_path / "boot").write_text("another boot\n")
    monkeypatch.setattr(process_mark, "BOOT", tmp_path / "boot")
    assert is_gone(its)
    assert run_book.as_it_is({"state": "running", "process": its})["state"] == "killed"


@pytest.mark.parametrize(("change", "gone"), [({"started": 1}, True), ({"host": "another"}, False), ({"pid": 2**22 + 1}, True)])
def test_another_process_of_the_number_is_told_and_of_another_machine_nothing(change: dict[str, Any], gone: bool) -> None:
    assert is_gone(mark() | change) is gone


def test_a_mark_from_before_boots_were_kept_is_judged_by_time() -> None:
    old = {"host": mark()["host"], "pid": os.getpid(), "started": psutil.Process().create_time()}
    assert not is_gone(old)
    assert is_gone(old | {"started": old["started"] - 100})
    assert not is_gone({})
