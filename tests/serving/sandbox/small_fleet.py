"""A fleet without the rest of the platform, whose runners are real processes of frail_app.py."""

import asyncio
import contextlib
import hashlib
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psutil

from serving.sandbox.fleet.fleet import Fleet
from serving.sandbox.fleet.runners import Runner, socket_folder
from serving.sandbox.fleet.settings import Pace
from serving.sandbox.state import Alias, Revision, State

SOURCE = Path(__file__).with_name("frail_app.py")
OWNER = "somebody"


class SmallFleet:
    """A fleet in `folder`, which is the working directory; every app has a folder of its own for what it shall do."""

    def __init__(self, folder: Path, pace: Pace) -> None:
        self.folder = folder
        (folder / "files").mkdir(exist_ok=True)
        self.state = State(folder / "state.db")
        self.fleet = Fleet(folder, self.state, lambda _: {"FAL_KEY": "id:secret"}, pace=pace)

    def app(self, name: str, *, version: int = 1, **settings: Any) -> Revision:
        """The live revision of an app with these settings; the folder of the app is `folder / name`."""
        (self.folder / name).mkdir(exist_ok=True)
        app_settings = json.dumps({"folder": str(self.folder / name), "version": version})
        revision = Revision(
            id=f"{name}-{version}",
            owner=OWNER,
            alias=name,
            environment="main",
            entrypoint="frail_app:Frail.run_local",
            files=((self._kept(SOURCE.read_bytes()), "frail_app.py"), (self._kept(app_settings.encode()), "settings.json")),
            settings=settings,
            health={"path": "/health", "method": "POST", "failure_threshold": 2},
            metadata={},
        )
        self.state.add_revision(revision)
        self.alias(revision, **settings)
        return revision

    def alias(self, revision: Revision, **settings: Any) -> Alias:
        """Make the revision the live one."""
        alias = Alias(
            owner=OWNER,
            name=revision.alias,
            environment="main",
            revision=revision.id,
            auth_mode="private",
            settings={"keep_alive": 60} | settings,
        )
        self.state.put_alias(alias)
        return alias

    async def ask(self, revision: Revision, *, path: str = "/", body: dict[str, Any] | None = None, **lease: Any) -> dict[str, Any]:
        """The app's answer, and the runner that gave it."""
        async with self.fleet.lease(revision, **lease) as runner:
            reply = await runner.client.post(path, json=body or {})
        return {"runner": runner.id, **reply.json()}

    def starts(self, name: str) -> list[int]:
        """Processes of the app that came as far as setup(), in order."""
        return numbers(self.folder / name / "starts")

    def _kept(self, content: bytes) -> str:
        digest = hashlib.sha256(content).hexdigest()
        (self.folder / "files" / digest).write_bytes(content)
        return digest


@asynccontextmanager
async def small_fleet(folder: Path, **pace: float) -> AsyncIterator[SmallFleet]:
    """Swept every 50 ms; afterwards no process is left."""
    socket_folder()
    small = SmallFleet(folder, Pace(**{"sweep": 0.05, "settle": 0.05, "close": 0.5, **pace}))
    sweeping = asyncio.create_task(small.fleet.sweep())
    try:
        yield small
    finally:
        sweeping.cancel()
        await small.fleet.close()
        small.state.close()
        assert children() == []


def children(script: str = "bootstrap.py") -> list[int]:
    """Processes of this one that run an app, or another script of the fleet."""
    found = []
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):  # zombies have no command
            if any(word.endswith(script) for word in child.cmdline()):
                found.append(child.pid)
    return found


def numbers(path: Path) -> list[int]:
    return [int(line) for line in path.read_text().split()] if path.exists() else []


async def soon(condition: Callable[[], Any], *, seconds: float = 10) -> Any:
    """The first truthy answer of `condition`; fails where there is none in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := condition():
            return found
        await asyncio.sleep(0.01)
    raise AssertionError(f"not within {seconds} s")


def pids(runners: list[Runner]) -> set[int]:
    return {runner.pid for runner in runners if runner.pid is not None}
