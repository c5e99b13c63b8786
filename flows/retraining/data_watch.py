"""A dataset folder under watch: each new state that has come to rest is told once, as an event dataset.updated.

A state is the content of the folder, as publish hashes it. It has come to rest when nothing of it has changed for a while, so that
a set that is still being copied is no update. What was told is kept on the disk after it was sent: killed in between, the same
state is told twice, and whoever acts on it finds nothing to do the second time.
"""

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from flows.books.records import write_json
from flows.datasets import content_of
from flows.errors import FlowError, JobError
from flows.home import home
from flows.orchestration import orchestrator, server_state

EVENT = "dataset.updated"
POLL_SECONDS = 0.2


class ServerAway(FlowError):
    exit_code = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class State:
    """What a folder holds: its content's hash, and the names, sizes and times that it was found with."""

    sha256: str
    looks: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Update:
    """A state that was not told yet."""

    folder: Path
    before: str | None
    state: State

    @property
    def resource(self) -> str:
        """dataset.<name of the folder>-<which of them>: a trigger may wait for one folder, or for dataset.* of all."""
        return f"dataset.{self.folder.name}-{_key(self.folder)[:8]}"

    @property
    def payload(self) -> dict[str, Any]:
        return {"folder": str(self.folder), "sha256": self.state.sha256, "before": self.before}


def settled(
    folder: Path, *, settle: float, wait: Callable[[float], None] = time.sleep, patience: float | None = None
) -> State | None:
    """The state of a folder once nothing of it has changed for `settle` seconds; what is told already at once.

    None where it did not come to rest within `patience` seconds. Nothing is read before names, sizes and times have come to rest,
    and what changes while it is read is waited for again.
    """
    known = told(folder)
    seen, since = looks_of(folder), time.monotonic()
    began = since
    while True:
        now = looks_of(folder)
        if now != seen:
            seen, since = now, time.monotonic()
        if known and known.looks == seen:
            return known
        if time.monotonic() - since >= settle:
            sha256 = content_of(folder)
            if looks_of(folder) == seen:
                return State(sha256=sha256, looks=seen)
        elif patience is not None and time.monotonic() - began >= patience:
            return None
        else:
            wait(min(POLL_SECONDS, settle))


def update(folder: Path, state: State) -> Update | None:
    """What there is to tell of a state; None where its content was told last."""
    known = told(folder)
    if known and known.sha256 == state.sha256:
        if known != state:  # touched, or copied anew: the same pictures
            keep(folder, state)
        return None
    return Update(folder=folder, before=known.sha256 if known else None, state=state)


def tell(found: Update) -> None:
    """Send the event, then remember it; ServerAway where no Prefect server hears it, and then it is told next time."""
    from flows.events import emit

    require_server()
    emit(EVENT, found.resource, found.payload)
    flush()
    keep(found.folder, found.state)


def watched(
    folder: Path, *, every: float, settle: float, wait: Callable[[float], None] = time.sleep
) -> Iterator[Update | ServerAway]:
    """For ever: each update once it was told; a server that is away is told of once and tried again."""
    away = False
    while True:
        state = settled(folder, settle=settle, wait=wait)
        assert state
        if found := update(folder, state):
            try:
                tell(found)
            except ServerAway as error:
                if not away:
                    yield error
                away = True
            else:
                away = False
                yield found
        wait(every)


def told(folder: Path) -> State | None:
    """The state that was told last."""
    file = state_file(folder)
    if not file.is_file():
        return None
    kept = json.loads(file.read_text(encoding="utf-8"))
    return State(sha256=kept["sha256"], looks=kept["looks"])


def keep(folder: Path, state: State) -> None:
    """Atomically."""
    write_json(state_file(folder), {"folder": str(folder), **asdict(state)})


def state_file(folder: Path) -> Path:
    kept = home() / "watch"
    kept.mkdir(exist_ok=True)
    return kept / f"{_key(folder)}.json"


def looks_of(folder: Path) -> str:
    """A hash of names, sizes and times of all files, which costs no reading; of hidden ones nothing, as content_of has it."""
    if not folder.exists():
        raise JobError(f"{folder}: there is no such folder to watch; give the one that dataset.path names")
    files = [folder] if folder.is_file() else sorted(folder.rglob("*"))
    rows = []
    for file in files:
        try:
            found = file.stat()
        except FileNotFoundError:  # gone since it was listed
            continue
        if not file.is_dir() and not any(part.startswith(".") for part in file.relative_to(folder).parts):
            rows.append([str(file.relative_to(folder)), found.st_size, found.st_mtime_ns])
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()


def require_server() -> None:
    """ServerAway, one line, unless the server of PREFECT_API_URL answers, or else that of this home, which is then taken."""
    kept = None if os.environ.get("PREFECT_API_URL") else server_state.running(home())
    if kept:
        orchestrator.adopt(orchestrator.environment(os.environ, orchestrator.prefect_folder(home()), kept.port))
    address = os.environ.get("PREFECT_API_URL")
    if not address:
        raise ServerAway("no Prefect server is up to hear of it: start one with `lorasmith server up`")
    if not server_state.answers(address.rstrip("/")):
        raise ServerAway(f"the Prefect server at {address} does not answer: start it with `lorasmith server up`")


def flush() -> None:
    """Until what was sent has left this process."""
    from prefect.events.worker import EventsWorker

    EventsWorker.drain_all()


def _key(folder: Path) -> str:
    return hashlib.sha256(str(folder).encode()).hexdigest()[:32]
