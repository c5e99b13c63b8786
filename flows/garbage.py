"""What nothing needs any more: shown with its size, and removed as shown. Never what is live, could come back, or is in use."""

import fcntl
import re
import time
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flows.errors import JobError
from flows.home import home
from flows.home_garbage import Item, here, is_old, item, of_sandbox, remove
from flows.progress import say
from flows.store import IN_USE
from flows.targets import Target, open_platform, registry_url

UNITS = {"h": 3600.0, "d": 86400.0, "w": 604800.0}


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """Items, and what was not looked at. `age` in seconds, `before` in Unix seconds."""

    items: tuple[Item, ...]
    said: tuple[str, ...]
    keep: int
    before: float
    verb: str = "can go"

    def as_json(self) -> dict[str, Any]:
        rows = [{"kind": one.kind, "name": one.name, "why": one.why, "bytes": one.bytes} for one in self.items]
        return {"items": rows, "bytes": self.bytes, "not_looked_at": list(self.said)}

    def as_text(self) -> str:
        rows = [f"{one.kind:<16} {_size(one.bytes) if one.paths else '-':>10}  {one.name}  ({one.why})" for one in self.items]
        total = f"{len(self.items)} {'thing' if len(self.items) == 1 else 'things'} {self.verb}, {_size(self.bytes)} on this disk"
        return "\n".join([*rows, *self.said, total])

    @property
    def bytes(self) -> int:
        return sum(one.bytes for one in self.items)


def seconds(age: str) -> float:
    """`30d`, `12h` or `2w` as seconds."""
    match = re.fullmatch(r"(\d+)([hdw])", age)
    if match is None:
        raise JobError(f"--older-than {age!r}: write a number and h, d or w, such as 30d")
    return int(match[1]) * UNITS[match[2]]


def found(target: Target, *, age: float, keep: int, platform: bool) -> Found:
    """Everything that could go now; nothing is changed. platform: look at the target too, which starts a sandbox."""
    before = time.time() - age
    said: list[str] = []
    items = [*of_sandbox(before)]
    if platform:
        items = [*_on_platform(target, keep, before), *items]
    with _nothing_runs() as idle:
        if platform and idle:
            rented, told = _rented(target, before)
            items, said = [*rented, *items], told
        items += here(before) if idle else []
    if not idle:
        said.append("a run is at work: store, work, caches and rented machines are looked at when it has ended")
    return Found(items=tuple(items), said=tuple(said), keep=keep, before=before)


def removed(shown: Found, target: Target) -> Found:
    """What of the shown was removed: all of it, but for what came into use since it was shown, which stays."""
    from serving.release import gc
    from serving.release.registry import Registry

    gone: list[Item] = []
    with _nothing_runs() as idle:
        gone += _rented_removed(shown, target) if idle else []
        again = {_identity(one) for one in (*of_sandbox(shown.before), *(here(shown.before) if idle else ()))}
        gone += _files_removed(one for one in shown.items if _identity(one) in again)
    # Last, since the line that it writes into the journal makes a release one that changed of late.
    leftovers = [one.leftover for one in shown.items if one.leftover is not None]
    if leftovers:
        with closing(Registry(registry_url())) as registry, open_platform(target) as platform:
            went = gc.remove(leftovers, platform=platform, registry=registry, keep=shown.keep, before=shown.before, progress=say)
        gone += [one for one in shown.items if one.leftover in went]
    kept = [f"stays, since it came into use or changed: {one.kind} {one.name}" for one in shown.items if one not in gone]
    return Found(items=tuple(gone), said=tuple(kept), keep=shown.keep, before=shown.before, verb="went")


def _files_removed(items: Iterable[Item]) -> list[Item]:
    chosen = list(items)
    for path in (path for one in chosen for path in one.paths):
        remove(path)
    return chosen


def _identity(item: Item) -> tuple[str, str, int, tuple[Path, ...]]:
    return item.kind, item.name, item.bytes, item.paths


def _on_platform(target: Target, keep: int, before: float) -> Iterator[Item]:
    from serving.release import gc
    from serving.release.registry import Registry

    why = {"candidate": "its release has ended", "revision": "no name, rollback or unfinished release needs it"}
    with closing(Registry(registry_url())) as registry, open_platform(target) as platform:
        for one in gc.leftovers(platform, registry, keep=keep, before=before):
            yield Item(kind=f"{target} {one.kind}", name=f"{one.app} {one.revision}", why=why[one.kind], leftover=one)


def _rented(target: Target, before: float) -> tuple[list[Item], list[str]]:
    """What trainings on rented machines left over there, and their records where nothing is left; and what stays, in sentences.

    Held while no run makes anything: a training of this home is then neither begun nor waited for.
    """
    from serving.release import remote_leftovers
    from serving.release.machine import FalMachine

    jobs = [remote_leftovers.Job.read(path) for path in sorted((home() / "remote").glob(f"{target}-*.json"))]
    with open_platform(target) as platform:
        rest = remote_leftovers.look(platform, FalMachine(platform), jobs, before=before)
    over_there = [
        Item(kind=f"{target} rented {one.kind}", name=one.name, why=_why(one.why, one.bytes), remote=one) for one in rest.leftovers
    ]
    # While its work is kept, the archive in it may still be taken for the record's last request: nothing is paid twice.
    spent = [one.path for one in rest.records if is_old(home() / "work" / one.key, before)]
    records = [item("training record", path.stem, "its job has ended, nothing of it is left over there", path) for path in spent]
    return [*over_there, *records], list(rest.told)


def _rented_removed(shown: Found, target: Target) -> list[Item]:
    from serving.release import remote_leftovers
    from serving.release.machine import FalMachine

    chosen = [one for one in shown.items if one.remote is not None or one.kind == "training record"]
    if not chosen:
        return []
    still = [one for one in _rented(target, shown.before)[0] if one in chosen]
    with open_platform(target) as platform:
        for leftover in (one.remote for one in still if one.remote is not None):
            say(f"removing {leftover.kind} {leftover.name} on {target}")
            remote_leftovers.remove(leftover, platform, FalMachine(platform))
    return _files_removed(still)


def _why(why: str, there: int) -> str:
    return f"{why}; {_size(there)} there" if there else why


def _size(count: int) -> str:
    return f"{count / 2**30:.2f} GiB" if count >= 2**30 else f"{count / 2**20:.2f} MiB" if count >= 2**20 else f"{count} B"


@contextmanager
def _nothing_runs() -> Iterator[bool]:
    """Whether no run makes an artefact now; while this holds, none begins to."""
    folder = home() / "store"
    folder.mkdir(exist_ok=True)
    with (folder / IN_USE).open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True
