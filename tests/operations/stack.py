"""`lorasmith server up` and `worker up` as a person starts them, with the toy deployments, and what a test asks of them."""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import psutil

from flows.orchestration import orchestrator
from tests.operations.prefect import ROOT, begun, done, until

TOYS = ROOT / "tests" / "operations" / "toy.yaml"
LORASMITH = (sys.executable, "-m", "flows.cli.main")


class Stack:
    """A home with its server; every process that is started here ends with `end`."""

    def __init__(self, home: Path, environment: Mapping[str, str], *, file: Path | None = TOYS) -> None:
        self.home, self.environment = home, dict(environment)
        self.file = ("--prefect-file", str(file)) if file else ()
        self.processes: list[subprocess.Popen[bytes]] = []
        self.workers: dict[str, subprocess.Popen[bytes]] = {}

    def lorasmith(self, *arguments: str, code: int = 0, **env: str) -> str:
        """What the command said, on both streams."""
        return "".join(done([*LORASMITH, *arguments], env=self.environment | env, code=code, seconds=300))

    def server_up(self) -> None:
        self.lorasmith("server", "up", "--background", "--port", "0", *self.file)

    def state(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.home / "prefect" / "server.json").read_text())
        return found

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.state()['port']}/api"

    def has_state(self) -> bool:
        return (self.home / "prefect" / "server.json").exists()

    def prefect_environment(self) -> dict[str, str]:
        return orchestrator.environment(self.environment, self.home / "prefect", self.state()["port"])

    def said(self) -> str:
        """What the logs end with, for a test that waited in vain."""
        logs = sorted((*(self.home / "logs").glob("*.log"), *self.home.glob("*.out")))
        return "\n".join(f"== {log.name}\n{log.read_text(errors='replace')[-1500:]}" for log in logs)

    def start(self, *arguments: str, log: str) -> "subprocess.Popen[bytes]":
        """A command that goes on, started as a script's `&` does it: SIGINT is ignored. Its output is in home/<log>."""
        ignoring = ["/bin/sh", "-c", "trap '' INT; exec \"$@\"", "sh"]
        self.processes.append(begun([*ignoring, *LORASMITH, *arguments], log=self.home / log, env=self.environment))
        return self.processes[-1]

    def worker(self, pool: str) -> "subprocess.Popen[bytes]":
        """The worker of a pool, started where none is up; returns when it takes runs."""
        if pool in self.workers and self.workers[pool].poll() is None:
            return self.workers[pool]
        log = self.home / "logs" / f"worker-{pool}.log"
        seen = log.read_text().count("started!") if log.exists() else 0
        self.workers[pool] = self.start("worker", "up", "--pool", pool, log=f"{pool}.out")
        until(lambda: log.exists() and log.read_text().count("started!") > seen, 180, self.said)
        return self.workers[pool]

    def end_worker(self, pool: str) -> None:
        if (worker := self.workers.pop(pool, None)) and worker.poll() is None:
            worker.terminate()
            worker.wait(60)

    @contextmanager
    def client(self) -> Iterator[Any]:
        """Prefect's client of this server."""
        from prefect import get_client
        from prefect.settings import PREFECT_API_URL, temporary_settings

        with temporary_settings({PREFECT_API_URL: self.url}), get_client(sync_client=True) as client:
            yield client

    def run(self, deployment: str, **parameters: Any) -> UUID:
        """A new run of a deployment."""
        with self.client() as client:
            found = client.read_deployment_by_name(deployment)
            run: UUID = client.create_flow_run_from_deployment(found.id, parameters=parameters).id
        return run

    def states(self, run: UUID) -> list[str]:
        """Names of all its states, first to last."""
        with self.client() as client:
            return [state.name for state in sorted(client.read_flow_run_states(run), key=lambda state: state.timestamp)]

    def until_state(self, run: UUID, name: str, seconds: float = 180) -> None:
        until(lambda: self.states(run)[-1] == name, seconds, lambda: f"{self.states(run)}, not {name}")

    def cancel(self, run: UUID) -> None:
        from prefect.states import Cancelling

        with self.client() as client:
            client.set_flow_run_state(run, Cancelling())

    def end(self) -> None:
        for process in reversed(self.processes):
            if process.poll() is None:
                process.kill()  # the reapers end what it has started
            process.wait(60)
        self.lorasmith("server", "down")


def notes(folder: Path) -> list[str]:
    """What the toy flows wrote, without their process numbers."""
    path = folder / "notes"
    return [line.split()[0] for line in path.read_text().splitlines()] if path.exists() else []


def process_of(folder: Path) -> int:
    """The process that wrote the last note."""
    return int((folder / "notes").read_text().split()[-1])


def marked(mark: str) -> list[psutil.Process]:
    """Living processes with a word in their command line that ends in `mark`."""
    found = []
    for process in psutil.process_iter(["cmdline", "status"]):
        words = process.info["cmdline"] or []
        if any(word.endswith(mark) for word in words) and process.info["status"] != psutil.STATUS_ZOMBIE:
            found.append(process)
    return found


def is_alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
