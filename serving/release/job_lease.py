"""Who is at a job on rented machines, and how long it has been: a file beside the job, which all machines of the account see.

It travels to the machine beside the app that runs there, so it imports nothing of ours.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

LEASE_SECONDS = 60.0


@contextmanager
def leased(place: Path, request_id: str) -> Iterator[Lease | str]:
    """The lease on a job, or the id of the request that is at it elsewhere; one that is silent for a minute has lost it."""
    found = Lease.read(place)
    if found is not None and found.request_id != request_id and time.time() - found.renewed < LEASE_SECONDS:
        yield found.request_id
        return
    same = found is not None and found.request_id == request_id
    lease = Lease(place=place, request_id=request_id, used=found.used if found is not None and same else 0.0)
    lease.renew()
    try:
        yield lease
    finally:
        lease.renew(ended=True)


@dataclass(kw_only=True)
class Lease:
    """Which request is at a job, and how many seconds it has used: on other machines too, where the platform tried it again."""

    place: Path
    request_id: str
    used: float = 0.0
    renewed: float = 0.0
    began: float = field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        return self.used + time.monotonic() - self.began

    def renew(self, *, ended: bool = False) -> None:
        self.renewed = 0.0 if ended else time.time()
        said = {"request_id": self.request_id, "used": self.seconds, "renewed": self.renewed}
        write_whole(self.place / "lease.json", json.dumps(said))

    @classmethod
    def read(cls, place: Path) -> Lease | None:
        try:
            said = json.loads((place / "lease.json").read_text())
            return cls(place=place, request_id=said["request_id"], used=float(said["used"]), renewed=float(said["renewed"]))
        except (OSError, ValueError, KeyError, TypeError):
            return None


def write_whole(path: Path, text: str) -> None:
    """Write a small file, whole or not at all, and on the disk."""
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    with part.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(part, path)
