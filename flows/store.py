"""Artefact folders named by the hash of their inputs, finished by one rename: run again, and what is done is found, not redone."""

import fcntl
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from flows.errors import FlowError

SEAL, CONTENT = "manifest.json", "content"
IN_USE = ".in-use.lock"  # shared by all who make artefacts; whoever removes some holds it alone


@dataclass(frozen=True, kw_only=True, slots=True)
class Artefact:
    """A finished folder: its kind, the hash of its inputs, where its content lies, and whether this run found it or made it."""

    kind: str
    key: str
    path: Path
    found: bool


def make(home: Path, kind: str, inputs: Mapping[str, Any], build: Callable[[Path], object]) -> Artefact:
    """Find `store/<kind>/<hash of inputs>/`, or let `build` fill its empty content folder. Safe with two processes."""
    key = digest(inputs)
    path = home / "store" / kind / key
    artefact = Artefact(kind=kind, key=key, path=path / CONTENT, found=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    with locked(home / "store" / IN_USE, shared=True), locked(path.with_name(f".{key}.lock")):
        if is_sound(path):
            os.utime(path)  # when it was last of use is what `lorasmith gc` goes by
            return artefact
        for abandoned in path.parent.glob(f".{key[:12]}-*"):  # of a run that was killed
            shutil.rmtree(abandoned)
        scratch = Path(tempfile.mkdtemp(prefix=f".{key[:12]}-", dir=path.parent))
        try:
            (scratch / CONTENT).mkdir()
            build(scratch / CONTENT)
            seal(scratch, inputs)
            if path.exists():  # damaged: what does not verify is not kept
                shutil.rmtree(path)
            os.replace(scratch, path)
        except BaseException:
            shutil.rmtree(scratch, ignore_errors=True)
            raise
    return replace(artefact, found=False)


def find(home: Path, kind: str, key: str) -> Artefact | None:
    """The finished artefact of this key, None where there is none or where it was changed."""
    path = home / "store" / kind / key
    return Artefact(kind=kind, key=key, path=path / CONTENT, found=True) if is_sound(path) else None


def verify(path: Path) -> None:
    """Raise FlowError that names the first file whose content is not what was sealed, or that was not there then."""
    sealed: dict[str, str] = json.loads((path / SEAL).read_text())["files"]
    found = digests(path / CONTENT)
    for name in sorted(sealed.keys() | found.keys()):
        if sealed.get(name) != found.get(name):
            raise FlowError(f"{path / CONTENT / name}: changed since it was made; remove the folder {path} and run again")


def seal(path: Path, inputs: Mapping[str, Any]) -> None:
    """Write the list of files and hashes, last."""
    (path / SEAL).write_text(canonical({"inputs": inputs, "files": digests(path / CONTENT)}))


def is_sound(path: Path) -> bool:
    if not (path / SEAL).is_file():
        return False
    try:
        verify(path)
    except FlowError:
        return False
    return True


def digests(folder: Path) -> dict[str, str]:
    """sha256 by relative name of all files below `folder`; what Python compiles beside its sources does not count."""
    files = sorted(file for file in folder.rglob("*") if file.is_file() and "__pycache__" not in file.parts)
    return {file.relative_to(folder).as_posix(): file_digest(file) for file in files}


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
    names = [(file.relative_to(folder), file) for file in files]
    shown = [(name, file) for name, file in names if not any(part.startswith((".", "__pycache__")) for part in name.parts)]
    return digest({name.as_posix(): file_digest(file) for name, file in shown})


@contextmanager
def locked(path: Path, *, shared: bool = False) -> Iterator[None]:
    """Hold a lock, alone or with others who share it; the kernel gives it back when the holder dies."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
        yield
