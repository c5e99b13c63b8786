"""A rented machine as the work on it sees it: the account's files, and the queue of the app that runs commands there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Protocol

from serving.release.archive import Packed
from serving.release.platform import FalPlatform
from serving.release.remote_package import RemotePackage

SLOWEST: Final = 500_000  # bytes a second that a transfer must reach, in the mean
_STARTING: Final = 300.0  # seconds beside it


@dataclass(frozen=True, kw_only=True, slots=True)
class Seen:
    """A request in the queue; `lines` are the latest of the app's log since it began, `seconds` those that it took when done."""

    status: str
    position: int | None
    lines: list[str]
    seconds: float | None
    error: str | None
    error_type: str | None

    @property
    def is_done(self) -> bool:
        return self.status == "COMPLETED"


@dataclass(frozen=True, kw_only=True, slots=True)
class Folder:
    """A folder below /data with all that is in it; `changed` is its newest file's time (Unix seconds), None where untold."""

    name: str
    bytes: int
    changed: float | None


class Machine(Protocol):
    """Paths are below /data of the account. Every method raises PlatformError."""

    @property
    def name(self) -> str: ...

    def ready(self, package: RemotePackage) -> bool:
        """Deploy the app, private to the account; False where it is there already."""
        ...

    def size(self, path: str) -> int | None:
        """Bytes of a file, None where there is none."""
        ...

    def folders(self, path: str) -> list[Folder]:
        """The folders right below one; none where there is no such folder."""
        ...

    def send(self, packed: Packed, path: str) -> None: ...

    def fetch(self, path: str, to: Path, *, limit: int) -> tuple[str, int]:
        """sha256 and size of what came; more than `limit` bytes are refused."""
        ...

    def remove(self, path: str) -> None: ...

    def submit(self, app: str, arguments: Mapping[str, Any]) -> str:
        """The request's id."""
        ...

    def look(self, app: str, request_id: str) -> Seen | None:
        """None where the queue knows no such request."""
        ...

    def answer(self, app: str, request_id: str) -> tuple[int, dict[str, Any]]:
        """Status and body of a request that is done."""
        ...

    def cancel(self, app: str, request_id: str) -> None: ...


class FalMachine:
    """The machine of a platform's account."""

    def __init__(self, platform: FalPlatform) -> None:
        self._platform = platform

    @property
    def name(self) -> str:
        return self._platform.name

    def ready(self, package: RemotePackage) -> bool:
        if self._platform.alias(package.name, None) is not None:
            return False
        self._platform.deploy(package.folder, app=package.name, environment=None, auth="private")
        return True

    def size(self, path: str) -> int | None:
        found: int | None = self._platform.ask("file_size", path=path)
        return found

    def folders(self, path: str) -> list[Folder]:
        return [Folder(**found) for found in self._platform.ask("folders", timeout=_STARTING, path=path)]

    def send(self, packed: Packed, path: str) -> None:
        self._platform.ask("send_file", timeout=_time_for(packed.size), local=str(packed.path), path=path)

    def fetch(self, path: str, to: Path, *, limit: int) -> tuple[str, int]:
        came = self._platform.ask("fetch_file", timeout=_time_for(limit), path=path, local=str(to), limit=limit)
        return str(came["sha256"]), int(came["size"])

    def remove(self, path: str) -> None:
        self._platform.ask("remove_file", path=path)

    def submit(self, app: str, arguments: Mapping[str, Any]) -> str:
        return str(self._platform.ask("submit", endpoint=self._endpoint(app), arguments=dict(arguments)))

    def look(self, app: str, request_id: str) -> Seen | None:
        found = self._platform.ask("look", endpoint=self._endpoint(app), request_id=request_id)
        return Seen(**found) if found is not None else None

    def answer(self, app: str, request_id: str) -> tuple[int, dict[str, Any]]:
        said = self._platform.ask("answer", endpoint=self._endpoint(app), request_id=request_id)
        return int(said["status"]), dict(said["body"])

    def cancel(self, app: str, request_id: str) -> None:
        self._platform.ask("cancel", timeout=20.0, endpoint=self._endpoint(app), request_id=request_id)

    def _endpoint(self, app: str) -> str:
        return f"{self._owner}/{app}"

    @cached_property
    def _owner(self) -> str:
        return self._platform.whoami()["nickname"]


def _time_for(size: int) -> float:
    return _STARTING + size / SLOWEST
