"""A home of its own for each file, and a real Prefect server in it with both pools, all deployments and their workers."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.operations.prefect import Prefect


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """LORASMITH_HOME; a sandbox that a test starts in it ends with the file."""
    folder = tmp_path_factory.mktemp("home")
    yield folder
    from serving.sandbox import control

    control.down(folder)


@pytest.fixture(scope="module")
def environment(home: Path) -> dict[str, str]:
    """The shell of a stranger, who has no server and no Hub."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
    return kept | {
        "LORASMITH_HOME": str(home),
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "2"),
        "HF_ENDPOINT": "http://127.0.0.1:9",
        "DO_NOT_TRACK": "1",
    }


@pytest.fixture(scope="module")
def prefect(tmp_path_factory: pytest.TempPathFactory, environment: dict[str, str]) -> Iterator[Prefect]:
    """The server of this file, with a worker for each pool."""
    server = Prefect(tmp_path_factory.mktemp("prefect"), environment)
    yield server
    server.end()
