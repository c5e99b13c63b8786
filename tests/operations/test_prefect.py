"""The server that other tests share ends with them, also where it never came up whole."""

import os
import subprocess
from pathlib import Path

import psutil
import pytest

from tests.operations import prefect
from tests.operations.prefect import Prefect


@pytest.mark.parametrize("step", ["wait_for", "done", "start_worker"])
def test_what_was_begun_ends_where_the_rest_fails(step: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[psutil.Process] = []

    class Failing(Prefect):
        def start(self, *arguments: str) -> "subprocess.Popen[bytes]":
            process = super().start(*arguments)
            begun.append(psutil.Process(process.pid))
            return process

        def start_worker(self, pool: str, name: str | None = None) -> "subprocess.Popen[bytes]":
            raise KeyboardInterrupt

    def fails(*arguments: object, **named: object) -> None:
        raise KeyboardInterrupt

    for name in {"wait_for": ("wait_for",), "done": ("done",), "start_worker": ()}[step]:
        monkeypatch.setattr(prefect, name, fails)
    if step != "wait_for":  # what does not fail is passed over: no server has to come up for this
        monkeypatch.setattr(prefect, "wait_for", lambda *arguments: None)
    if step == "start_worker":
        monkeypatch.setattr(prefect, "done", lambda *arguments, **named: ("", ""))
    with pytest.raises(KeyboardInterrupt):
        Failing(tmp_path, os.environ)
    assert len(begun) == 1
    assert not begun[0].is_running()
