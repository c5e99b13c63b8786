"""The book of runs: HOME/runs/<id>.json from a run's first moment on, and beside it, as <id>.log, the lines that it said.

A run of a deployment is one entry however often it is suspended, retried or started again; Prefect's states and logs are views.
"""

import asyncio
import json
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from flows.books import process_mark
from flows.books.records import write_json
from flows.errors import JobError
from flows.home import home
from flows.progress import said_in

LAST: Final = "last.json"
ENDED_FROM_OUTSIDE: Final = (
    "its worker was stopped, it was cancelled, or Prefect's server was away too long; the next run goes on from there"
)


@contextmanager
def entry(name: str, app: str, target: str) -> Iterator[str]:
    """The id of a run that is under way while the block lasts; what the run itself wrote to its record stays in it."""
    flow, flow_run = flow_and_run()
    identity = f"{name}-{(flow_run or os.urandom(4).hex())[:8]}"
    path = folder() / f"{identity}.json"
    write_json(
        path,
        read(path)
        | {"run": identity, "flow": flow, "app": app, "target": target, "flow_run": flow_run, "state": "running"}
        | {"begun_at": read(path).get("begun_at") or now(), "ended_at": None, "line": None, "exit_code": None}
        | {"process": process_mark.mark()},
    )
    try:
        with said_in(path.with_suffix(".log")):
            yield identity
    except BaseException as error:
        with suppress(OSError):  # a full disk may be what ended it
            write_json(path, read(path) | ended(error))
        raise
    write_json(path, read(path) | {"state": "done", "exit_code": 0, "ended_at": now()})


def listed() -> list[dict[str, Any]]:
    """Every run, the newest first; one whose process is gone without a word is `killed`."""
    found = [aged(path) for path in folder().glob("*.json") if path.name != LAST]
    return [as_it_is(run) for run in sorted(found, key=lambda run: str(run.get("begun_at") or ""), reverse=True)]


def found(identity: str) -> dict[str, Any]:
    """The run of this id, or of the only id that begins so. JobError."""
    rows = [run for run in listed() if run["run"].startswith(identity)]
    exact = [run for run in rows if run["run"] == identity]
    if len(exact or rows) != 1 or not identity:
        said = f"begins {len(rows)} ids" if rows else "is no run of this home"
        raise JobError(f"run {identity!r} {said}; `lorasmith runs list` shows them")
    return (exact or rows)[0]


def lines_of(identity: str) -> Path:
    """Where the lines of a run are."""
    return folder() / f"{identity}.log"


def folder() -> Path:
    path = home() / "runs"
    path.mkdir(exist_ok=True)
    return path


def flow_and_run() -> tuple[str, str | None]:
    """The name of the flow that this is called in, and its run's id where a server keeps it that outlives the run."""
    if "prefect" not in sys.modules:  # then nobody is in a flow
        return "publish", None
    from prefect.context import FlowRunContext

    context = FlowRunContext.get()
    name = context.flow.name if context and context.flow else "publish"
    lasts = context and context.flow_run and os.environ.get("PREFECT_API_URL")
    return name, str(context.flow_run.id) if context and context.flow_run and lasts else None


def ended(error: BaseException) -> dict[str, Any]:
    """How a run ended that was not done: suspended, interrupted, or with its one line and its exit code."""
    if is_pause(error):
        return {"state": "waiting", "line": "waits for a person: lorasmith approvals list", "ended_at": now()}
    if isinstance(error, KeyboardInterrupt):
        return {"state": "interrupted", "exit_code": 130, "ended_at": now()}
    if from_outside(error):
        return {"state": "killed", "line": ENDED_FROM_OUTSIDE, "exit_code": 1, "ended_at": now()}
    line = " ".join(str(error).split())[:2000] or type(error).__name__
    return {"state": "failed", "line": line, "exit_code": getattr(error, "exit_code", 1), "ended_at": now()}


def is_pause(error: BaseException) -> bool:
    """Whether Prefect ends the process of this run to go on with it later."""
    if "prefect" not in sys.modules:
        return False
    from prefect.exceptions import Pause

    return isinstance(error, Pause)


def from_outside(error: BaseException) -> bool:
    """Whether Prefect ended it: its worker was stopped, or its server was away for so long that the run lost its place."""
    if "prefect" not in sys.modules:
        return False
    from prefect.exceptions import TerminationSignal

    return isinstance(error, (TerminationSignal, asyncio.CancelledError))


def as_it_is(run: Mapping[str, Any]) -> dict[str, Any]:
    """A run that says it is under way, though its process is gone from this machine, was killed."""
    if run.get("state") != "running" or not process_mark.is_gone(run.get("process") or {}):
        return dict(run)
    return {**run, "state": "killed", "line": "its process is gone; run the same command again"}


def aged(path: Path) -> dict[str, Any]:
    """A record; one from before runs were booked is of the time when it was written."""
    run = read(path)
    written = datetime.fromtimestamp(path.stat().st_mtime, UTC).isoformat(timespec="seconds")
    return run if run.get("begun_at") else run | {"begun_at": written, "ended_at": written, "state": "done"}


def read(path: Path) -> dict[str, Any]:
    """{} where there is no record yet."""
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return found


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
