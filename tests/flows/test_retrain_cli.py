"""`lorasmith retrain` by hand: what it refuses, and what it says where nothing is live."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer

from flows.cli import retrain as command
from flows.errors import JobError
from tests.flows.published import release, toy_job


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LORASMITH_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("LORASMITH_REGISTRY", raising=False)
    return tmp_path


def test_an_app_that_is_not_live_is_refused_with_those_that_are(tmp_path: Path) -> None:
    with pytest.raises(JobError, match=r"'toy' is not live; live: nothing"):
        command.require_live("toy", None)
    release(toy_job(tmp_path))
    command.require_live("toy", None)
    command.require_live(None, "fal")
    with pytest.raises(JobError, match=r"'toy' is not live on fal; live: nothing"):
        command.require_live("toy", "fal")


def test_what_is_live_on_fal_is_asked_about_and_the_sandbox_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, bool]] = []
    monkeypatch.setattr("flows.cli.publish.ask_before_cost", lambda target, yes: asked.append((target, yes)))
    release(toy_job(tmp_path))
    command.ask_where_it_costs(None, None, False)
    assert asked == []
    release(toy_job(tmp_path, "other"), "fal")
    command.ask_where_it_costs("toy", None, False)
    assert asked == []
    command.ask_where_it_costs(None, None, True)
    assert asked == [("fal", True)]


def test_the_records_are_told_a_line_each() -> None:
    record: dict[str, Any] = {"app": "toy", "target": "fal", "outcome": "stale", "reason": "Too late.", "path": "/d/toy/1.json"}
    assert command.told([record]) == ["toy (fal): stale. Too late.\n  /d/toy/1.md"]
    assert command.told([]) == ["nothing is live"]


def test_the_command_line_stays_light() -> None:
    heavy = ("prefect", "torch", "sqlalchemy")
    code = f"import sys, flows.cli.retrain, flows.cli.data; sys.exit(any(name in sys.modules for name in {heavy}))"
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2], check=False).returncode == 0
    app = typer.Typer()
    command.register(app)
    assert [each.callback and each.callback.__name__ for each in app.registered_commands] == ["retrain"]
