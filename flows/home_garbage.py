"""What of this home's disk nothing needs any more: artefacts, half-made ones, work, caches, logs, runs that ended long ago."""

import json
import shutil
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from os import replace
from pathlib import Path
from typing import TYPE_CHECKING

from flows import references
from flows.books import run_book
from flows.books.records import last_run
from flows.home import home
from flows.targets import registry_url

if TYPE_CHECKING:
    from serving.release.gc import Leftover
    from serving.release.remote_leftovers import RemoteLeftover

ASIDE = ".gc-"
UNDER_WAY = ("running", "waiting")  # a run that waits for a person goes on with the same entry


@dataclass(frozen=True, kw_only=True, slots=True)
class Item:
    """One line: what would go, and why. `bytes` is on this disk; `leftover` and `remote` are on the platform."""

    kind: str
    name: str
    why: str
    bytes: int = 0
    paths: tuple[Path, ...] = ()
    leftover: "Leftover | None" = None
    remote: "RemoteLeftover | None" = None


def here(before: float) -> list[Item]:
    """All of this home that was not touched since `before` (Unix seconds), while no run makes anything."""
    return [*_artefacts(before), *_half_made(), *_work(before), *_caches(before), *_logs(before), *_runs(before)]


def of_sandbox(before: float) -> Iterator[Item]:
    from serving.sandbox.housekeeping import spare

    for one in spare(home(), before):
        names = one.paths[0].name if len(one.paths) == 1 else f"{len(one.paths)} of them"
        yield item(one.kind, names, one.why, *one.paths)


def item(kind: str, name: str, why: str, *paths: Path) -> Item:
    return Item(kind=kind, name=name, why=why, bytes=sum(map(_bytes, paths)), paths=paths)


def is_old(folder: Path, before: float) -> bool:
    """Whether nothing in it was written since; so too where it is not there."""
    return not folder.exists() or max(path.lstat().st_mtime for path in (folder, *folder.rglob("*"))) < before


def remove(path: Path) -> None:
    """Gone in one step for whoever looks for it; a kill in between leaves a folder that the next gc finds."""
    aside = path.with_name(f"{ASIDE}{path.name}")
    if path.is_dir() and not path.is_symlink():
        if aside.exists():
            shutil.rmtree(aside)
        replace(path, aside)
        shutil.rmtree(aside)
    else:
        path.unlink()


def _artefacts(before: float) -> Iterator[Item]:
    everything = references.stored(home())
    needed = references.needed(everything, _roots(before))
    for one in everything:
        if one.path not in needed and one.path.stat().st_mtime < before:
            yield item(one.kind, f"{one.path.name[:12]}", "no live, former or recent release needs it", one.path)


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
            yield item("half-made", f"{path.parent.name}/{path.name}", "its run was killed", path)


def _work(before: float) -> Iterator[Item]:
    for path in sorted((home() / "work").glob("*")):
        if path.is_dir() and is_old(path, before):
            yield item("work", path.name, "nothing was written to it since", path)


def _caches(before: float) -> Iterator[Item]:
    """Old entries, all of one kind as one item: each is encoded again where it is asked for."""
    for folder in sorted((home() / "cache").glob("*")):
        old = tuple(path for path in sorted(folder.rglob("*")) if path.is_file() and path.stat().st_mtime < before)
        if old:
            yield item("cache", f"{folder.name}, {len(old)} entries", "encoded again where it is needed", *old)


def _logs(before: float) -> Iterator[Item]:
    for path in sorted([*(home() / "logs").glob("*.log*"), *(home() / "calls").glob("*.jsonl")]):
        if path.is_file() and path.stat().st_mtime < before:
            yield item("log", path.name, "nothing was written to it since", path)


def _runs(before: float) -> Iterator[Item]:
    """Entries of the book of runs with their lines, and lines whose entry is gone; never of a run that could go on."""
    entries = {path.stem: path for path in run_book.folder().glob("*.json") if path.name != run_book.LAST}
    logs = {path.stem: path for path in run_book.folder().glob("*.log")}
    last = (last_run() or {}).get("run")
    for name in sorted(entries.keys() | logs.keys()):
        paths = [found[name] for found in (entries, logs) if name in found]
        state = run_book.as_it_is(run_book.aged(entries[name])).get("state") if name in entries else "gone"
        if name != last and state not in UNDER_WAY and all(path.stat().st_mtime < before for path in paths):
            yield item("run", name, f"it ended long ago ({state})", *paths)


def _bytes(path: Path) -> int:
    """Sizes of the files below, links not followed."""
    files = [path] if not path.is_dir() or path.is_symlink() else [one for one in path.rglob("*") if not one.is_dir()]
    return sum(one.lstat().st_size for one in files)
