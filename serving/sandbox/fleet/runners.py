"""A runner: one process that serves one revision of an app, over a unix socket that only the sandbox can reach."""

import asyncio
import contextlib
import os
import socket
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

from ..errors import RunnerFailed
from ..state import Revision
from .agent_process import SOCKETS, AgentProcess, Job, RunnerLog

DEFAULT_HEALTH: dict[str, Any] = {
    "path": "/health",
    "method": "GET",
    "timeout_seconds": 5,
    "failure_threshold": 3,
    "call_regularly": True,
}
STARTUP_SECONDS = 600.0
GRACE_SECONDS = 5.0
INHERITED = (
    *("PATH", "HOME", "USER", "LANG", "LC_ALL", "TZ", "TMPDIR", "OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES", "LD_LIBRARY_PATH"),
    *("VIRTUAL_ENV", "XDG_CACHE_HOME", "HF_HOME", "HF_ENDPOINT", "HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"),
)


def runner_environment(platform: Mapping[str, str], *, app: str, runner_id: str) -> dict[str, str]:
    """What an app finds in os.environ: a few names of this machine, and what the platform sets."""
    inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
    own = {
        "IS_ISOLATE_AGENT": "1",
        "PYTHONUNBUFFERED": "1",
        "FAL_APP_NAME": app,
        "FAL_JOB_ID": runner_id,
        "FAL_RUNNER_STATE": "SETUP",
    }
    return inherited | dict(platform) | own


class Runner:
    """Healthy after start(); requests go through lease() and client, at most max_multiplexing at once."""

    def __init__(self, revision: Revision, job: Job, log: RunnerLog, *, multiplexing: int) -> None:
        self.revision = revision
        self.log = log
        self.in_flight = 0
        self.idle_since = time.monotonic()
        self.started_at = time.monotonic()
        self.healthy = False
        self._slots = asyncio.Semaphore(max(1, multiplexing))
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._agent = AgentProcess(job, log, app_fd=self._listener.fileno())
        self._pickled = job.pickle is not None
        self._path = SOCKETS / f"h-{self._agent.id}.sock"
        self._serving: asyncio.Task[Any] | None = None
        self._health_failures = 0
        self._health_at = 0.0
        transport = httpx.AsyncHTTPTransport(
            uds=str(self._path), limits=httpx.Limits(max_connections=None, max_keepalive_connections=20)
        )
        self.client = httpx.AsyncClient(transport=transport, base_url="http://runner", timeout=None, trust_env=False)

    @property
    def id(self) -> str:
        return self._agent.id

    @property
    def pid(self) -> int | None:
        return self._agent.pid

    @property
    def alive(self) -> bool:
        return self.healthy and self._agent.alive and self._serving is not None and not self._serving.done()

    async def start(self) -> None:
        """setup() done and health check passed; RunnerFailed with the app's own words otherwise."""
        self._listener.bind(str(self._path))
        os.set_inheritable(self._listener.fileno(), True)
        try:
            await self._agent.start()
            self._listener.close()
            self._serving = asyncio.create_task(self._agent.run("sandbox_bootstrap:serve", on_main_thread=self._pickled))
            await self._until_healthy(float(self.revision.settings.get("startup_timeout") or STARTUP_SECONDS))
        except BaseException:
            await self.stop(grace=0.0)
            raise
        self.healthy = True
        self.idle_since = self._health_at = time.monotonic()

    def lost(self) -> None:
        """Nobody answers at its socket: the next request gets another runner."""
        self.healthy = False

    @asynccontextmanager
    async def lease(self) -> AsyncIterator[None]:
        """One of the runner's places; waits until one is free."""
        self.in_flight += 1
        try:
            async with self._slots:
                yield
        finally:
            self.in_flight -= 1
            self.idle_since = time.monotonic()

    async def check(self, every: float = 15.0) -> None:
        """The regular health check; a runner that fails it too often is stopped, the next request starts another."""
        health = self.revision.health or DEFAULT_HEALTH
        if time.monotonic() - self._health_at < every or not health.get("call_regularly", True):
            return
        self._health_at = time.monotonic()
        self._health_failures = 0 if await self._answers_health() else self._health_failures + 1
        if self._health_failures >= int(health.get("failure_threshold") or 3):
            self.log.add("agent", f"health check failed {self._health_failures} times: the runner is replaced")
            await self.stop(grace=GRACE_SECONDS)

    async def stop(self, grace: float = GRACE_SECONDS) -> None:
        """teardown() has `grace` seconds; nothing of the runner is left afterwards."""
        self.healthy = False
        self._listener.close()
        stopping = asyncio.create_task(self._agent.stop(grace))
        if self._serving is not None and grace > 0:
            # The agent outlives the app that it served: no reason to wait for it once the app is done.
            await asyncio.wait({self._serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
            await self._agent.stop()
        await stopping
        if self._serving is not None:
            self._serving.cancel()
            with contextlib.suppress(asyncio.CancelledError, RunnerFailed):
                await self._serving
        await self.client.aclose()
        self._path.unlink(missing_ok=True)
        self.log.close()

    async def _until_healthy(self, seconds: float) -> None:
        assert self._serving is not None
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self._serving.done() or not self._agent.alive:
                await self._agent.stop()
                raise RunnerFailed(f"setup failed: {self.log.reason()}")
            if await self._answers_health():
                return
            await asyncio.sleep(0.05)
        raise RunnerFailed(f"not healthy after {seconds:.0f} s (startup_timeout): {self.log.reason()}")

    async def _answers_health(self) -> bool:
        health = self.revision.health or DEFAULT_HEALTH
        headers = {"x-fal-runner-health-check": "1"}
        try:
            reply = await self.client.request(
                health.get("method") or "POST", health["path"], headers=headers, timeout=float(health.get("timeout_seconds") or 5)
            )
        except httpx.TransportError:
            return False
        return reply.is_success


def socket_folder() -> Path:
    """The folder of the runners' sockets, emptied of what a crash left."""
    SOCKETS.mkdir(mode=0o700, exist_ok=True)
    for left in SOCKETS.iterdir():
        left.unlink()
    return SOCKETS
