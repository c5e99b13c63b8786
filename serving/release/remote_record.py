"""What is known of a job on rented machines: every request that was made for it, on the disk before anybody waits."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal

SCHEMA: Final = "lorasmith/remote/1"
# submitting: about to be made, its id not known yet. open: somebody has to look what became of it. answered: done, its result is
# still on the platform. The rest are ends.
State = Literal["submitting", "open", "answered", "done", "failed", "stopped", "lost", "cancelled"]
Rate = tuple[float, float | None]  # dollars a second: the lowest, and the listed one where it is known


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """One request; `seconds` on a machine, as it told or as it was watched, `usd` what they cost from and to where a rate is known.

    result: {"sha256", "size", "request_id"} of what it left, once answered.
    """

    id: str | None
    submitted_at: str
    state: State
    app: str
    seconds: float = 0.0
    usd: tuple[float, float] | None = None
    said: str = ""
    result: dict[str, Any] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class About:
    """Whose record it is."""

    job: str
    target: str
    machine: str
    usd_per_second: Rate | None


class Record:
    """The file of one job; every change is whole and on the disk before the method returns."""

    def __init__(self, path: Path, about: About, *, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self.path, self.about, self._clock = path, about, clock
        self.requests: tuple[Request, ...] = requests_of(path)

    @property
    def last(self) -> Request | None:
        return self.requests[-1] if self.requests else None

    @property
    def seconds(self) -> float:
        """Of all requests since the job was last done."""
        done = max((number for number, request in enumerate(self.requests, 1) if request.state == "done"), default=0)
        return sum(request.seconds for request in self.requests[done:])

    def begin(self, app: str) -> None:
        """A request is about to be made."""
        moment = self._clock().astimezone(UTC).isoformat(timespec="seconds")
        self._write((*self.requests, Request(id=None, submitted_at=moment, state="submitting", app=app)))

    def update(self, **changes: Any) -> Request:
        """Change the last request; its cost follows its seconds."""
        assert self.last
        request = replace(self.last, **changes)
        request = replace(request, usd=cost(request.seconds, self.about.usd_per_second))
        self._write((*self.requests[:-1], request))
        return request

    def _write(self, requests: Iterable[Request]) -> None:
        self.requests = tuple(requests)
        content = {"schema": SCHEMA, **asdict(self.about), "requests": [asdict(request) for request in self.requests]}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        part = self.path.with_name(f"{self.path.name}.part")
        with part.open("w", encoding="utf-8") as file:
            file.write(json.dumps(content, indent=2) + "\n")
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, self.path)
        folder = os.open(self.path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)  # the name too: after a power cut the request would else be paid and not known
        finally:
            os.close(folder)


def cost(seconds: float, rate: Rate | None) -> tuple[float, float] | None:
    """Dollars from and to."""
    if rate is None:
        return None
    lowest, listed = rate
    return seconds * lowest, seconds * (listed or lowest)


def requests_of(path: Path) -> tuple[Request, ...]:
    """The requests of a record, the last one last; none where there is no file. ValueError for a file of another kind."""
    if not path.is_file():
        return ()
    kept = json.loads(path.read_text(encoding="utf-8"))
    if kept.get("schema") != SCHEMA:
        raise ValueError(f"{path} is a record of another kind ({str(kept.get('schema'))[:60]!r}): move it away and run again")
    return tuple(Request(**(row | {"usd": tuple(row["usd"]) if row["usd"] else None})) for row in kept["requests"])
