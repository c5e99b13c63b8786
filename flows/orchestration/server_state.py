"""Where the Prefect server of a home answers: a lock that its keeper holds while it lives, and a file that says the rest.

The kernel gives the lock back whatever ends the keeper, so a file that a killed one left behind is known to be stale.
"""

import fcntl
import json
import os
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from flows.orchestration.orchestrator import prefect_folder


@dataclass(frozen=True, kw_only=True, slots=True)
class ServerState:
    """A server that is up: its port on loopback, its keeper's process, and since when (UTC, ISO 8601)."""

    port: int
    pid: int
    since: str


def running(home: Path) -> ServerState | None:
    """The server of this home, or None where none is up (or one is only starting)."""
    if not is_held(lock_file(home)):
        return None
    try:
        return ServerState(**json.loads(state_file(home).read_text()))
    except (FileNotFoundError, ValueError, TypeError):
        return None


def keeper(home: Path) -> int | None:
    """The process that keeps the server of this home, from its first moment on."""
    path = lock_file(home)
    return int(path.read_text() or 0) or None if is_held(path) else None


def answers(url: str, seconds: float = 5.0) -> bool:
    """Whether a server says there that it is well."""
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(f"{url}/health", timeout=seconds):
            return True
    except OSError:
        return False


def write(home: Path, state: ServerState) -> None:
    """For the owner alone, at once or not at all."""
    write_private(state_file(home), json.dumps(asdict(state)) + "\n")


def forget(home: Path) -> None:
    state_file(home).unlink(missing_ok=True)


def write_private(path: Path, text: str) -> None:
    """A file with mode 0600, atomically."""
    scratch = path.with_suffix(f".{os.getpid()}.part")
    with os.fdopen(os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
    os.replace(scratch, path)


@contextmanager
def sole(path: Path) -> Iterator[bool]:
    """Hold a lock file with our process number in it; False where another process holds it."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with path.open("a+") as file:
        mine = taken(file.fileno())
        if mine:
            file.truncate(0)
            file.write(f"{os.getpid()}\n")
            file.flush()
        yield mine


def taken(descriptor: int, seconds: float = 1.0) -> bool:
    """The lock, waiting a moment: whoever only looks holds it for as long as a look takes."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                return False
            time.sleep(0.05)
        else:
            return True


def is_held(lock: Path) -> bool:
    """Whether a living process holds it."""
    if not lock.exists():
        return False
    with lock.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def lock_file(home: Path) -> Path:
    return prefect_folder(home) / "server.lock"


def state_file(home: Path) -> Path:
    return prefect_folder(home) / "server.json"
