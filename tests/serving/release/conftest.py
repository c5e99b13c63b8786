"""A registry with a clock of its own, and packages that hold one line of text or a toy app."""

import json
import shutil
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path

import pytest
import tomli_w

from serving.release.package import _seal
from serving.release.platform import FalPlatform
from serving.release.registry import Registry, sqlite_url
from serving.release.target import sandbox_target
from serving.sandbox import control
from tests import postgres

MakePackage = Callable[[str], Path]
MakeToy = Callable[..., Path]
TOY_SOURCE = Path(__file__).with_name("toy_app.py")
TOY_SETTINGS = {
    "python_entry_point": "lora_app.app:ToyApp",
    "auth": "shared",
    "deployment_strategy": "rolling",
    "app_scale_settings": True,
    "python_version": f"{sys.version_info.major}.{sys.version_info.minor}",
    "requirements": [f"{name}=={version(name)}" for name in ("fal", "pillow")],
    "machine_type": "S",
    "keep_alive": 60,
    "app_files": ["lora_app", "package.json", "toy.json"],
    "health_check": {"path": "/health", "start_period_seconds": 30, "timeout_seconds": 5, "failure_threshold": 3},
}


class Clock:
    """One second later every time it is read."""

    def __init__(self) -> None:
        self.now = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        self.now += timedelta(seconds=1)
        return self.now


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    registry = Registry(sqlite_url(tmp_path / "home"), clock=Clock())
    yield registry
    registry.close()


@pytest.fixture(scope="session")
def postgresql() -> Iterator[postgres.Server]:
    """A real server, as long as these tests last; `database()` is the URL of a new, empty registry."""
    with postgres.running() as server:
        yield server


@pytest.fixture
def make_package(tmp_path: Path) -> MakePackage:
    def make(content: str) -> Path:
        folder = tmp_path / f"package-{content}"
        if not folder.exists():
            folder.mkdir()
            (folder / "content.txt").write_text(content)
            _seal("toy", folder)
        return folder

    return make


@pytest.fixture
def make_toy(tmp_path: Path) -> MakeToy:
    """make(name, app=..., **faults): a package of the toy app; other faults are another package."""

    def make(name: str, *, app: str = "toy", **faults: object) -> Path:
        folder = tmp_path / f"toy-{name}"
        if not folder.exists():
            (folder / "lora_app").mkdir(parents=True)
            (folder / "lora_app" / "__init__.py").touch()
            shutil.copyfile(TOY_SOURCE, folder / "lora_app" / "app.py")
            (folder / "toy.json").write_text(json.dumps({"name": name, **faults}))
            (folder / "pyproject.toml").write_text(tomli_w.dumps({"tool": {"fal": {"apps": {app: TOY_SETTINGS}}}}))
            _seal(app, folder)
        return folder

    return make


@pytest.fixture(scope="session")
def sandbox_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Home of a sandbox that runs as long as these tests do."""
    home = tmp_path_factory.mktemp("sandbox")
    control.up(home)
    yield home
    control.down(home)


@pytest.fixture
def sandbox(sandbox_home: Path, tmp_path: Path) -> Iterator[FalPlatform]:
    running = control.up(sandbox_home)
    with sandbox_target(running.env, caller_key=running.caller_key, logs=tmp_path / "logs") as platform:
        yield platform
