"""Kills of what runs a deployment, in the middle of its work: its run, its worker, the server, everything on the machine.

A publish of the deployment `publish/publish`, whose training runs on the pool `gpu`, under `lorasmith server up` and two `lorasmith
worker up`. Nobody asks for the run again: what was started again by hand is named in the table, the rest mends itself.
"""

import json
import os
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from flows.job_file import load_job
from flows.orchestration import server_state
from tests.failpoints.driver import Outcome
from tests.failpoints.effects import Point
from tests.operations import drill_world as drill
from tests.operations.flow_points import CHECKPOINT, Blow
from tests.operations.hook.sitecustomize import STRIKE, STRUCK
from tests.operations.prefect import ROOT, until
from tests.operations.publish_drill import Publish
from tests.operations.stack import Stack

FILE = ROOT / "tests" / "operations" / "drilled_flows.yaml"
DEPLOYMENT = "publish/publish"
STRUCK_SECONDS, END_SECONDS = 900.0, 1800.0  # on a machine that has other work to do
SILENCE_SECONDS = 150.0  # the automation crash-stillborn and the heartbeat rule have spoken by then
PLATFORM = "platform.json"  # the first change of it is of a deploy that has its turn
AWAY = (
    OSError,
    RuntimeError,
    ValueError,
    httpx.HTTPError,
)  # how a server that does not answer is told, or a state file that is not there
Tell = Callable[[str], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Kill:
    """Whom, at which file, and what a person starts again then."""

    blow: Blow
    again: tuple[str, ...] = ()


def at(file: str, when: str, *kill: str) -> Blow:
    return Blow(file=file, when=when, kill=kill)


KILLS = {
    "the run that trains": Kill(blow=at(CHECKPOINT, "after", "training flow")),
    "the run that publishes, while another trains for it": Kill(blow=at(CHECKPOINT, "after", "waiting flow")),
    "Prefect's workers alone, during the training": Kill(blow=at(CHECKPOINT, "after", "worker")),
    "`worker up`, during the training": Kill(blow=at(CHECKPOINT, "after", "keeper"), again=("workers",)),
    "workers and runs, during the training": Kill(
        blow=at(CHECKPOINT, "after", "keeper", "worker", "flow", "launcher", "reaper", "trainer"), again=("workers",)
    ),
    "the server, during the training": Kill(blow=at(CHECKPOINT, "after", "server")),
    "the trainer, in a run of the pool": Kill(blow=at(CHECKPOINT, "before", "trainer")),
    "everything on the machine, as a checkpoint is written": Kill(
        blow=at(CHECKPOINT, "before", "machine"), again=("server", "workers")
    ),
    "the run that publishes, during its deploy": Kill(blow=at(PLATFORM, "before", "flow")),
    "the server, while a deploy holds its limit": Kill(blow=at(PLATFORM, "after", "server")),
    "everything on the machine, during a deploy": Kill(blow=at(PLATFORM, "after", "machine"), again=("server", "workers")),
}
QUICK = ("everything on the machine, as a checkpoint is written",)


class Machine:
    """A world with its server and its workers."""

    def __init__(self, world: Path) -> None:
        self.world = world
        drill.make(world)
        self.stack = Stack(world / "home", environment(world), file=FILE)

    def up(self, *what: str) -> None:
        if "server" in what:
            self.stack.server_up()
        if "workers" in what:
            for pool in ("gpu", "cpu"):
                self.stack.worker(pool)

    def again(self, *what: str) -> None:
        """What was killed, once it is gone."""
        if "server" in what:
            until(lambda: server_state.keeper(self.stack.home) is None, 60, self.stack.said)
        if "workers" in what:
            for keeper in self.stack.workers.values():
                keeper.wait(60)
        self.up(*what)

    def start_worker(self, pool: str, name: str) -> None:
        """One more of a pool; returns when it takes runs."""
        log = self.world / "home" / "logs" / f"worker-{name}.log"
        self.stack.start("worker", "up", "--pool", pool, "--name", name, log=f"{name}.out")
        until(lambda: log.exists() and "started!" in log.read_text(), 180, self.stack.said)

    def publish(self, job: Path | None = None) -> Any:
        """The id of a new run."""
        return self.stack.run(DEPLOYMENT, job=load_job(job or self.world / "job.yaml").model_dump(mode="json"))


def environment(world: Path) -> dict[str, str]:
    return {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ} | {
        "LORASMITH_HOME": str(world / "home"),
        "DRILL_WORLD": str(world),
        "PYTHONPATH": os.pathsep.join([str(ROOT), drill.hook_folder()]),
        "HF_ENDPOINT": "http://127.0.0.1:9",
        "DO_NOT_TRACK": "1",
        "OMP_NUM_THREADS": "1",
    }


def drilled(
    folder: Path,
    faults: list[str],
    *,
    quick: bool = False,
    only: str = "",
    jobs: int = 1,
    kept: Path | None = None,
    tell: Tell = lambda line: None,
) -> list[Outcome]:
    """Every kill in a world of its own, `jobs` of them at the same moment.

    kept: a file where what was found is kept, a line each, for a drill that is interrupted: the next one does not kill them again.
    """
    known = {line["killed"]: line for line in map(json.loads, kept.read_text().splitlines())} if kept and kept.exists() else {}

    def outcome(number: int, name: str) -> Outcome:
        try:
            if name in known:
                struck, ended = known[name]["struck"], known[name]["ended"]
            else:
                struck, ended = killed(folder / str(number), KILLS[name])
                keep(kept, killed=name, struck=struck, ended=ended)
        except (AssertionError, OSError, RuntimeError, ValueError, httpx.HTTPError, subprocess.SubprocessError) as error:
            struck, ended = "", "not mended"
            faults.append(f"killed {name}: {type(error).__name__}: {error}")
            tell(faults[-1])
        tell(f"{name}: {struck}; {ended}")
        return Outcome(point=Point(number, name, ""), struck=struck, ended=ended)  # type: ignore[arg-type]

    chosen = [name for name in KILLS if only in name and (not quick or name in QUICK)]
    with ThreadPoolExecutor(jobs) as pool:
        return list(pool.map(outcome, range(len(chosen)), chosen))


def keep(file: Path | None, **line: str) -> None:
    if file:
        with file.open("a") as log:
            log.write(json.dumps(line) + "\n")


def killed(world: Path, kill: Kill) -> tuple[str, str]:
    """What was there after the kill, and at the end."""
    world.parent.mkdir(parents=True, exist_ok=True)
    machine = Machine(world)
    try:
        machine.up("server", "workers")
        order = {"file": kill.blow.file, "when": kill.blow.when, "kill": kill.blow.kill}
        (world / STRIKE).write_text(json.dumps(order))
        run = machine.publish()
        until(lambda: (world / STRUCK).exists(), STRUCK_SECONDS, lambda: f"nobody was struck: {said(machine)}")
        found = told(world)
        machine.again(*kill.again)
        until(lambda: ended(machine, run), END_SECONDS, lambda: f"it did not end: {said(machine)}", pause=1.0)
        assert machine.stack.states(run)[-1] == "Completed", said(machine)
        require_slots_free(machine)
    finally:
        machine.stack.end()
    return found, f"{Publish().ended(world)}{' (again up by hand: ' + ' and '.join(kill.again) + ')' if kill.again else ''}"


def ended(machine: Machine, run: Any) -> bool:
    """Whether it is over: a crash is resumed. A server that is away is asked again."""
    try:
        return machine.stack.states(run)[-1] in ("Completed", "Failed", "Cancelled")
    except AWAY:
        return False


def said(machine: Machine) -> str:
    logs = sorted((machine.world / "home" / "logs").glob("*.log"))
    tails = "\n".join(f"{log.name}: {log.read_text(errors='replace')[-600:]}" for log in logs)
    try:
        return f"{histories(machine)}\n{tails}"
    except AWAY as error:
        return f"no server ({error})\n{tails}"


def histories(machine: Machine) -> str:
    """Every run with all its states: when, what, why."""
    with machine.stack.client() as client:
        return "\n".join(
            f"{run.name}: {state.timestamp:%H:%M:%S} {state.name} {state.message or ''}"
            for run in client.read_flow_runs()
            for state in client.read_flow_run_states(run.id)
        )


def told(world: Path) -> str:
    """What was finished when the blow fell."""
    made = [kind for kind in ("dataset", "adapter", "bundle", "package") if drill.finished(world, kind)]
    steps = max(drill.checkpoints(world), default=0)
    trained = f"; step {steps} of {drill.STEPS}" if steps and "adapter" not in made else ""
    return ", ".join(made) + trained


def require_slots_free(machine: Machine) -> None:
    """No run holds a place of a pool any more, at the latest when silence has told of the dead (SILENCE_SECONDS)."""

    def holders() -> list[str]:
        try:
            with machine.stack.client() as client:
                runs = client.read_flow_runs()
        except AWAY as error:
            return [f"unknown: {error}"]
        return [f"{run.name} ({run.state.name})" for run in runs if run.state and not ended_or_waits(run.state)]

    until(lambda: not holders(), SILENCE_SECONDS, lambda: f"still hold their places: {holders()}\n{said(machine)}", pause=2.0)


def ended_or_waits(state: Any) -> bool:
    return bool(state.is_final() or state.is_scheduled())
