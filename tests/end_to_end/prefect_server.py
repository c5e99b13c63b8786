"""A real Prefect server with two process workers on free ports of loopback, started and ended by the tests."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_for(url: str, process: "subprocess.Popen[bytes]", log: Path, seconds: float = 90) -> None:
    deadline = time.monotonic() + seconds
    while True:
        assert process.poll() is None, log.read_text()[-2000:]
        assert time.monotonic() < deadline, f"{url} did not answer in {seconds} s: {log.read_text()[-2000:]}"
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except OSError:
            time.sleep(0.2)


class Prefect:
    """A real server with both pools, all deployments and a worker each, on loopback."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        port = free_port()
        self.folder = folder
        self.environment = environment | {
            "PREFECT_HOME": str(folder),
            "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "PREFECT_SERVER_EPHEMERAL_ENABLED": "false",
            "PREFECT_WORKER_QUERY_SECONDS": "2",
            "LORASMITH_SOURCE": str(ROOT),
            "PYTHONPATH": str(ROOT),
        }
        self.processes: list[subprocess.Popen[bytes]] = []
        server = self.start("server", "start", "--host", "127.0.0.1", "--port", str(port))
        wait_for(f"http://127.0.0.1:{port}/api/health", server, folder / "server.log")
        for pool in ("gpu", "cpu"):
            self("work-pool", "create", pool, "--type", "process")
        self("--no-prompt", "deploy", "--all")
        for pool in ("gpu", "cpu"):
            self.start("worker", "start", "--pool", pool, "--name", pool)

    def start(self, *arguments: str) -> "subprocess.Popen[bytes]":
        with (self.folder / f"{arguments[0]}.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "prefect", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=ROOT,
                env=self.environment,
                start_new_session=True,
            )
        self.processes.append(process)
        return process

    def __call__(self, *arguments: str, code: int = 0) -> str:
        result = subprocess.run(
            [sys.executable, "-m", "prefect", *arguments],
            capture_output=True,
            text=True,
            cwd=ROOT,
            env=self.environment,
            timeout=400,
            check=False,
        )
        assert result.returncode == code, result.stdout[-3000:] + result.stderr[-3000:]
        return result.stdout if code == 0 else result.stdout + result.stderr

    def end(self) -> None:
        for process in reversed(self.processes):
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(20)
