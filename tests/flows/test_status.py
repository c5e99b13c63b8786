"""status: everything at a glance, quickly, and as well where Prefect's server is down."""

import json
import os
import socket
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from flows.books import run_book
from flows.cli.main import app
from flows.money import spending
from flows.retraining import decision
from flows.targets import registry_url
from serving.release.approvals import ask
from serving.release.registry import Registry

ROOT = Path(__file__).resolve().parents[2]
LOADED = """
import sys
from flows.cli.main import app
try:
    app(["status"], standalone_mode=False)
finally:
    loaded = {name.partition(".")[0] for name in sys.modules}
    print(",".join(sorted(loaded & {"torch", "prefect", "diffusers", "fal", "transformers"})))
"""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LORASMITH_HOME", str(tmp_path))
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    return tmp_path


@pytest.fixture
def lived_in(home: Path) -> Path:
    """A home with a live release, a question, a run that failed, a decision, and money spent."""
    with closing(Registry(registry_url())) as registry:
        row = registry.insert_intent(app="fox", package="p" * 64, target="sandbox", verdict_hash="v")
        registry.advance(row["id"], "candidate", candidate_revision="c1")
        registry.advance(row["id"], "live", revision="r1", urls={"run": "https://127.0.0.1:1/fox"})
        about = {"app": "fox", "target": "sandbox", "package": "p2", "price_usd": None, "gate": "g"}
        ask(registry, about, reasons=["gate_review"], evidence={}, hours=1)
    with pytest.raises(OSError, match="disk"), run_book.entry("fox", "fox", "sandbox"):
        raise OSError("the disk is full")
    made: dict[str, Any] = {"app": "fox", "target": "sandbox", "at": "2026-11-22T03:17:00+00:00", "outcome": "nothing to do"}
    decision.keep(decision.Decision(**made, reason="nothing changed", next="the next schedule"))
    spending.book_forecast(home, "fox", "deploy", usd_nano=120_000_000, source="forecast")
    return home


def told(*arguments: str) -> str:
    result = CliRunner().invoke(app, ["status", *arguments])
    assert result.exit_code == 0, (result.output, result.exception)
    return result.output


def test_an_empty_home_says_how_to_begin() -> None:
    assert "nothing yet" in told()


def test_it_tells_what_is_live_what_waits_what_ran_and_what_it_cost(lived_in: Path) -> None:
    lines = told().splitlines()
    for start, said in (
        ("live ", "fox r1 (sandbox)"),
        ("approval ", "fox (sandbox): the gate leaves it to a person"),
        ("run ", "failed (1)"),
        ("retrain ", "2026-11-22 03:17  fox (sandbox): nothing to do"),
        ("next ", "lorasmith server up"),
        ("money ", "$0.12 (trainings $0.00 in 0, deploys $0.12 in 1)"),
    ):
        assert [line for line in lines if line.startswith(start) and said in line], (start, said, lines)


def test_scripts_get_the_same_as_json(lived_in: Path) -> None:
    found = json.loads(told("--json"))
    assert [row["app"] for row in found["releases"]] == ["fox"]
    assert [row["state"] for row in found["approvals"]] == ["pending"]
    assert found["runs"][0]["line"] == "the disk is full"
    assert found["schedules"] == {"server": None, "next": [], "fault": None}
    assert found["money"]["usd"] == "0.12"


def test_a_server_that_is_away_costs_a_line_and_nothing_else(lived_in: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    assert "not known: the Prefect server at http://127.0.0.1:9/api does not answer" in told()
    assert "live " in told()


def test_a_server_that_never_answers_is_not_waited_for(lived_in: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("PREFECT_API_URL", f"http://127.0.0.1:{silent.getsockname()[1]}/api")
        assert "does not answer (timed out)" in told()


def test_neither_torch_nor_prefect_is_loaded_for_it(lived_in: Path) -> None:
    environment = {**os.environ, "PREFECT_API_URL": "http://127.0.0.1:9/api"}
    command = [sys.executable, "-c", LOADED]
    result = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment, timeout=120, check=True)
    assert result.stdout.splitlines()[-1] == ""
