"""`lorasmith sandbox up, open, down`: what they say, and what a purge leaves."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from flows.cli.sandbox import app
from serving.sandbox import control
from serving.sandbox.errors import SandboxError
from serving.sandbox.web.notice import NOTICE


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("LORASMITH_HOME", str(tmp_path))
    yield tmp_path
    control.down(tmp_path)


def run(*arguments: str, answer: str | None = None) -> Result:
    return CliRunner().invoke(app, arguments, input=answer)


def test_up_says_where_and_how_to_go_on_and_export_is_for_eval_alone(own: Path) -> None:
    said = run("up").output
    running = control.status(own)
    assert running is not None
    assert f"https://{running.address}" in said
    assert NOTICE in said
    for words in ('eval "$(lorasmith sandbox up --export)"', "lorasmith sandbox open", "lorasmith sandbox down"):
        assert words in said
    assert running.owner_key not in said
    assert all(re.match(r"export \w+=", line) for line in run("up", "--export").output.splitlines())


def test_open_prints_a_link_of_its_own_each_time_and_needs_a_running_sandbox(own: Path) -> None:
    failed = run("open")
    assert isinstance(failed.exception, SandboxError)
    assert str(failed.exception) == "no sandbox is running; start it with: lorasmith sandbox up"
    running = control.up(own)
    links = [run("open").output.splitlines()[0] for _ in range(2)]
    assert links[0] != links[1]
    assert all(re.fullmatch(rf"https://{running.address}/sandbox/open#[\w-]{{43}}", link) for link in links)


def test_a_purge_asks_and_leaves_nothing(own: Path) -> None:
    control.up(own)
    assert run("down", "--purge", answer="n\n").exit_code != 0
    assert control.status(own) is not None
    assert "nothing of it is left" in run("down", "--purge", answer="y\n").output
    assert control.status(own) is None
    assert not (own / "sandbox").exists()
    assert "no sandbox was running" in run("down", "--purge", "--yes").output
