"""A worker of one of the pools: kept up under the reaper; what it ran when it ended is scheduled again, not left as Running.

Prefect's own worker, told to stop, kills its runs and leaves them Running for ever, in their places of the pool. Here a stop
freezes the worker, ends its runs, waits until they are gone and schedules them again; one that was killed leaves a list of its
runs, which its keeper or the next worker of its name settles, as soon as the server is there.
"""

import json
import os
import re
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

import psutil

from flows.errors import JobError
from flows.orchestration import keeping, server_state, silence
from flows.orchestration.engines import end_all, end_engine, engines, freeze, has_worker
from flows.orchestration.orchestrator import POOLS, SOURCE, adopt, environment, prefect_folder
from flows.orchestration.provisioning import gpus
from flows.orchestration.server_client import ServerAway, asking
from flows.orchestration.server_process import START_SECONDS, end_process

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient

RUNS = 8  # in the pool cpu at once, each a process of 230 MB; fifty kept the database of Prefect's server locked
END_SECONDS = 15.0  # for runs to put things in order; the reaper needs as long as the trainer has
CANCEL_EVERY_SECONDS = 3.0  # two looks and the patience with an engine are less than the ten seconds that are promised
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkerState:
    """What is known of a worker by others: its pool and process, and its runs, of its processes or not settled yet."""

    name: str
    pool: str
    pid: int
    runs: tuple[str, ...] = ()


def work(home: Path, pool: str, *, name: str | None = None, limit: int | None = None, say: Say = print) -> bool:
    """Keep a worker up until SIGINT or SIGTERM; False at once where one of this name is up already.

    limit: runs at the same moment; without one, as many as there are GPUs in the pool gpu, RUNS in cpu.
    JobError where no server is up.
    """
    if pool not in POOLS:
        raise JobError(f"pool {pool!r}: there are {' and '.join(POOLS)}; training runs in gpu, all else in cpu")
    name = name or pool
    if not NAME.fullmatch(name):
        raise JobError(f"worker name {name!r}: letters, digits, dot, dash and underscore, at most 63")
    with server_state.sole(lock_file(home, name)) as mine:
        if not mine:
            return False
        with keeping.stopped_by_signals() as stop:
            adopt(environment_of(home, stop.wait))
            state = WorkerState(name=name, pool=pool, pid=os.getpid())
            kept = Kept(home, state, limit or (gpus(os.environ) if pool == "gpu" else RUNS), say)
            keeping.keep(kept.start, stop, look=kept.look, before_end=kept.end_runs, after_end=kept.ended)
    return True


def environment_of(home: Path, pause: Callable[[float], object]) -> dict[str, str]:
    """Of the server of this home, waiting for one that starts, or of the one that PREFECT_API_URL names."""
    if named := os.environ.get("PREFECT_API_URL"):
        return environment(os.environ, prefect_folder(home), 0) | {"PREFECT_API_URL": named}
    deadline = time.monotonic() + START_SECONDS
    while (state := server_state.running(home)) is None:
        if server_state.keeper(home) is None or time.monotonic() > deadline:
            raise JobError(
                "no Prefect server is up for this home: start one with `lorasmith server up`, or name it in PREFECT_API_URL"
            )
        pause(0.5)
    return environment(os.environ, prefect_folder(home), state.port)


class Kept:
    """One worker from its start to its end."""

    def __init__(self, home: Path, state: WorkerState, limit: int, say: Say) -> None:
        self.home, self.state, self.limit, self.say = home, state, limit, say
        self.looked, self.cancelling = 0.0, set[str]()
        self.log = keeping.folder_of_logs(home) / f"worker-{state.name}.log"
        self.runs = tuple[str, ...]()
        self.left = set(read_state(home, state.name).runs) if state_file(home, state.name).exists() else set[str]()  # to be settled

    def start(self) -> keeping.Child:
        self.settle()
        self.keep_state(())
        command = [sys.executable, "-m", "prefect", "worker", "start", "--pool", self.state.pool, "--name", self.state.name]
        command += ["--limit", str(self.limit)]
        # A run that is told to end by a signal leaves its state to us; else it would say Crashed first.
        env = dict(os.environ) | {"PREFECT_FLOW_RUN_EXECUTE_SIGTERM_BEHAVIOR": "reschedule"}
        child = keeping.start(command, env=env, cwd=SOURCE, log=self.log)
        self.say(f"worker {self.state.name} of pool {self.state.pool} is up on {address_of()} (process {os.getpid()})")
        return child

    def look(self, child: keeping.Child) -> None:
        """Keep the list of its runs: whoever comes after us needs it. End what was cancelled and goes on all the same."""
        found = engines(child)
        if not has_worker(child):
            return  # it was killed, and the reaper ends its runs just now: the list stays as it was, for `ended`
        if (runs := tuple(sorted(found))) != self.runs:
            self.keep_state(runs)
        if (runs or self.left) and time.monotonic() - self.looked >= CANCEL_EVERY_SECONDS:
            self.looked = time.monotonic()
            self.left -= found.keys()  # silence has told of them before we could, and they go on here
            self.settle(tell=False)
            self.see_to(found)

    def see_to(self, found: Mapping[str, psutil.Process]) -> None:
        """What the server says of runs whose processes live: it may want them to end, or take them for dead."""
        try:
            with asking() as client:
                cancelling = {run for run in found if is_cancelling(client, run)}
                for run in found.keys() - cancelling:
                    self.keep_alive(client, run, found[run])
        except ServerAway:
            return
        self.end_cancelled(found, cancelling)

    def keep_alive(self, client: "SyncPrefectClient", run: str, process: psutil.Process) -> None:
        """A run that was taken for dead goes on; one that is never heard again is ended, and the server schedules it again."""
        match silence.judged(client, run):
            case "lives":
                silence.put_right(client, run)
                self.say(f"run {run[:8]} was called Crashed and goes on: {silence.LIVES}")
            case "wedged":
                end_engine(process)
                self.say(f"run {run[:8]} was not heard any more, though its process lived, and is ended")

    def end_cancelled(self, found: Mapping[str, psutil.Process], cancelling: set[str]) -> None:
        """Prefect's worker sees to cancellations, except when an outage of the server has put an end to its watch for them."""
        for run in cancelling & self.cancelling:  # seen by the look before, too: nobody else does it
            end_engine(found[run])
            self.left.add(run)
        self.settle()
        self.cancelling = cancelling

    def keep_state(self, runs: tuple[str, ...]) -> None:
        self.runs = runs
        self.state = replace(self.state, runs=tuple(sorted({*runs, *self.left})))
        server_state.write_private(state_file(self.home, self.state.name), json.dumps(asdict(self.state)) + "\n")

    def end_runs(self, child: keeping.Child) -> None:
        """Freeze the worker, note which runs there are, and end them."""
        freeze(child)
        self.keep_state(tuple(sorted(engines(child))))
        end_all(child, END_SECONDS)

    def ended(self, code: int | None) -> None:
        """The reaper has ended all that it had; its runs are settled now, or by the next start."""
        self.left |= set(self.runs)
        self.keep_state(())
        if code is not None:
            self.say(f"! worker {self.state.name} ended with code {code} ({keeping.last_line(self.log)}); it is started again")
            return
        self.settle()

    def settle(self, *, tell: bool = True) -> None:
        """Say what became of runs whose processes are gone; where the server is away, they stay on the list for the next look."""
        if not self.left:
            return
        try:
            with asking() as client:
                for run in sorted(self.left):
                    if line := settled(client, run):
                        self.say(line)
                    self.left.remove(run)
        except ServerAway as away:
            if tell:
                self.say(f"! {len(self.left)} runs of worker {self.state.name} are settled when the server is there: {away}")
        self.keep_state(self.runs)


def is_cancelling(client: "SyncPrefectClient", run_id: str) -> bool:
    """Whether somebody wants this run to end; also where the server has lost patience and calls it Cancelled already."""
    from prefect.exceptions import ObjectNotFound

    try:
        state = client.read_flow_run(UUID(run_id)).state
    except ObjectNotFound:
        return True  # deleted while it runs
    return state is not None and (state.is_cancelling() or state.is_cancelled())


def settled(client: "SyncPrefectClient", run_id: str) -> str | None:
    """Schedule again a run whose process is gone; one that was being cancelled is Cancelled. None where it had ended."""
    from prefect.exceptions import ObjectNotFound
    from prefect.states import Cancelled

    from flows.orchestration.resuming import schedule_again

    try:
        run = client.read_flow_run(UUID(run_id))
    except ObjectNotFound:
        return None
    assert run.state
    if run.state.is_cancelling():
        client.set_flow_run_state(run.id, Cancelled(message="its worker was stopped"), force=True)
        return f"run {run.name} is cancelled"
    if not (run.state.is_running() or run.state.is_pending()):
        return None
    schedule_again(client, run.id, "its worker was stopped; what is done is found")
    return f"run {run.name} is scheduled again"


def address_of() -> str:
    return os.environ["PREFECT_API_URL"]


def workers_of(home: Path) -> list[WorkerState]:
    """The workers of this home that are up on this machine."""
    found = [read_state(home, file.stem.removeprefix("worker-")) for file in sorted(prefect_folder(home).glob("worker-*.json"))]
    return [state for state in found if server_state.is_held(lock_file(home, state.name))]


def stop(home: Path) -> list[str]:
    """End all of them, and wait for it; their names."""
    states = workers_of(home)
    for state in states:
        end_process(state.pid, partial(server_state.is_held, lock_file(home, state.name)))
    return [state.name for state in states]


def read_state(home: Path, name: str) -> WorkerState:
    """As its keeper wrote it last; without runs where the file is damaged."""
    try:
        content = json.loads(state_file(home, name).read_text())
        return WorkerState(**{**content, "runs": tuple(content["runs"])})
    except (ValueError, TypeError, KeyError):
        return WorkerState(name=name, pool="", pid=0)


def lock_file(home: Path, name: str) -> Path:
    return prefect_folder(home) / f"worker-{name}.lock"


def state_file(home: Path, name: str) -> Path:
    return prefect_folder(home) / f"worker-{name}.json"
