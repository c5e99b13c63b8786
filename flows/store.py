"""Artefact folders named by the hash of their inputs, finished by one rename: run again, and what is done is found, not redone."""

import fcntl
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flows.errors import FlowError

SEAL = "store.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class Artefact:
    """A finished folder: its kind, the hash of its inputs, and whether this run found it or made it."""

    kind: str
    key: str
    path: Path
    found: bool


def make(home: Path, kind: str, inputs: Mapping[str, Any], build: Callable[[Path], object]) -> Artefact:
    """Find `store/<kind>/<hash of inputs>/`, or let `build` fill an empty folder that becomes it. Safe with two processes."""
    key = digest(inputs)
    path = home / "store" / kind / key
    path.parent.mkdir(parents=True, exist_ok=True)
    with locked(path.with_name(f".{key}.lock")):
        if is_sound(path):
            return Artefact(kind=kind, key=key, path=path, found=True)
        for abandoned in path.parent.glob(f".{key[:12]}-*"):  # of a run that was killed
            shutil.rmtree(abandoned)
        scratch = Path(tempfile.mkdtemp(prefix=f".{key[:12]}-", dir=path.parent))
        try:
            build(scratch)
            seal(scratch, inputs)
            if path.exists():  # damaged: what does not verify is not kept
                shutil.rmtree(path)
            os.replace(scratch, path)
        except BaseException:
            shutil.rmtree(scratch, ignore_errors=True)
            raise
    return Artefact(kind=kind, key=key, path=path, found=False)


def verify(path: Path) -> None:
    """Raise FlowError that names the first file of the artefact whose content is not what was sealed."""
    sealed = json.loads((path / SEAL).read_text())["files"]
    for name, expected in sealed.items():
        file = path / name
        if not file.is_file() or file_digest(file) != expected:
            raise FlowError(f"{file}: changed or missing since it was made; remove the folder {path} and run again")


def seal(folder: Path, inputs: Mapping[str, Any]) -> None:
    """Write the list of files and hashes, last."""
    files = {name: file_digest(folder / name) for name in sorted(files_in(folder))}
    (folder / SEAL).write_text(canonical({"inputs": inputs, "files": files}))


def is_sound(path: Path) -> bool:
    if not (path / SEAL).is_file():
        return False
    try:
        verify(path)
    except FlowError:
        return False
    return True


def files_in(folder: Path) -> Iterator[str]:
    """Relative names of all files below `folder`, the seal left out."""
    for file in folder.rglob("*"):
        name = file.relative_to(folder).as_posix()
        if file.is_file() and name != SEAL:
            yield name


def canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def digest(value: Any) -> str:
    """sha256 of the canonical JSON."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()


def file_digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def tree_digest(folder: Path, pattern: str = "*") -> str:
    """sha256 over names and contents of the files below `folder`, hidden ones left out."""
    files = sorted(file for file in folder.rglob(pattern) if file.is_file())
    names = [(file.relative_to(folder).as_posix(), file) for file in files]
    return digest({name: file_digest(file) for name, file in names if not any(part.startswith(".") for part in name.split("/"))})


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock that the kernel gives back when the holder dies."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
