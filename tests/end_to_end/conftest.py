"""A home of its own for the story, a sandbox that ends with the tests, and the command line as a stranger would call it."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.end_to_end.canaries import Canaries

ROOT = Path(__file__).resolve().parents[2]
Run = Callable[..., "subprocess.CompletedProcess[str]"]
Changed = Callable[[str, dict[str, Any]], Path]


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("home")
    yield folder
    from serving.sandbox import control

    control.down(folder)


@pytest.fixture(scope="session")
def canaries() -> Canaries:
    return Canaries()


@pytest.fixture(scope="session")
def scratch() -> Iterator[Path]:
    """The temporary folder of all commands, looked into by test_secrets.py."""
    with tempfile.TemporaryDirectory(prefix="lorasmith-tests-") as folder:
        yield Path(folder)


@pytest.fixture(scope="session")
def calls(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a guard in every process of the commands writes whom they call beyond this machine; see test_offline.py."""
    return tmp_path_factory.mktemp("calls") / "calls"


@pytest.fixture(scope="session")
def environment(home: Path, canaries: Canaries, scratch: Path, calls: Path) -> dict[str, str]:
    """The shell of a stranger: no server, no Hub; secrets of others, which nothing of ours may keep."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "OMP_NUM_THREADS") if name in os.environ}
    return (
        canaries.environment()
        | kept
        | {
            "LORASMITH_HOME": str(home),
            "TMPDIR": str(scratch),
            "HF_ENDPOINT": "http://127.0.0.1:9",
            "OMP_NUM_THREADS": kept.get("OMP_NUM_THREADS", "2"),
            "CALLS": str(calls),
            "PYTHONPATH": str(ROOT / "tests" / "operations" / "guard"),
        }
    )


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
    """The demo's job with fewer pictures, less training and fewer sampling steps; it may pass the gate without having learned."""
    demo, folder = ROOT / "examples" / "emoji", tmp_path_factory.mktemp("job")
    raw = yaml.safe_load((demo / "job.yaml").read_text())
    raw["base"]["ref"] = str(ROOT / "examples" / "base")
    raw["dataset"] |= {"path": some_of(demo / "pictures", folder, 16), "held_out": some_of(demo / "held_out", folder, 5)}
    raw["training"] |= {"steps": 8, "batch_size": 4}
    raw["inference"]["steps"] = 4
    raw["gate"] = {"require_learned": False}
    file = folder / "job.yaml"
    file.write_text(yaml.safe_dump(raw))
    return file


def some_of(pictures: Path, folder: Path, count: int) -> str:
    """A folder with the first `count` pictures, their captions and what may be done with them."""
    some = folder / pictures.name
    some.mkdir()
    for picture in sorted(pictures.glob("*.webp"))[:count]:
        shutil.copy(picture, some)
        shutil.copy(picture.with_suffix(".txt"), some)
    for paper in pictures.glob("*.yaml"):
        shutil.copy(paper, some)
    return str(some)


@pytest.fixture(scope="session")
def published(lorasmith: Run, small_job: Path, canaries: Canaries) -> "subprocess.CompletedProcess[str]":
    with canaries.watched():
        result = lorasmith("publish", str(small_job), "--target", "sandbox")
    assert result.returncode == 0, result.stderr[-3000:]
    return result


@pytest.fixture
def changed(small_job: Path, tmp_path: Path) -> Changed:
    """The job with some fields of one section changed, in a file of its own."""

    def write(section: str, fields: dict[str, Any]) -> Path:
        raw = yaml.safe_load(small_job.read_text())
        raw[section] |= fields
        file = tmp_path / "changed.yaml"
        file.write_text(yaml.safe_dump(raw))
        return file

    return write


def live(home: Path) -> list[dict[str, Any]]:
    """The live releases as the registry has them."""
    from serving.release.registry import Registry, sqlite_url

    with closing(Registry(sqlite_url(home))) as registry:
        return [row for row in registry.releases() if row["state"] == "live"]


def half_written(home: Path) -> list[Path]:
    """What a run left in the store without finishing it."""
    return [path for path in (home / "store").glob("*/.*") if path.is_dir()]
