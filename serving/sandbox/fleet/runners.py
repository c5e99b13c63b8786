"""A runner: one process that serves one revision of an app, over a unix socket that only the sandbox can reach."""

import asyncio
import contextlib
import os
import socket
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import httpx

from ..errors import RunnerFailed, StartupTimedOut
from ..state import Revision
from .agent_process import SOCKETS, AgentProcess, Job, RunnerLog
from .scheduling import Seat

DEFAULT_HEALTH: dict[str, Any] = {
    "path": "/health",
    "method": "GET",
    "timeout_seconds": 5,
    "failure_threshold": 3,
    "call_regularly": True,
}
HEALTH_SECONDS = 15.0
STARTUP_SECONDS = 600.0
GRACE_SECONDS = 5.0
ENDED_BY_ITSELF = "it ended by itself"
HINTS = "x-fal-runner-hints"
HEALTH_CHECK = "x-fal-runner-health-check"
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
    """Healthy after start(); each request takes one of its places and gives it back, the exchange itself goes through client."""

    def __init__(
        self,
        revision: Revision,
        job: Job,
        log: RunnerLog,
        *,
        places: int = 1,
        health_seconds: float = HEALTH_SECONDS,
        entered: Callable[["Runner"], None] = lambda _: None,
    ) -> None:
        self.revision = revision
        self.log = log
        self.places = places
        self.in_flight = 0
        self.served = 0
        self.hints: frozenset[str] = frozenset()
        self.machine_type = next(iter(revision.settings.get("machine_types", ())), "")
        self.started_at: float | None = None
        self.ready_at: float | None = None
        self.idle_since = time.monotonic()
        self.reason: str | None = None
        self.grace: float | None = None
        self.state = "PENDING"
        self._health_seconds = health_seconds
        self._entered = entered
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._agent = AgentProcess(job, log, app_fd=self._listener.fileno())
        self._pickled = job.pickle is not None
        self._path = SOCKETS / f"h-{self._agent.id}.sock"
        self._serving: asyncio.Task[Any] | None = None
        self._stopping: asyncio.Task[None] | None = None
        self._draining = False
        self._health_failures = 0
        self._attention = asyncio.Event()
        self._suspected = False
        # A connection for each request: a server may close a kept one just when the next request is on its way (after a 500,
        # and when it ends), and nobody could tell whether the app has seen that request.
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)
        transport = httpx.AsyncHTTPTransport(uds=str(self._path), limits=limits)
        self.client = httpx.AsyncClient(
            transport=transport,
            base_url="http://runner",
            timeout=None,
            trust_env=False,
            event_hooks={"response": [self._heed]},
        )

    @property
    def id(self) -> str:
        return self._agent.id

    @property
    def socket(self) -> Path:
        """Where the app answers: a unix socket, relative to the daemon's working directory."""
        return self._path

    @property
    def pid(self) -> int | None:
        return self._agent.pid

    @property
    def alive(self) -> bool:
        """Whether it takes requests."""
        return self.ready_at is not None and not self._draining and self.running

    @property
    def running(self) -> bool:
        """Whether its process is there and its server has not ended."""
        return self._agent.alive and self._serving is not None and not self._serving.done()

    @property
    def seat(self) -> Seat:
        idle = 0.0 if self.in_flight else time.monotonic() - self.idle_since
        return Seat(runner=self.id, in_flight=self.in_flight, idle=idle, hints=self.hints, doubtful=self._health_failures > 0)

    async def start(self, seconds: float = STARTUP_SECONDS) -> None:
        """setup() done and health check passed within `seconds`; RunnerFailed with the app's own words otherwise."""
        self._listener.bind(str(self._path))
        os.set_inheritable(self._listener.fileno(), True)
        self.started_at = time.time()
        self._note()
        try:
            await self._agent.start()
            self._listener.close()
            self._serving = asyncio.create_task(self._agent.run("sandbox_bootstrap:serve", on_main_thread=self._pickled))
            await self._until_healthy(seconds)
        except BaseException as error:
            self.reason = self.reason or (str(error) if isinstance(error, RunnerFailed) else "not wanted any more")
            await self.stop(grace=0.0)
            raise
        self.ready_at = time.time()
        self.idle_since = time.monotonic()
        self._note()

    def take(self) -> None:
        """One of the places is taken."""
        self.in_flight += 1
        self._note()

    def give_back(self) -> None:
        """The place is free again."""
        self.in_flight -= 1
        self.served += 1
        self.idle_since = time.monotonic()
        self._note()

    def lost(self) -> None:
        """Nobody answers at its socket: the next request gets another runner."""
        self.drain("it did not answer at its socket")

    def drain(self, reason: str) -> None:
        """Takes no more requests; what it has goes on until stop()."""
        self.reason = self.reason or reason
        self._draining = True
        self._attention.set()
        self._note()

    async def watch(self) -> None:
        """Returns when it takes no more requests: told to drain, ended by itself, or unhealthy."""
        assert self._serving is not None
        while self.alive:
            waking = asyncio.create_task(self._attention.wait())
            await asyncio.wait({self._serving, waking}, timeout=self._health_seconds, return_when=asyncio.FIRST_COMPLETED)
            waking.cancel()
            if self.alive:
                await self._check()
        if not self._draining:
            self.drain(ENDED_BY_ITSELF)

    async def stop(self, grace: float = GRACE_SECONDS) -> None:
        """teardown() has `grace` seconds; nothing of the runner is left afterwards. A later call with less grace cuts it short."""
        self.drain("stopped")
        if self._stopping is None:
            self._stopping = asyncio.create_task(self._stop(grace))
        else:
            await asyncio.wait({self._stopping}, timeout=grace)
            if not self._stopping.done():
                await self._agent.stop()
        await asyncio.shield(self._stopping)

    async def _stop(self, grace: float) -> None:
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
        self.state = "TERMINATED"
        self._entered(self)

    def heed(self, headers: Mapping[str, str]) -> None:
        """What a runner says of itself beside its answer; names in lower case."""
        self._take_hints(headers)
        if HEALTH_CHECK in headers:
            self._suspected = True
            self._attention.set()

    def _take_hints(self, headers: Mapping[str, str]) -> None:
        if HINTS in headers:
            self.hints = frozenset(hint.strip() for hint in headers[HINTS].split(",") if hint.strip())

    async def _check(self) -> None:
        """The regular health check, or the one that a reply asked for, whose failure ends the runner at once."""
        health = self.revision.health or DEFAULT_HEALTH
        suspected, self._suspected = self._suspected, False
        self._attention.clear()
        if not suspected and not health.get("call_regularly", True):
            return
        self._health_failures = 0 if await self._answers_health() else self._health_failures + 1
        threshold = 1 if suspected else int(health.get("failure_threshold") or 3)
        if self._health_failures >= threshold and self.alive:
            self.drain(f"health check failed {self._health_failures} times")
            self.log.add("agent", f"{self.reason}: the runner is replaced")

    async def _heed(self, reply: httpx.Response) -> None:
        self._take_hints(reply.headers)
        if HEALTH_CHECK not in reply.request.headers:  # else it would ask for checks for ever
            self.heed(reply.headers)

    def _note(self) -> None:
        """Tell who keeps the records when the state is another."""
        if self._draining:
            state = "DRAINING" if self.in_flight else "TERMINATING"
        elif self.ready_at is None:
            state = "SETUP"
        else:
            state = "RUNNING" if self.in_flight else "IDLE"
        if state != self.state and self.state != "TERMINATED":
            self.state = state
            self._entered(self)

    async def _until_healthy(self, seconds: float) -> None:
        assert self._serving is not None
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self._serving.done() or not self._agent.alive:
                await self._agent.stop()
                raise RunnerFailed(f"setup failed: {self.log.reason()}")
            if self._draining:
                raise RunnerFailed(f"it was told to end while it started: {self.reason}")
            if await self._answers_health():
                return
            await asyncio.sleep(0.05)
        raise StartupTimedOut(f"not healthy after {seconds:.0f} s (startup_timeout): {self.log.reason()}")

    async def _answers_health(self) -> bool:
        health = self.revision.health or DEFAULT_HEALTH
        try:
            reply = await self.client.request(
                health.get("method") or "POST",
                health["path"],
                headers={HEALTH_CHECK: "1"},
                timeout=float(health.get("timeout_seconds") or 5),
            )
        except httpx.RequestError:
            return False
        return reply.is_success


def socket_folder() -> Path:
    """The folder of the runners' sockets, emptied of what a crash left."""
    SOCKETS.mkdir(mode=0o700, exist_ok=True)
    for left in SOCKETS.iterdir():
        left.unlink()
    return SOCKETS
