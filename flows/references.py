"""Which artefacts of the store a release needs: its package, and whatever that was made from, followed through what was sealed."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flows.store import CONTENT, SEAL, file_digest

# Made of a release, so that nothing of the release names them: they name its package.
MADE_OF_A_RELEASE = ("gallery", "listing")
_DESCRIBED_BY = ("manifest.json", "package.json", "verdict.json")


@dataclass(frozen=True, kw_only=True, slots=True)
class Stored:
    """A finished folder of the store, the hashes that it goes by, and those that its inputs name."""

    kind: str
    path: Path
    names: frozenset[str]
    refers: frozenset[str]


def stored(home: Path) -> list[Stored]:
    """All that is sealed, oldest name first; what is not is half-made."""
    return [_read(path.parent) for path in sorted((home / "store").glob(f"*/*/{SEAL}")) if not path.parent.name.startswith(".")]


def needed(everything: Iterable[Stored], roots: frozenset[str]) -> frozenset[Path]:
    """Folders that these hashes lead to: by name, through inputs, and listings and galleries of a package among them."""
    known = list(everything)
    kept = {one.path: one for one in known if one.names & roots or (one.kind in MADE_OF_A_RELEASE and one.refers & roots)}
    waiting = list(kept.values())
    while waiting:
        refers = waiting.pop().refers
        for one in known:
            if one.path not in kept and one.names & refers:
                kept[one.path] = one
                waiting.append(one)
    return frozenset(kept)


def release_hashes(rows: Iterable[Mapping[str, Any]], younger_than: str) -> frozenset[str]:
    """Package and verdicts of releases that are live, unfinished, rolled back to, or changed since then (ISO 8601, UTC)."""
    rows = list(rows)
    former = {row["evidence"].get("former") for row in rows if row["state"] == "live"}
    wanted = [
        row
        for row in rows
        if row["state"] in ("live", "intent", "candidate") or row["id"] in former or str(row["updated_at"]) >= younger_than
    ]
    return frozenset(hash for row in wanted for hash in _hashes(row) if hash)


def _hashes(row: Mapping[str, Any]) -> Iterator[str]:
    review = row["evidence"].get("review") or {}
    yield from (row["package"], row["verdict_hash"], review.get("accepted", ""), review.get("verdict", ""))


def _read(folder: Path) -> Stored:
    names = {folder.name}
    for path in (folder / CONTENT / name for name in _DESCRIBED_BY):
        if path.is_file():
            said = json.loads(path.read_text()).get("hash")
            names |= {file_digest(path), *([said] if isinstance(said, str) else [])}
    inputs = json.loads((folder / SEAL).read_text())["inputs"]
    return Stored(kind=folder.parent.name, path=folder, names=frozenset(names), refers=frozenset(_texts(inputs)))


def _texts(value: Any) -> Iterator[str]:
    """Every hash (64 hexadecimal digits) anywhere in it."""
    if isinstance(value, Mapping):
        for part in value.values():
            yield from _texts(part)
    elif isinstance(value, list):
        for part in value:
            yield from _texts(part)
    elif isinstance(value, str) and len(value) == 64 and not set(value) - set("0123456789abcdef"):
        yield value
