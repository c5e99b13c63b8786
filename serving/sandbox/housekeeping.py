"""What in the sandbox's folder nothing needs any more: stages and files of revisions that are gone, old objects, old logs."""

import json
from dataclasses import dataclass
from pathlib import Path

from .control import status, unused_environments
from .state import State, stage_key


@dataclass(frozen=True, kw_only=True, slots=True)
class Spare:
    """Files or folders of one kind that may go, and why."""

    kind: str
    paths: tuple[Path, ...]
    why: str


def spare(home: Path, before: float) -> list[Spare]:
    """What was last written before then (Unix seconds). While the sandbox runs, only objects are looked at."""
    folder = home.resolve() / "sandbox"
    if not (folder / "state.db").is_file():
        return []
    found = [
        Spare(
            kind="sandbox object", paths=_old(folder / "objects", before), why="given to a caller long ago; its address answers 404"
        ),
    ]
    if status(home) is None:
        stages, files = _needed(folder / "state.db")
        why = "of no revision that is deployed"
        found += [
            Spare(kind="sandbox log", paths=_old(folder / "logs", before), why="nothing was written to it since"),
            Spare(kind="sandbox stage", paths=_old(folder / "stages", before, but=stages), why=why),
            Spare(kind="sandbox file", paths=_old(folder / "files", before, but=files), why=why),
            Spare(kind="sandbox environment", paths=_young_left_out(unused_environments(home), before), why=why),
        ]
    return [one for one in found if one.paths]


def _needed(database: Path) -> tuple[frozenset[str], frozenset[str]]:
    """Names of the stages and of the files that a revision needs."""
    state = State(database)
    try:
        listed = [
            [(digest, name) for digest, name in json.loads(row["files"])] for row in state.db.execute("SELECT files FROM revisions")
        ]
    finally:
        state.close()
    return frozenset(map(stage_key, listed)), frozenset(digest for files in listed for digest, _ in files)


def _old(folder: Path, before: float, *, but: frozenset[str] = frozenset()) -> tuple[Path, ...]:
    found = sorted(folder.iterdir()) if folder.is_dir() else []
    return _young_left_out([path for path in found if path.name not in but], before)


def _young_left_out(paths: list[Path], before: float) -> tuple[Path, ...]:
    return tuple(path for path in paths if path.lstat().st_mtime < before)
