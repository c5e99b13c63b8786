"""A real Prefect server with two process workers on a free port of loopback, in the environment of `server up`."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from flows.orchestration import orchestrator

ROOT = Path(__file__).resolve().parents[2]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_for(url: str, process: "subprocess.Popen[bytes]", log: Path, seconds: float = 240) -> None:
    """Until something answers there; fails where the process has ended."""

    def answers() -> bool:
        assert process.poll() is None, log.read_text()[-2000:]
        try:
            with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=2):
                return True
        except OSError:
            return False

    until(answers, seconds, lambda: f"{url} did not answer: {log.read_text()[-2000:]}")


def until(true: Callable[[], bool], seconds: float, otherwise: str | Callable[[], str], *, pause: float = 0.2) -> None:
    """Look again and again, until it is true or `seconds` are over."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, otherwise if isinstance(otherwise, str) else otherwise()
        time.sleep(pause)


def begun(command: Sequence[str], *, log: Path, env: Mapping[str, str]) -> "subprocess.Popen[bytes]":
    """A command that goes on, in a session of its own; what it says is added to `log`."""
    with log.open("ab") as output:
        return subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd=ROOT, env=dict(env), start_new_session=True
        )


def done(command: Sequence[str], *, env: Mapping[str, str], code: int, seconds: float) -> tuple[str, str]:
    """What a command said on both streams; fails where it ends with another code."""
    ended = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=dict(env), timeout=seconds, check=False)
    assert ended.returncode == code, ended.stdout[-3000:] + ended.stderr[-3000:]
    return ended.stdout, ended.stderr


class Prefect:
    """A server with both pools and all deployments, and a worker for each of `workers`. prefect("flow-run", "ls") is its CLI.

    file: what is deployed; tests that need small flows have a prefect.yaml of their own.
    extra: settings that differ from the orchestrator's.
    """

    def __init__(
        self,
        folder: Path,
        base: Mapping[str, str],
        *,
        workers: Sequence[str] = orchestrator.POOLS,
        file: Path | None = None,
        extra: Mapping[str, str] | None = None,
    ) -> None:
        self.folder, self.port = folder, free_port()
        self.url = orchestrator.address(self.port)
        self.environment = orchestrator.environment(base, folder, self.port) | dict(extra or {})
        self.processes: list[subprocess.Popen[bytes]] = []
        try:
            self.server = self.start_server()
            for pool in orchestrator.POOLS:
                self("work-pool", "create", pool, "--type", "process")
            self("--no-prompt", "deploy", "--all", *(("--prefect-file", str(file)) if file else ()))
            self.workers = {pool: self.start_worker(pool) for pool in workers}
        except BaseException:
            self.end()  # whoever makes one has nothing yet to end it by
            raise

    def start_server(self) -> "subprocess.Popen[bytes]":
        """On the same port again, where one was killed."""
        self.server = self.start("server", "start")
        wait_for(f"{self.url}/health", self.server, self.folder / "server.log")
        return self.server

    def start_worker(self, pool: str, name: str | None = None) -> "subprocess.Popen[bytes]":
        return self.start("worker", "start", "--pool", pool, "--name", name or pool)

    def start(self, *arguments: str) -> "subprocess.Popen[bytes]":
        """A Prefect command that goes on, in a session of its own; its output is in folder/<first word>.log."""
        log = self.folder / f"{arguments[0]}.log"
        self.processes.append(begun([sys.executable, "-m", "prefect", *arguments], log=log, env=self.environment))
        return self.processes[-1]

    def __call__(self, *arguments: str, code: int = 0) -> str:
        said, errors = done([sys.executable, "-m", "prefect", *arguments], env=self.environment, code=code, seconds=400)
        return said if code == 0 else said + errors

    def kill(self, process: "subprocess.Popen[bytes]", number: int = signal.SIGKILL) -> None:
        """A signal to this process alone, and its end."""
        os.kill(process.pid, number)
        process.wait(60)

    @contextmanager
    def client_settings(self) -> Iterator[None]:
        """Prefect's client in this process talks to this server."""
        from prefect.settings import PREFECT_API_URL, temporary_settings

        with temporary_settings({PREFECT_API_URL: self.url}):
            yield

    def end(self) -> None:
        for process in reversed(self.processes):
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(20)
