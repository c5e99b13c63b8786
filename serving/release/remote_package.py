"""The app that runs commands on a rented machine, as a folder that the SDK deploys: private, and named by what is in it."""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Final

import tomli_w

from serving.release.archive import files_below, sha256_of
from serving.release.errors import PackageError

REMOTE: Final = "lorasmith-remote-"  # how the names of these apps begin
HOUR: Final = 3600
REQUEST_HOURS: Final = (1, 2, 4, 8, 16, 24)  # so that jobs of about one length share an app
MARGIN_SECONDS: Final = 600  # that a command has beside its own time: unpacking, its grace, packing
_ENTRY: Final = "remote.app:Remote"
_CODE: Final = ("remote_app.py", "archive.py", "job_lease.py")
_CARRIED: Final = frozenset({".py", ".yaml"})


@dataclass(frozen=True, kw_only=True, slots=True)
class RemoteSettings:
    """What the machine is: fal's machine type, packages by name, the account's secrets by name, seconds that a command may take."""

    machine_type: str
    packages: Sequence[str]
    secrets: Sequence[str] = ()
    seconds: float = HOUR


@dataclass(frozen=True, kw_only=True, slots=True)
class RemotePackage:
    """The folder, and the name that it is deployed by: the same code, packages and machine have the same name."""

    name: str
    folder: Path


def build_remote(code: Path, settings: RemoteSettings, out: Path) -> RemotePackage:
    """Write the app for the package of Python code in the folder `code` (its name is that of the folder) into the empty `out`.

    PackageError where a command would take longer than any request may.
    """
    (out / "remote").mkdir(parents=True)
    (out / "remote" / "__init__.py").touch()
    for name in _CODE:
        shutil.copyfile(Path(__file__).with_name(name), out / "remote" / name.removeprefix("remote_"))
    for name, path in files_below(code, code.name).items():
        if path.suffix in _CARRIED:
            (out / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, out / name)
    for path in out.rglob("*.*"):
        path.chmod(0o644)  # fal hashes the mode with the content
    described = _settings(settings, code.name)
    name = f"{REMOTE}{_digest(out, described)[:12]}"
    (out / "pyproject.toml").write_text(tomli_w.dumps({"tool": {"fal": {"apps": {name: described}}}}, multiline_strings=True))
    return RemotePackage(name=name, folder=out)


def pinned(packages: Iterable[str]) -> list[str]:
    """Requirements of the versions that are installed here, which are those of the lock; without one what is not installed here."""
    return sorted(f"{name}=={_version(name)}" if _has(name) else name for name in {"fal", *packages})


def installed(packages: Iterable[str]) -> tuple[str, ...]:
    """Those of them that are installed here."""
    return tuple(name for name in packages if _has(name))


def request_timeout(seconds: float) -> int:
    """Seconds of a request for a command of `seconds`, in whole hours of REQUEST_HOURS; PackageError for more than all of them."""
    for hours in REQUEST_HOURS:
        if seconds + MARGIN_SECONDS <= hours * HOUR:
            return hours * HOUR
    raise PackageError(f"{seconds / HOUR:.1f} h are longer than a request may take ({REQUEST_HOURS[-1]} h): split the work")


def _settings(settings: RemoteSettings, code: str) -> dict[str, Any]:
    """[tool.fal.apps.NAME]: one command at a time on a machine, tried again where the machine is lost, never where time is over."""
    on_gpu = settings.machine_type.startswith("GPU")
    return {
        "python_entry_point": _ENTRY,
        "auth": "private",
        "deployment_strategy": "rolling",
        "app_scale_settings": True,
        "python_version": f"{sys.version_info.major}.{sys.version_info.minor}",
        "requirements": pinned(settings.packages),
        "machine_type": settings.machine_type,
        **({"num_gpus": 1} if on_gpu else {}),
        "keep_alive": 10,
        "min_concurrency": 0,
        "max_concurrency": 2,
        "max_multiplexing": 1,
        "request_timeout": request_timeout(settings.seconds),
        "startup_timeout": 1800,
        "termination_grace_period_seconds": 30,
        "retry_config": {"server_error": {"retries": 2}, "connection_error": {"retries": 2}, "timeout": {"retries": 0}},
        "private_logs": True,
        "secrets": sorted(settings.secrets),  # an absent list would hand over all of the account's
        "app_files": ["remote", code],
        "app_files_ignore": [r"\.pyc$", r"__pycache__/"],
        "health_check": {"path": "/health", "start_period_seconds": 30, "timeout_seconds": 5, "failure_threshold": 3},
    }


def _digest(folder: Path, described: Mapping[str, Any]) -> str:
    files = {name: sha256_of(path) for name, path in files_below(folder).items()}
    return hashlib.sha256(json.dumps([files, described], sort_keys=True).encode()).hexdigest()


def _version(name: str) -> str:
    """The public version: a local part such as +cpu names a build that the machine's index does not have."""
    return metadata.version(name).partition("+")[0]


def _has(name: str) -> bool:
    return any(True for _ in metadata.distributions(name=name))
