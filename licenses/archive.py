"""The raw bytes of all evidence, each file named by its sha256, with an index; what a commit held once is not asked for again."""

import hashlib
import json
import os
import re
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

INDEX = "index.json"
SCHEMA = "lorasmith/license-evidence/1"
COMMIT = re.compile(r"[0-9a-f]{40}")


class Archive:
    """Evidence of one check. A folder given keeps the bytes; a folder that holds some already is added to and read from."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder
        self.found: dict[tuple[str, str, str], int] = {}
        self.rows = {_key(row): row for row in _indexed(folder)} if folder else {}

    def keep(self, node: str, path: str, raw: bytes, *, source: str = "") -> None:
        """Notes a file that was read, and stores it; `source` names kind, repository and commit where a commit pins it."""
        digest = hashlib.sha256(raw).hexdigest()
        path = path.encode("utf-8", "backslashreplace").decode()
        self.found[node, path, digest] = len(raw)
        if self.folder is None:
            return
        row = {"node": node, "path": path, "sha256": digest, "bytes": len(raw), "source": source}
        if self.rows.get(_key(row)) != row or not (self.folder / digest).is_file():
            self.rows[_key(row)] = row
            _write(self.folder / digest, raw)

    def recall(self, source: str, path: str) -> bytes | None:
        """The bytes that a commit held under this path; None where they are not here, or are not what they were."""
        if self.folder is None or not source:
            return None
        row = self.rows.get((source, path))
        try:
            raw = (self.folder / str(row["sha256"])).read_bytes() if row else None
        except OSError:
            return None
        return raw if raw is not None and row is not None and hashlib.sha256(raw).hexdigest() == row["sha256"] else None

    def evidence(self) -> tuple[Mapping[str, Any], ...]:
        """Node, file, sha256 and size of everything read in this check, sorted."""
        rows = sorted(self.found.items())
        return tuple({"node": node, "file": path, "sha256": digest, "bytes": size} for (node, path, digest), size in rows)

    def close(self) -> None:
        """Writes the index, last and at once."""
        if self.folder is not None:
            rows = sorted(self.rows.values(), key=lambda row: (str(row["node"]), str(row["path"]), str(row["sha256"])))
            _write(self.folder / INDEX, (json.dumps({"schema": SCHEMA, "files": rows}, indent=1) + "\n").encode())


def pinned(kind: str, repo: str, revision: str | None) -> str:
    """The key of a repository at a commit; empty where nothing pins it."""
    return f"{kind}:{repo}@{revision}" if revision and COMMIT.fullmatch(revision) else ""


def _key(row: Mapping[str, Any]) -> tuple[str, str]:
    return str(row["source"] or row["node"]), str(row["path"])


def _indexed(folder: Path) -> Iterable[dict[str, Any]]:
    """Rows of an index that holds; an index that does not is as none: everything is asked for again."""
    try:
        rows = json.loads((folder / INDEX).read_bytes())["files"]
        return [row for row in rows if {"node", "path", "sha256", "bytes", "source"} <= set(row) and _is_digest(row["sha256"])]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def _is_digest(value: object) -> bool:
    return isinstance(value, str) and re.fullmatch(r"[0-9a-f]{64}", value) is not None


def _write(path: Path, raw: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".evidence-", suffix=f".{os.getpid()}.part")
    with os.fdopen(handle, "wb") as stream:
        stream.write(raw)
    os.chmod(temporary, 0o644)
    os.replace(temporary, path)
