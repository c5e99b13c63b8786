"""Every point of a whole publish: killed there, looked at, run again, looked at.

Up to the evaluation one run after the other is killed, each a little further on than the one before, so that all of them together
train once. After it each point begins with the state that the kill before the gate left, and its second run goes to the end.
"""

import hashlib
import json
import os
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from flows.cli import server as prefect_server
from tests.failpoints.driver import Forks, Outcome, forks, said
from tests.failpoints.effects import Point, points
from tests.operations import drill_world
from tests.operations.hook.sitecustomize import STRIKE
from tests.operations.prefect import until
from tests.operations.publish_drill import Publish

NAME = "tests.operations.publish_drill:Publish"
TRAINING, GATE = "step: adapter of", "step: gate adapter"
PACKAGES, ROOM = "step: package app", "make room on the disk"
LIMIT_SECONDS = 600.0
LOCKED_SECONDS, QUICK_LOCKED_SECONDS = 90.0, 4.0
CHECKPOINT = "*/step-*.safetensors"
Where = tuple[str, str]  # name of an effect, and before or after it
Tell = Callable[[str], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Blow:
    """From inside of the training: at which file a SIGKILL, and for whom; or a disk that is full from then on."""

    file: str
    when: str
    kill: tuple[str, ...] = ()
    full: bool = False


FULL = "nobody: the disk is full within a checkpoint"
BLOWS = {
    "the trainer alone, after a checkpoint": Blow(file=CHECKPOINT, when="after", kill=("trainer",)),
    "the trainer alone, as it writes a checkpoint": Blow(file=CHECKPOINT, when="before", kill=("trainer",)),
    "accelerate's launcher alone": Blow(file=CHECKPOINT, when="after", kill=("launcher",)),
    FULL: Blow(file=CHECKPOINT, when="after", full=True),
    "the reaper alone": Blow(file=CHECKPOINT, when="after", kill=("reaper",)),
    "the flow alone, after a checkpoint": Blow(file=CHECKPOINT, when="after", kill=("flow",)),
    "reaper and flow": Blow(file=CHECKPOINT, when="after", kill=("reaper", "flow")),
    "all of them, as a checkpoint is written": Blow(file=CHECKPOINT, when="before", kill=("machine", "flow")),
    "the trainer alone, as it exports": Blow(file="*/content/adapter.safetensors", when="before", kill=("trainer",)),
    "all of them, as the evaluation is written": Blow(file="*/content/evaluation.json", when="before", kill=("machine", "flow")),
}
QUICK_BLOWS = (FULL, "the reaper alone", "all of them, as a checkpoint is written")
QUICK_EARLY: tuple[Where, ...] = (("file: store dataset", "after"),)
QUICK_LATE: tuple[Where, ...] = (
    ("file: store package", "before"),
    ("platform: deploy main", "after"),
    ("file: runs/last.json", "before"),
)


@contextmanager
def forking(folder: Path) -> Iterator[Forks]:
    """The server that forks publishes, and a Prefect server for them, both in `folder`."""
    home = folder / "prefect-home"
    (home / "logs").mkdir(parents=True)
    settings = {"LORASMITH_HOME": str(home), "PREFECT_HOME": str(home / "prefect"), "OMP_NUM_THREADS": "1", **prefect_server.QUIET}
    log, before = home / "logs" / "prefect.log", dict(os.environ)
    os.environ.update(settings)
    try:
        address, process = prefect_server.started(log)
    finally:
        os.environ.clear()
        os.environ.update(before)
    try:
        prefect_server.require_answer(f"{address}/health", log)
        with forks(settings | {"PREFECT_API_URL": address}, LIMIT_SECONDS) as server:
            yield server
    finally:
        prefect_server.end(process)


class Drill:
    """A world in `folder` that is killed and goes on."""

    def __init__(self, server: Forks, folder: Path, tell: Tell = lambda line: None) -> None:
        self.server, self.tell = server, tell
        self.world, self.log, self.base = folder / "world", folder / "effects", folder / "base"
        self.prefect = folder / "prefect-home" / "prefect" / "prefect.db"
        self.straight: str | None = None
        self.faults: list[str] = []
        server.ended(NAME, "prepare", self.world, self.log)

    def clean(self) -> tuple[list[Where], list[Where]]:
        """A run that nobody kills, to the end: all points that it has, those before the gate and the others."""
        self.keep_base()
        self.server.ended(NAME, "run", self.world, self.log)
        Publish().ended(self.world)
        self.straight = adapter_of(self.world)
        found: list[Where] = list(dict.fromkeys((point.name, point.when) for point in points(self.log) if is_worth(point)))
        self.restore()
        gate = found.index((GATE, "before"))
        return [point for point in found[:gate] if not point[0].startswith("trainer: ")], found[gate:]

    def early(self, wanted: Sequence[Where], blows: Sequence[str]) -> list[Outcome]:
        """Each run is killed at the next point, those of the training by a blow; what the one at the gate leaves is kept."""
        found: list[Outcome] = []
        training = next((number for number, (name, _) in enumerate(wanted) if name == "file: store adapter"), len(wanted))
        for name, when in wanted[:training]:
            found.append(self.told(name, when, lambda name=name, when=when: self.stopped(name, when)))  # type: ignore[misc]
        for what in (what for what in blows if "evaluation" not in what):
            found.append(self.told(what, "", lambda what=what: self.struck(BLOWS[what])))  # type: ignore[misc]
        for name, when in wanted[training:]:
            if name == "file: store bundle" and when == "before":
                for what in (what for what in blows if "evaluation" in what):
                    found.append(self.told(what, "", lambda what=what: self.struck(BLOWS[what])))  # type: ignore[misc]
            found.append(self.told(name, when, lambda name=name, when=when: self.stopped(name, when)))  # type: ignore[misc]
        self.stopped(GATE, "before")
        if self.straight:
            assert adapter_of(self.world) == self.straight, "the adapter is not the one of a training that nobody killed"
        self.keep_base()
        return found

    def late(self, wanted: Sequence[Where]) -> list[Outcome]:
        """Each point from the same state, and each second run to the end."""

        def mended(name: str, when: str) -> Callable[[], tuple[str, str]]:
            def do() -> tuple[str, str]:
                self.restore()
                struck, _ = self.stopped(name, when)
                self.server.ended(NAME, "run", self.world, self.log.with_suffix(".again"))
                return struck, Publish().ended(self.world)

            return do

        return [self.told(name, when, mended(name, when)) for name, when in wanted]

    def told(self, name: str, when: str, do: Callable[[], tuple[str, str]]) -> Outcome:
        """What was found; what does not hold is a fault, and the other points are gone through as well."""
        label = f"{when} `{name}`" if when else name
        try:
            struck, ended = do()
        except AssertionError as error:
            self.faults.append(f"killed {label}: {error}")
            self.tell(self.faults[-1])
            return Outcome(point=Point(0, name, when), struck="", ended="not mended")  # type: ignore[arg-type]
        self.tell(f"{label}: {struck}; {ended}")
        return Outcome(point=Point(0, name, when), struck=struck, ended=ended)  # type: ignore[arg-type]

    def stopped(self, name: str, when: str) -> tuple[str, str]:
        self.server.killed(NAME, self.world, self.log, (name, when))
        return Publish().struck(self.world), "the next run goes on"

    def struck(self, blow: Blow) -> tuple[str, str]:
        order = {"file": blow.file, "when": blow.when, "kill": blow.kill, "full": blow.full}
        (self.world / STRIKE).write_text(json.dumps(order))
        if "flow" in blow.kill:
            self.server.killed(NAME, self.world, self.log, ("never", "before"))
        else:
            self.server.failed(NAME, self.world, self.log)
        assert not (self.world / STRIKE).exists(), "nobody was struck"
        assert not blow.full or ROOM in said(self.log), said(self.log)
        steps = drill_world.checkpoints(self.world)
        assert steps == sorted(set(steps)), f"steps were trained again: {steps}"
        return Publish().struck(self.world), "the next run goes on"

    def locked(self, seconds: float) -> Outcome:
        """From the gate to the end, while another holds Prefect's database for a while; it is Prefect that has to wait."""

        def do() -> tuple[str, str]:
            self.restore()
            self.log.unlink(missing_ok=True)
            with ThreadPoolExecutor(1) as others:
                held = others.submit(hold, self.prefect, self.log, seconds)
                self.server.ended(NAME, "run", self.world, self.log)
                assert held.done(), "the publish ended before the database was free again: nothing of it had to wait"
                return held.result(), Publish().ended(self.world)

        return self.told(f"nobody: Prefect's database is locked for {seconds:.0f} s", "", do)

    def keep_base(self) -> None:
        shutil.rmtree(self.base, ignore_errors=True)
        shutil.copytree(self.world, self.base, symlinks=True)

    def restore(self) -> None:
        """At the same path, since a training's configuration names it."""
        shutil.rmtree(self.world)
        shutil.copytree(self.base, self.world, symlinks=True)


def hold(database: Path, log: Path, seconds: float) -> str:
    """Lock a database against all others from the moment on when a publish packages; what it was doing then."""
    until(lambda: log.exists() and PACKAGES in log.read_text(), LIMIT_SECONDS / 2, f"{log}: no {PACKAGES}")
    with closing(sqlite3.connect(database, isolation_level=None, timeout=60)) as other:
        other.execute("BEGIN EXCLUSIVE")
        time.sleep(seconds)
        other.execute("COMMIT")
    return "adapter and bundle"


def adapter_of(world: Path) -> str:
    """sha256 of the trained weights' file."""
    (file,) = (world / "home" / "store" / "adapter").glob("*/content/adapter.safetensors")
    return hashlib.sha256(file.read_bytes()).hexdigest()


def is_worth(point: Point) -> bool:
    """Steps and what changes something; of the files inside of an unfinished artefact the moment before the first is there."""
    if point.name.startswith("file: in "):
        return point.when == "before"
    return not point.name.startswith("platform: ") or any(verb in point.name for verb in ("deploy", "delete", "set "))


def quick(drill: Drill) -> list[Outcome]:
    """A few points of each kind, in about a minute."""
    return drill.early(QUICK_EARLY, QUICK_BLOWS) + drill.late(QUICK_LATE) + [drill.locked(QUICK_LOCKED_SECONDS)]


def whole(drill: Drill) -> list[Outcome]:
    early, late = drill.clean()
    return drill.early(early, tuple(BLOWS)) + drill.late(late) + [drill.locked(LOCKED_SECONDS)]
