"""Folders as one zip that has the same bytes wherever it is made, unpacked without trusting it.

It travels to the machine beside the app that runs there, so it imports nothing of ours.
"""

from __future__ import annotations

import hashlib
import os
import stat
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

MAX_FILES = 200_000
_PIECE = 1 << 20
_DATE = (1980, 1, 1, 0, 0, 0)  # the first that a zip can say: its bytes hold no clock
_PICKLES = frozenset({".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle"})
_DAMAGED = (zipfile.BadZipFile, zipfile.LargeZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError, ValueError)


class ArchiveRefused(ValueError):
    """An archive that is not what it should be; one line."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Packed:
    """An archive and what proves that it is this one."""

    path: Path
    sha256: str
    size: int


def pack(files: Mapping[str, Path], to: Path) -> Packed:
    """Write the files under their names into the zip `to`, whole or not at all; stored, as pictures and weights hardly compress."""
    part = to.with_name(f"{to.name}.part")
    with zipfile.ZipFile(part, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(files):
            entry = zipfile.ZipInfo(name, _DATE)
            entry.external_attr = 0o644 << 16
            with files[name].open("rb") as source, archive.open(entry, "w", force_zip64=True) as target:
                while piece := source.read(_PIECE):
                    target.write(piece)
    with part.open("rb+") as written:
        os.fsync(written.fileno())
    os.replace(part, to)
    return Packed(path=to, sha256=sha256_of(to), size=to.stat().st_size)


def files_below(folder: Path, name: str = "") -> dict[str, Path]:
    """What `pack` takes for a whole folder, below `name` where one is given."""
    found = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(PurePosixPath(name) / path.relative_to(folder).as_posix()): path for path in found}


def unpack(archive: Path, to: Path, *, limit: int) -> None:
    """Put the files of a zip below the folder `to`. ArchiveRefused, before a byte is written, where one is not to be trusted.

    limit: bytes that all files together may have. Refused: absolute paths, `..`, links and devices, passwords, two files of one
    name, pickles, more than `limit`; reading never goes beyond the sizes that the zip states.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            entries = _checked(archive, opened, limit)
            for entry in entries:
                path = to / entry.filename
                path.parent.mkdir(parents=True, exist_ok=True)
                with opened.open(entry) as source, path.open("xb") as target:
                    while piece := source.read(_PIECE):
                        target.write(piece)
    except ArchiveRefused:
        raise
    except (*_DAMAGED, OSError) as error:
        raise ArchiveRefused(f"{archive.name} cannot be unpacked ({' '.join(str(error).split())[:120]}): fetch it again") from error


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _checked(archive: Path, opened: zipfile.ZipFile, limit: int) -> list[zipfile.ZipInfo]:
    entries = opened.infolist()
    for entry in entries:
        _check(archive, entry)
    total = sum(entry.file_size for entry in entries)
    if total > limit or len(entries) > MAX_FILES:
        raise ArchiveRefused(
            f"{archive.name} would unpack to {total} bytes in {len(entries)} files, at most {limit} are taken: do not use it"
        )
    names = [entry.filename.casefold() for entry in entries]
    if len(set(names)) < len(names):
        raise ArchiveRefused(f"{archive.name} holds two files of one name: do not use it")
    return entries


def _check(archive: Path, entry: zipfile.ZipInfo) -> None:
    path, shown = PurePosixPath(entry.filename), f"{archive.name} holds {entry.filename[:80]!r}"
    if path.is_absolute() or ".." in path.parts or "\\" in entry.filename or ":" in entry.filename or not path.name:
        raise ArchiveRefused(f"{shown}, which lies outside of its folder: do not use it")
    mode = entry.external_attr >> 16
    if entry.is_dir() or (stat.S_IFMT(mode) and not stat.S_ISREG(mode)):
        raise ArchiveRefused(f"{shown}, which is no plain file: do not use it")
    if entry.flag_bits & 1:
        raise ArchiveRefused(f"{shown} under a password: do not use it")
    if path.suffix.lower() in _PICKLES:
        raise ArchiveRefused(f"{shown}, which may be a pickle, and those are not read: do not use it")
