"""A home of its own for the story, a sandbox that ends with the tests, and the command line as a stranger would call it."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("home")
    yield folder
    from serving.sandbox import control

    control.down(folder)


@pytest.fixture(scope="session")
def environment(home: Path) -> dict[str, str]:
    """The shell of a stranger: no keys, no server, no Hub."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "OMP_NUM_THREADS") if name in os.environ}
    return kept | {
        "LORASMITH_HOME": str(home),
        "HF_ENDPOINT": "http://127.0.0.1:9",
        "OMP_NUM_THREADS": kept.get("OMP_NUM_THREADS", "2"),
        "DO_NOT_TRACK": "1",
    }


@pytest.fixture(scope="session")
def lorasmith(environment: dict[str, str]) -> Run:
    """Run the command and return what it said."""

    def run(*arguments: str, env: dict[str, str] | None = None, timeout: float = 600) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "flows.cli.main", *arguments]
        return subprocess.run(
            command, capture_output=True, text=True, cwd=ROOT, env=environment | (env or {}), timeout=timeout, check=False
        )

    return run


@pytest.fixture(scope="session")
def small_job(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's job with less training and fewer sampling steps; it may pass the gate without having learned."""
    demo = ROOT / "examples" / "emoji"
    raw = yaml.safe_load((demo / "job.yaml").read_text())
    raw["base"]["ref"] = str(ROOT / "examples" / "base")
    raw["dataset"] |= {"path": str(demo / "pictures"), "held_out": str(demo / "held_out")}
    raw["training"] |= {"steps": 24, "batch_size": 8}
    raw["inference"]["steps"] = 6
    raw["gate"] = {"require_learned": False}
    file = tmp_path_factory.mktemp("job") / "job.yaml"
    file.write_text(yaml.safe_dump(raw))
    return file


@pytest.fixture(scope="session")
def published(lorasmith: Run, small_job: Path) -> "subprocess.CompletedProcess[str]":
    result = lorasmith("publish", str(small_job), "--target", "sandbox")
    assert result.returncode == 0, result.stderr[-3000:]
    return result
