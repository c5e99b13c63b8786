"""What nothing needs any more: shown with its size, and removed as shown. Never what is live, could come back, or is in use."""

import fcntl
import json
import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flows import references
from flows.errors import JobError
from flows.home import home
from flows.progress import say
from flows.records import last_run
from flows.store import IN_USE
from flows.targets import Target, open_platform, registry_url

if TYPE_CHECKING:
    from serving.release.gc import Leftover

UNITS = {"h": 3600.0, "d": 86400.0, "w": 604800.0}
ASIDE = ".gc-"


@dataclass(frozen=True, kw_only=True, slots=True)
class Item:
    """One line: what would go, and why. `bytes` is on this disk, `leftover` on the platform."""

    kind: str
    name: str
    why: str
    bytes: int = 0
    paths: tuple[Path, ...] = ()
    leftover: "Leftover | None" = None


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
    items = [*_sandbox(before)]
    if platform:
        items = [*_on_platform(target, keep, before), *items]
    with _nothing_runs() as idle:
        items += _here(before) if idle else []
    if not idle:
        said.append("a run is at work: store, work and caches are looked at when it has ended")
    return Found(items=tuple(items), said=tuple(said), keep=keep, before=before)


def removed(shown: Found, target: Target) -> Found:
    """What of the shown was removed: all of it, but for what came into use since it was shown, which stays."""
    from serving.release import gc
    from serving.release.registry import Registry

    gone: list[Item] = []
    with _nothing_runs() as idle:
        again = {_identity(one) for one in (*_sandbox(shown.before), *(_here(shown.before) if idle else ()))}
        for item in shown.items:
            if item.paths and _identity(item) in again:
                for path in item.paths:
                    _remove(path)
                gone.append(item)
    # Last, since the line that it writes into the journal makes a release one that changed of late.
    leftovers = [one.leftover for one in shown.items if one.leftover is not None]
    if leftovers:
        with closing(Registry(registry_url())) as registry, open_platform(target) as platform:
            went = gc.remove(leftovers, platform=platform, registry=registry, keep=shown.keep, before=shown.before, progress=say)
        gone += [one for one in shown.items if one.leftover in went]
    kept = [f"stays, since it came into use or changed: {one.kind} {one.name}" for one in shown.items if one not in gone]
    return Found(items=tuple(gone), said=tuple(kept), keep=shown.keep, before=shown.before, verb="went")


def _identity(item: Item) -> tuple[str, str, int, tuple[Path, ...]]:
    return item.kind, item.name, item.bytes, item.paths


def _on_platform(target: Target, keep: int, before: float) -> Iterator[Item]:
    from serving.release import gc
    from serving.release.registry import Registry

    why = {"candidate": "its release has ended", "revision": "no name, rollback or unfinished release needs it"}
    with closing(Registry(registry_url())) as registry, open_platform(target) as platform:
        for one in gc.leftovers(platform, registry, keep=keep, before=before):
            yield Item(kind=f"{target} {one.kind}", name=f"{one.app} {one.revision}", why=why[one.kind], leftover=one)


def _here(before: float) -> list[Item]:
    """Store, work, caches and logs of this home."""
    return [*_artefacts(before), *_half_made(), *_work(before), *_caches(before), *_logs(before)]


def _artefacts(before: float) -> Iterator[Item]:
    everything = references.stored(home())
    needed = references.needed(everything, _roots(before))
    for one in everything:
        if one.path not in needed and one.path.stat().st_mtime < before:
            yield _item(one.kind, f"{one.path.name[:12]}", "no live, former or recent release needs it", one.path)


def _roots(before: float) -> frozenset[str]:
    """Hashes of what releases, the last run and bases that are waited for need."""
    from serving.release.registry import Registry

    with closing(Registry(registry_url())) as registry:
        rows = registry.releases()
    watched = [json.loads(path.read_text()) for path in (home() / "bases").glob("*.json")]
    last = last_run() or {}
    kept = [Path(str(last[name])).parent for name in ("bundle", "listing", "license_report") if last.get(name)]
    return (
        references.release_hashes(rows, datetime.fromtimestamp(before, UTC).isoformat(timespec="microseconds"))
        | {str(one.get(name, "")) for one in watched for name in ("accepted", "latest")}
        | {part for folder in kept for part in (folder.name, folder.parent.name)}
        | {str(last.get("package", ""))}
    )


def _half_made() -> Iterator[Item]:
    """What a run that was killed, or a gc that was, left in the store."""
    for path in sorted((home() / "store").glob("*/.*")):
        if path.is_dir():
            yield _item("half-made", f"{path.parent.name}/{path.name}", "its run was killed", path)


def _work(before: float) -> Iterator[Item]:
    for path in sorted((home() / "work").glob("*")):
        if path.is_dir() and _newest(path) < before:
            yield _item("work", path.name, "nothing was written to it since", path)


def _caches(before: float) -> Iterator[Item]:
    """Old entries, all of one kind as one item: each is encoded again where it is asked for."""
    for folder in sorted((home() / "cache").glob("*")):
        old = tuple(path for path in sorted(folder.rglob("*")) if path.is_file() and path.stat().st_mtime < before)
        if old:
            yield _item("cache", f"{folder.name}, {len(old)} entries", "encoded again where it is needed", *old)


def _logs(before: float) -> Iterator[Item]:
    for path in sorted((home() / "logs").glob("*.log*")):
        if path.is_file() and path.stat().st_mtime < before:
            yield _item("log", path.name, "nothing was written to it since", path)


def _sandbox(before: float) -> Iterator[Item]:
    from serving.sandbox.housekeeping import spare

    for one in spare(home(), before):
        names = one.paths[0].name if len(one.paths) == 1 else f"{len(one.paths)} of them"
        yield _item(one.kind, names, one.why, *one.paths)


def _item(kind: str, name: str, why: str, *paths: Path) -> Item:
    return Item(kind=kind, name=name, why=why, bytes=sum(map(_bytes, paths)), paths=paths)


def _bytes(path: Path) -> int:
    """Sizes of the files below, links not followed."""
    files = [path] if not path.is_dir() or path.is_symlink() else [one for one in path.rglob("*") if not one.is_dir()]
    return sum(one.lstat().st_size for one in files)


def _newest(folder: Path) -> float:
    return max(path.lstat().st_mtime for path in (folder, *folder.rglob("*")))


def _size(count: int) -> str:
    return f"{count / 2**30:.2f} GiB" if count >= 2**30 else f"{count / 2**20:.2f} MiB" if count >= 2**20 else f"{count} B"


def _remove(path: Path) -> None:
    """Gone in one step for whoever looks for it; a kill in between leaves a folder that the next gc finds."""
    aside = path.with_name(f"{ASIDE}{path.name}")
    if path.is_dir() and not path.is_symlink():
        if aside.exists():
            shutil.rmtree(aside)
        os.replace(path, aside)
        shutil.rmtree(aside)
    else:
        path.unlink()


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
