"""What work on rented machines leaves in an account when it is over: apps, and folders of /data with what was sent there.

A job that this home has a record of may go while its request is not known to have ended: nothing of it is touched. A folder that
no record here names may be another home's: it is told, and stays.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final, Literal

from serving.release.machine import Folder, Machine
from serving.release.platform import Platform, Revision
from serving.release.remote import FOLDER
from serving.release.remote_package import REMOTE
from serving.release.remote_record import Request, requests_of

ENDS: Final = frozenset({"done", "failed", "stopped", "lost", "cancelled"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """A record of this home: how its folder's name begins, its requests, and when the record was written (Unix seconds)."""

    path: Path
    key: str
    requests: tuple[Request, ...]
    changed: float

    @classmethod
    def read(cls, path: Path) -> Job:
        """Of a file <target>-<beginning of the key>.json."""
        return cls(path=path, key=path.stem.rpartition("-")[2], requests=requests_of(path), changed=path.stat().st_mtime)

    @property
    def has_ended(self) -> bool:
        """Whether nobody has to look what became of its last request, or to fetch what that one left."""
        return not self.requests or self.requests[-1].state in ENDS


@dataclass(frozen=True, kw_only=True, slots=True)
class RemoteLeftover:
    """A folder below /data (its name, bytes, last change), or an app (its name and revisions)."""

    kind: Literal["app", "folder"]
    name: str
    why: str
    bytes: int = 0
    changed: float = 0.0
    revisions: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Rest:
    """What can go, the records that nothing over there is left of, and what stays though it is old, in sentences."""

    leftovers: tuple[RemoteLeftover, ...]
    records: tuple[Job, ...]
    told: tuple[str, ...]


def look(platform: Platform, machine: Machine, jobs: Sequence[Job], *, before: float) -> Rest:
    """What has not been touched since `before` (Unix seconds) by anybody of the account. Raises PlatformError."""
    folders = machine.folders(FOLDER)
    known = {one.name: [job for job in jobs if one.name.startswith(job.key)] for one in folders}
    gone = [one for one in folders if known[one.name] and _is_over(one, known[one.name], before)]
    kept = {job.key for found in known.values() for job in found}
    return Rest(
        records=tuple(job for job in jobs if job.has_ended and job.changed < before and job.key not in kept),
        leftovers=(*(_of_folder(one, known[one.name]) for one in gone), *_apps(platform, jobs, before)),
        told=(*_unknown([one for one in folders if not known[one.name]]), *_waited_for(jobs, before)),
    )


def remove(chosen: RemoteLeftover, platform: Platform, machine: Machine) -> None:
    """Take it away; what is gone already need not be. Raises PlatformError."""
    if chosen.kind == "folder":
        machine.remove(f"{FOLDER}/{chosen.name}")
        return
    platform.delete(chosen.name, None)
    for revision in chosen.revisions:
        platform.delete_revision(revision)


def _is_over(folder: Folder, jobs: Sequence[Job], before: float) -> bool:
    """By our records, and by the files there, which another home of the account may have renewed for the same job."""
    ended = all(job.has_ended and job.changed < before for job in jobs)
    return ended and folder.changed is not None and folder.changed < before


def _of_folder(folder: Folder, jobs: Sequence[Job]) -> RemoteLeftover:
    ends = {job.requests[-1].state for job in jobs if job.requests}
    why = f"its job has ended ({', '.join(sorted(ends)) or 'nothing was asked'})"
    return RemoteLeftover(kind="folder", name=folder.name, why=why, bytes=folder.bytes, changed=folder.changed or 0.0)


def _apps(platform: Platform, jobs: Sequence[Job], before: float) -> Iterator[RemoteLeftover]:
    """Apps of ours with no request on its way or since then: the next job that wants one deploys it again."""
    there = {name for name in platform.apps(None) if name.startswith(REMOTE)}
    asked = {request.app for job in jobs for request in job.requests}  # a removal that was killed left revisions without a name
    waited_for = {job.requests[-1].app for job in jobs if not job.has_ended}
    recent = {one.app for job in jobs for one in job.requests if _moment(one.submitted_at) >= before}
    for name in sorted((there | asked) - waited_for - recent):
        revisions = platform.revisions(name, None)
        if any(_is_in_use(one, before) for one in revisions) or (name in there and platform.requests(name, None, before)):
            continue
        if name in there or revisions:
            why = "no job asked it of late"
            yield RemoteLeftover(kind="app", name=name, why=why, revisions=tuple(one.revision for one in revisions))


def _is_in_use(revision: Revision, before: float) -> bool:
    return revision.runners > 0 or revision.created_at >= before


def _unknown(folders: Sequence[Folder]) -> Iterator[str]:
    if folders:
        names = ", ".join(one.name for one in folders[:3]) + (", ..." if len(folders) > 3 else "")
        count = f"{len(folders)} {'folder' if len(folders) == 1 else 'folders'} of no record here ({names})"
        yield f"stays: {FOLDER} has {count}, maybe another home's; `fal files rm` removes what is nobody's"


def _waited_for(jobs: Sequence[Job], before: float) -> Iterator[str]:
    for job in jobs:
        if not job.has_ended and job.changed < before:
            last = job.requests[-1]
            yield f"stays: request {last.id or 'without an id'} of {last.submitted_at} may still have a result: run its job again"


def _moment(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
