"""The denoiser with the adapter in its weights, kept between starts: made once, looked at before it is read.

It lies in a folder of the platform's persistent disk, which LORASMITH_DATA names where it is not /data.
"""

import errno
import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import Any

from ..runner.logs import told
from ..settings import Installed

DATA_VARIABLE = "LORASMITH_DATA"
_DIGESTS = "digests.json"
_SHARD = "2GB"  # files of this size are hashed side by side, which is also the fastest way to have them in memory
_THREADS = 8
_KEPT_DAYS = 30  # without a start that reads it


def place_of(package: Installed, *, dtype: Any, denoiser: str) -> Path:
    """Where this base, adapter and strength would lie, named by a hash of all that the weights depend on."""
    settings = package.settings
    depends_on = {
        "base": _base(package, denoiser),
        "adapter": settings.adapter.model_dump(),
        "dtype": str(dtype),
        "versions": {name: metadata.version(name) for name in ("torch", "diffusers", "safetensors")},
    }
    key = hashlib.sha256(json.dumps(depends_on, sort_keys=True).encode()).hexdigest()
    return Path(os.environ.get(DATA_VARIABLE) or "/data") / "lorasmith" / "fused" / key


def is_whole(place: Path) -> bool:
    """Whether a fused denoiser lies there, each file with the sha256 that was written when it was made."""
    try:
        recorded: dict[str, str] = json.loads((place / _DIGESTS).read_text(encoding="utf-8"))
        return bool(recorded) and recorded == _digests(place)
    except (OSError, ValueError, RecursionError):
        return False


def find(place: Path) -> bool:
    """Whether a fused denoiser lies there whole; it counts as used today."""
    if not is_whole(place):
        return False
    with suppress(OSError):  # a disk that may only be read
        os.utime(place)
    return True


def keep(denoiser: Any, place: Path) -> None:
    """Write the fused denoiser there, whole or not at all; where it can not be written, the next start takes longer."""
    from safetensors import SafetensorError

    disk = place.parents[2]
    try:
        if not disk.is_dir():
            raise FileNotFoundError(errno.ENOENT, "there is no such disk", str(disk))
        place.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".", dir=place.parent, ignore_cleanup_errors=True) as folder:
            part = Path(folder) / "part"
            denoiser.save_pretrained(part, max_shard_size=_SHARD)
            (part / _DIGESTS).write_text(json.dumps(_digests(part), sort_keys=True), encoding="utf-8")
            _put(part, place)
        _clear(place.parent)
    except (OSError, SafetensorError) as error:
        told("fused_not_kept", place=str(place), error=" ".join(str(error).split()), then="the next start fuses again")
    else:
        told("fused_kept", place=str(place))


def _base(package: Installed, denoiser: str) -> Any:
    """What tells the denoiser's weights: revision on the Hub, or the digests that the package holds of its files."""
    base = package.settings.base
    if base.kind == "hub":
        return [base.ref, base.revision]
    try:
        files: Mapping[str, str] = json.loads((package.folder / "package.json").read_text(encoding="utf-8"))["files"]
        return {name: digest for name, digest in files.items() if name.startswith(f"base/{denoiser}/")} or package.hash
    except (OSError, ValueError, KeyError):
        return package.hash


def _digests(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.iterdir() if path.name != _DIGESTS)
    with ThreadPoolExecutor(_THREADS) as threads:
        return dict(zip((path.name for path in files), threads.map(_sha256, files), strict=True))


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _put(part: Path, place: Path) -> None:
    """Rename into place; what is damaged there goes first, and what another runner put there meanwhile is as good."""
    if place.exists() and not is_whole(place):
        shutil.rmtree(place)
    try:
        part.rename(place)
    except OSError:
        if not is_whole(place):
            raise


def _clear(shelf: Path) -> None:
    """Remove what no start has read for long: weights of earlier releases, and what a start that was killed left half written."""
    for folder in shelf.iterdir():
        if time.time() - folder.stat().st_mtime > _KEPT_DAYS * 24 * 3600:
            shutil.rmtree(folder, ignore_errors=True)
