"""A zip of pictures, unpacked without trusting it."""

import shutil
import stat
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from training.errors import DatasetError

MAX_BYTES = 32 << 30
EXPANSION = 100  # times its own size; pictures hardly compress at all
SMALL = 64 << 20  # bytes that an archive may always unpack to
_DAMAGED = (zipfile.BadZipFile, zipfile.LargeZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError)
_NESTED = (".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar", ".zst")


def unpack(archive: Path, to: Path, *, wanted: Callable[[str], bool] = lambda name: True) -> None:
    """Put the files of a zip into the folder `to`; one folder around all of them is left away, hidden files are left out.

    Nothing is written before every entry is known to be harmless. DatasetError in one line for what is no zip, reaches out of
    the folder, holds links, passwords, folders in folders or archives, or would unpack to far more than its size.
    """
    try:
        with zipfile.ZipFile(archive) as file:
            entries = _checked(archive, file)
            for name, entry in entries.items():
                if wanted(name):
                    with file.open(entry) as source, (to / name).open("xb") as target:
                        shutil.copyfileobj(source, target, 1 << 20)
    except DatasetError:
        raise
    except (*_DAMAGED, ValueError) as error:
        raise _refused(archive, f"cannot be unpacked ({' '.join(str(error).split())[:120]})", "pack it again") from error


def _checked(archive: Path, file: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """Entries by the name that they get; the sizes are those that the zip states, and reading never goes beyond them."""
    shown = [entry for entry in file.infolist() if not entry.is_dir()]
    for entry in shown:
        _check_entry(archive, entry)
    shown = [entry for entry in shown if not any(part.startswith((".", "__MACOSX")) for part in _parts(entry))]
    total, packed = sum(entry.file_size for entry in shown), sum(entry.compress_size for entry in shown)
    size = archive.stat().st_size
    if total > MAX_BYTES or (total > SMALL and total > EXPANSION * size) or packed > size:
        raise _refused(archive, f"would unpack to {total} bytes from {size}", "unpack it yourself and look")
    around = {_parts(entry)[0] for entry in shown if len(_parts(entry)) > 1}
    flat = all(len(_parts(entry)) == 1 for entry in shown)
    wrapped = len(around) == 1 and all(len(_parts(entry)) == 2 for entry in shown)
    if not flat and not wrapped:
        deep = max(shown, key=lambda entry: len(_parts(entry))).filename
        raise _refused(archive, f"holds folders within folders ({deep[:80]!r})", "pack the pictures of one folder")
    names = {_parts(entry)[-1]: entry for entry in shown}
    if len({name.casefold() for name in names}) < len(shown):
        raise _refused(archive, "holds two files of one name", "rename one of them")
    return names


def _check_entry(archive: Path, entry: zipfile.ZipInfo) -> None:
    path, shown = PurePosixPath(entry.filename), repr(entry.filename[:80])
    if path.is_absolute() or ".." in path.parts or "\\" in entry.filename or ":" in entry.filename or not path.name:
        raise _refused(archive, f"holds {shown}, which lies outside of its folder", "do not use it, or pack it again")
    if stat.S_ISLNK(entry.external_attr >> 16):
        raise _refused(archive, f"holds the link {shown}", "pack the file itself")
    if entry.flag_bits & 1:
        raise _refused(archive, f"holds {shown} under a password", "pack it without one")
    if path.suffix.lower() in _NESTED:
        raise _refused(archive, f"holds the archive {shown}", "unpack that one and pack its pictures")


def _parts(entry: zipfile.ZipInfo) -> tuple[str, ...]:
    return PurePosixPath(entry.filename).parts


def _refused(archive: Path, fault: str, mend: str) -> DatasetError:
    return DatasetError(f"dataset '{archive.name}' {fault}: {mend}")
