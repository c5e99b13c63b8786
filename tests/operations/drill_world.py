"""A publish of the demo's base with the least training that can be killed half-way, on a platform that is one file."""

import fcntl
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing, nullcontext
from pathlib import Path
from typing import Any

import psutil
import yaml

from tests.failpoints.kept_platform import KeptPlatform
from tests.operations.hook import sitecustomize as hook
from tests.operations.prefect import ROOT, until

STEPS, EVERY = 40, 2
DEMO = ROOT / "examples" / "emoji"
LAUNCHES = "launches"  # one line a training process: when it began and ended on the machine's steady clock, and what it did
CLEAN_SECONDS = 30.0  # what is left of a tree may take so long to end by itself
HALF = ("*.part", ".*-*", ".unpacked-*")


class Sandbox(KeptPlatform):
    """Named as the target; it knows real packages by their hash."""

    name = "sandbox"

    def clock(self) -> None:
        """It does not tell; what it counts in is no time of day."""

    def _enter(self, verb: str) -> int:
        """One verb at a time, of all processes; the kernel takes the lock back from one that is killed."""
        self._turn = self.file.with_suffix(".lock").open("a")
        fcntl.flock(self._turn, fcntl.LOCK_EX)
        return super()._enter(verb)

    def _leave(self, number: int, verb: str) -> None:
        super()._leave(number, verb)
        self._turn.close()

    def content(self, package: Path) -> str:
        return str(json.loads((package / "package.json").read_text())["hash"])


def make(world: Path, **changes: Any) -> None:
    """Pictures, a job and an empty home in the folder `world`."""
    (world / "home").mkdir(parents=True, mode=0o700)
    raw = yaml.safe_load((DEMO / "job.yaml").read_text())
    raw["base"]["ref"] = str(ROOT / "examples" / "base")
    raw["dataset"] |= {"path": pictures(DEMO / "pictures", world, 8), "held_out": pictures(DEMO / "held_out", world, 2)}
    raw["training"] |= {"steps": STEPS, "batch_size": 4}
    raw["inference"]["steps"] = 2
    raw |= {"gate": {"require_learned": False}, "rollout": {"golden": 0, "min_requests": 5}, **changes}
    (world / "job.yaml").write_text(yaml.safe_dump(raw))


def pictures(source: Path, world: Path, count: int) -> str:
    """A folder with the first `count` pictures, their captions and what may be done with them."""
    some = world / source.name
    some.mkdir()
    for picture in sorted(source.glob("*.webp"))[:count]:
        shutil.copy(picture, some)
        shutil.copy(picture.with_suffix(".txt"), some)
    for paper in source.glob("*.yaml"):
        shutil.copy(paper, some)
    return str(some)


def enter(world: Path) -> None:
    """Make this process and its children one of this world."""
    os.environ |= {
        "LORASMITH_HOME": str(world / "home"),
        "DRILL_WORLD": str(world),
        "PYTHONPATH": os.pathsep.join([str(ROOT), hook_folder()]),
        "HF_ENDPOINT": "http://127.0.0.1:9",
    }
    hook.install(str(world))


def hook_folder() -> str:
    return str(Path(hook.__file__).parent)


def use(world: Path, platform: Any = None) -> None:
    """Flows of this process deploy to the file in this world, and have checkpoints often."""
    from flows import adapter_steps, listing_steps, step_inputs, steps

    rooms: tuple[Any, ...] = (steps, listing_steps, adapter_steps)
    write = with_checkpoints(step_inputs.write_config)
    for room in rooms:
        room.open_platform = lambda target: nullcontext(platform or Sandbox(world / "platform.json"))
        room.write_config = write


def with_checkpoints(write: Callable[..., None]) -> Callable[..., None]:
    def told(job: Any, dataset: Any, licences: Any, path: Path) -> None:
        write(job, dataset, licences, path)
        path.write_text(json.dumps(json.loads(path.read_text()) | {"checkpoint_every": EVERY}))

    return told


def orphans(world: Path) -> list[psutil.Process]:
    """Living processes that were started in this world."""
    found = []
    for process in psutil.process_iter(["environ", "status"]):
        if (process.info["environ"] or {}).get("DRILL_WORLD") == str(world) and process.info["status"] != psutil.STATUS_ZOMBIE:
            found.append(process)
    return found


def require_no_orphan(world: Path) -> None:
    until(lambda: not orphans(world), CLEAN_SECONDS, lambda: f"still there: {[each.cmdline() for each in orphans(world)]}")


def finished(world: Path, kind: str) -> list[str]:
    """Every time an artefact of a kind was finished: its key."""
    places = [path.split("/") for path in renames(world) if path.startswith(f"home/store/{kind}/")]
    return [place[3] for place in places if len(place) == 4 and not place[3].startswith(".")]


def checkpoints(world: Path) -> list[int]:
    """Steps of the checkpoints of the training, in the order that they were written in."""
    return [int(path.rpartition("step-")[2].partition(".")[0]) for path in renames(world) if "/step-" in path]


def renames(world: Path) -> Iterator[str]:
    file = world / hook.RENAMES
    for line in file.read_text().splitlines() if file.exists() else ():
        yield line.split(" ", 2)[2]


def half_written(world: Path) -> list[str]:
    """Files and folders that a killed process left unfinished; locks stay, which the kernel has taken back."""
    home = world / "home"
    found = {path for pattern in HALF for path in home.rglob(pattern) if path.suffix != ".lock"}
    return sorted(str(path.relative_to(home)) for path in found if "prefect" not in path.parts)


def consistent(world: Path) -> dict[str, str]:
    """State by release id; the journal verifies, and the platform has nothing that nobody knows of."""
    from serving.release.registry import Registry, sqlite_url

    with closing(Registry(sqlite_url(world / "home"))) as registry:
        registry.verify_journal()
        rows = registry.releases()
        recorded = {line["row"][column] for line in registry.journal() for column in ("candidate_revision", "revision")}
        recorded |= {revision for row in rows for revision in row["evidence"].get("left_behind", {}).values()}
    unfinished = [row for row in rows if row["state"] in ("intent", "candidate")]
    unknown = Sandbox(world / "platform.json").packages.keys() - recorded
    assert not unknown or unfinished, f"nobody knows of {unknown}"
    live = [row["app"] for row in rows if row["state"] == "live"]
    assert len(live) == len(set(live)), f"more than one release is live: {live}"
    return {row["id"]: row["state"] for row in rows}
