"""A runner's end: what is at work is finished or answered, what comes is sent elsewhere; and starts that explain themselves."""

import errno
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from email.message import Message
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

import pytest

from serving.app.errors import GpuBroken, OutOfMemory, RequestFailure, SettingsError, TimedOut, failure_of
from serving.app.runner.lifecycle import Lifecycle
from serving.app.runner.starting import explained, require_gpu
from serving.app.settings import PACKAGE_VARIABLE, Installed

ROOT = Path(__file__).resolve().parents[3]
UNITS = "x-fal-billable-units"
CANARY = "not-to-be-seen"


@dataclass(frozen=True)
class Answer:
    """What a runner said to one request."""

    status: int
    headers: Message
    body: str

    @property
    def billed(self) -> tuple[int, list[str] | None]:
        """Status and every statement of units."""
        return self.status, self.headers.get_all(UNITS)


class UnixConnection(HTTPConnection):
    """HTTP over a UNIX socket."""

    def __init__(self, path: Path, timeout: float) -> None:
        super().__init__("runner", timeout=timeout)
        self.path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self.path))


@dataclass
class Runner:
    """A process that serves the app, and what it answered so far; None is a connection that was refused or closed."""

    folder: Path
    process: subprocess.Popen[str]
    answers: list[Answer | None] = field(default_factory=list)

    def call(self, method: str, path: str, body: Any = None, *, server: str = "app") -> Answer | None:
        connection = UnixConnection(self.folder / f"{server}.sock", timeout=30)
        try:
            connection.request(method, path, body and json.dumps(body), {"content-type": "application/json"})
            response = connection.getresponse()
            return Answer(response.status, response.headers, response.read().decode())
        except (OSError, HTTPException):
            return None
        finally:
            connection.close()

    def ready(self) -> bool:
        assert self.process.poll() is None, self.process.communicate()[1]
        health = self.call("POST", "/health")
        return health is not None and health.status == 200

    def ask(self) -> None:
        self.answers.append(self.call("POST", f"/?q={CANARY}", {"prompt": f"a cat, {CANARY}"}))

    def leave(self) -> None:
        """Post one request and close the connection."""
        connection = UnixConnection(self.folder / "app.sock", timeout=30)
        connection.request("POST", "/", json.dumps({"prompt": "a dog"}), {"content-type": "application/json"})
        connection.close()

    def metrics(self) -> set[str]:
        """The lines that the SDK's own server exposes."""
        exposed = self.call("GET", "/metrics", server="metrics")
        assert exposed is not None
        return {*exposed.body.splitlines()}

    def asked(self) -> threading.Thread:
        """A request at work: the engine has begun."""
        request = threading.Thread(target=self.ask)
        request.start()
        until((self.folder / "began").exists)
        return request

    def lines(self) -> tuple[list[dict[str, Any]], str]:
        """What it said, once it has ended."""
        out, err = self.process.communicate(timeout=30)
        return [json.loads(line) for line in out.splitlines() if line.startswith("{")], err


@pytest.fixture
def runner(package: Installed, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Runner]:
    """A runner whose package has as many seconds of grace as the test's parameter says."""
    for name in ("settings.json", "package.json"):
        shutil.copy(package.folder / name, tmp_path / name)
    settings = json.loads((tmp_path / "settings.json").read_text())
    (tmp_path / "settings.json").write_text(json.dumps({**settings, "termination_grace": request.param}))
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.serving.app.runner_process", str(tmp_path)],
        cwd=ROOT,
        env={**os.environ, PACKAGE_VARIABLE: str(tmp_path), "CANARY_KEY": CANARY},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    runner = Runner(tmp_path, process)
    try:
        until(runner.ready)
        yield runner
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("runner", [60], indirect=True)
def test_a_runner_told_to_end_finishes_what_is_at_work(runner: Runner) -> None:
    request = runner.asked()
    runner.process.send_signal(signal.SIGTERM)
    until(lambda: _sent_elsewhere(runner))
    (runner.folder / "go").touch()
    request.join(30)
    (answer,) = runner.answers
    assert answer is not None
    assert answer.billed == (200, ["1"])
    said, _ = runner.lines()
    assert sum(line["units"] for line in said if line["event"] == "request") == 1
    assert said[-1] == {"event": "end", "in_flight": 0}


@pytest.mark.parametrize("runner", [2], indirect=True)
def test_what_is_not_done_in_time_is_answered_and_costs_nothing(runner: Runner) -> None:
    request = runner.asked()
    runner.leave()
    until(lambda: 'lorasmith_requests_total{path="/",status="499"} 1.0' in runner.metrics())
    assert {"lorasmith_requests_in_flight 1.0", "lorasmith_pictures_running 1.0"} <= runner.metrics()
    runner.process.send_signal(signal.SIGTERM)
    request.join(30)
    (answer,) = runner.answers
    assert answer is not None
    assert (*answer.billed, answer.headers["x-fal-needs-retry"]) == (429, ["0"], "1")
    said, errors = runner.lines()
    assert said[-1] == {"event": "end", "in_flight": 0}  # teardown() ran: nothing had to be killed
    assert CANARY not in json.dumps(said) + errors


def test_seconds_left_run_from_the_first_signal() -> None:
    now = [100.0]
    lifecycle = Lifecycle(grace=20, clock=lambda: now[0])
    assert (lifecycle.draining, lifecycle.seconds_left) == (False, float("inf"))
    lifecycle.drain()
    now[0] = 110
    lifecycle.drain()
    assert (lifecycle.draining, lifecycle.seconds_left) == (True, 8)
    now[0] = 200
    assert lifecycle.seconds_left == 0


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (RuntimeError("CUDA error: an illegal memory access was encountered"), GpuBroken),
        (RuntimeError("CUDA error: device-side assert triggered"), GpuBroken),
        (RuntimeError("CUDA error: unspecified launch failure"), GpuBroken),
        (RuntimeError("CUDA error: uncorrectable ECC error encountered"), GpuBroken),
        (RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"), GpuBroken),
        (RuntimeError("CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling `cublasSgemm(...)`"), GpuBroken),
        (RuntimeError("CUDA error: out of memory"), OutOfMemory),
        (RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB"), OutOfMemory),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"), OutOfMemory),
        (RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"), OutOfMemory),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"), OutOfMemory),
        (MemoryError(), OutOfMemory),
        (RuntimeError("cuDNN error: CUDNN_STATUS_NOT_SUPPORTED. This error may appear"), RequestFailure),
        (RuntimeError("CUDA error: CUBLAS_STATUS_INVALID_VALUE when calling"), RequestFailure),
        (RuntimeError("CUDA error: invalid configuration argument"), RequestFailure),
        (ValueError("a prompt that says CUDA error"), RequestFailure),
        (TimeoutError(), TimedOut),
    ],
    ids=str,
)
def test_only_a_lost_context_ends_a_runner(error: Exception, kind: type[RequestFailure]) -> None:
    assert type(failure_of(error)) is kind


class GatedRepoError(Exception):
    """What the Hub's client raises, by name."""


class ConnectError(Exception):
    """What httpx raises, by name."""


def _caused(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (SettingsError("adapter file x is missing: app_files must name it"), "adapter file x is missing: app_files must name it"),
        (OSError(errno.ENOSPC, "No space left on device"), "the disk is full"),
        (_caused(RuntimeError("saving failed"), OSError(errno.EDQUOT, "Disk quota exceeded")), "the disk is full"),
        (RuntimeError("CUDA out of memory. Tried to allocate 24.00 GiB"), "choose a machine_type with more"),
        (AssertionError("Torch not compiled with CUDA enabled"), "the GPU can not be used"),
        (RuntimeError("Found no NVIDIA driver on your system."), "the GPU can not be used"),
        (GatedRepoError("401 Client Error"), "HF_TOKEN"),
        (_caused(OSError("can't load the model"), ConnectError("no route")), "the Hub can not be reached"),
        (ModuleNotFoundError("No module named 'ftfy'"), "requirements"),
        (KeyError("unet"), "KeyError: 'unet'"),
        (ValueError("in\ntwo   lines"), "in two lines"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_a_start_that_fails_says_what_and_the_remedy_in_one_line(error: Exception, says: str) -> None:
    line = explained(error)
    assert line.startswith("setup failed: ")
    assert says in line
    assert "\n" not in line


def test_a_start_that_fails_tells_no_secret() -> None:
    pem = "-----BEGIN PRIVATE KEY-----\nabcdefgh\n-----END PRIVATE KEY-----\n"
    environ = {"LORASMITH_C2PA_KEY": pem, "HF_TOKEN": "hf_abcdefghij", "HOME": "/home/someone"}
    line = explained(ValueError(f"can not read {pem} of /home/someone with hf_abcdefghij"), environ)
    assert "abcdefgh" not in line
    assert "/home/someone" in line


def test_a_gpu_that_torch_can_not_use_stops_the_start(tmp_path: Path) -> None:
    require_gpu(tmp_path)
    (tmp_path / "nvidia0").touch()
    with pytest.raises(SettingsError, match="finds no GPU on a machine that has one"):
        require_gpu(tmp_path)


def until(holds: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it does not happen"
        time.sleep(0.01)


def _sent_elsewhere(runner: Runner) -> bool:
    """Whether a new request is refused: by an answer that sends it to another runner, or since nobody listens any more."""
    late = runner.call("GET", "/nowhere")  # it would not wait for the engine
    assert late is None or late.billed in ((404, ["0"]), (429, ["0"]))
    return late is None or late.status == 429
