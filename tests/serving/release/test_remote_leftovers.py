"""What trainings leave in an account goes when they have ended long ago, and stays while anybody could come back for it."""

import json
import os
from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import pytest

from serving.release import remote_leftovers
from serving.release.machine import FalMachine
from serving.release.platform import FalPlatform, Revision, Seen
from serving.release.remote import FOLDER
from serving.release.remote_leftovers import Job, Rest
from serving.release.remote_record import SCHEMA, Request, State
from tests.serving.release.memory_platform import MemoryPlatform

DAY = 86400.0
NOW = 1_780_000_000.0
BEFORE, OLD, YOUNG = NOW - 30 * DAY, NOW - 90 * DAY, NOW - DAY
APP = "lorasmith-remote-0123456789ab"
KEY = "ab" * 16


def request(state: State, *, at: float = OLD, app: str = APP) -> Request:
    return Request(id=f"id-{state}", submitted_at=datetime.fromtimestamp(at, UTC).isoformat(), state=state, app=app)


@pytest.fixture
def platform() -> MemoryPlatform:
    """An account with one old app of ours, whose runner has stopped, and one old folder."""
    platform = MemoryPlatform()
    platform.now = OLD
    for name in (APP, "a-release"):
        platform.aliases[name, "main"] = name
        platform.places[name], platform.packages[name] = (name, "main"), ("", "")
    platform.data[f"{FOLDER}/{KEY}"] = {"bytes": 1000, "changed": OLD}
    return platform


@pytest.fixture
def record(tmp_path: Path) -> Callable[..., Job]:
    """record(requests, ...): the job of a file as a training writes it."""

    def write(*requests: Request, key: str = KEY, changed: float = OLD) -> Job:
        path = tmp_path / f"sandbox-{key[:16]}.json"
        path.write_text(json.dumps({"schema": SCHEMA, "requests": [asdict(one) for one in requests]}))
        os.utime(path, (changed, changed))
        return Job.read(path)

    return write


def look(platform: MemoryPlatform, *jobs: Job) -> Rest:
    return remote_leftovers.look(Stopped(platform), FalMachine(cast(FalPlatform, platform)), jobs, before=BEFORE)


class Stopped(MemoryPlatform):
    """The same account when no runner is up."""

    def __init__(self, other: MemoryPlatform) -> None:
        self.__dict__ = other.__dict__

    def revisions(self, app: str, environment: str | None) -> list[Revision]:
        return [replace(one, runners=0) for one in super().revisions(app, environment)]


def names(rest: Rest) -> set[str]:
    return {one.name for one in rest.leftovers}


@pytest.mark.parametrize("end", sorted(remote_leftovers.ENDS))
def test_a_job_that_ended_long_ago_leaves_folder_and_app_and_then_its_record(
    end: State, platform: MemoryPlatform, record: Callable[..., Job]
) -> None:
    job = record(request("lost"), request(end))
    rest = look(platform, job)
    assert names(rest) == {KEY, APP}
    assert (rest.records, rest.told) == ((), ())  # the record says whose the folder is: it goes when the folder has gone
    for one in rest.leftovers:
        remote_leftovers.remove(one, platform, FalMachine(cast(FalPlatform, platform)))
        remote_leftovers.remove(one, platform, FalMachine(cast(FalPlatform, platform)))  # a second time changes nothing
    assert platform.data == {}
    assert set(platform.packages) == {"a-release"} == {name for name, _ in platform.aliases}
    again = look(platform, job)
    assert (again.leftovers, again.records) == ((), (job,))


@pytest.mark.parametrize("state", ["submitting", "open", "answered"])
def test_whatever_has_to_be_looked_for_or_fetched_stays_and_is_told(
    state: State, platform: MemoryPlatform, record: Callable[..., Job]
) -> None:
    rest = look(platform, record(request("done"), request(state)))
    assert (rest.leftovers, rest.records) == ((), ())
    assert rest.told == (f"stays: request id-{state} of {request(state).submitted_at} may still have a result: run its job again",)


@pytest.mark.parametrize("renewed", ["record", "folder", "a folder that does not tell"])
def test_a_folder_that_was_touched_of_late_stays(renewed: str, platform: MemoryPlatform, record: Callable[..., Job]) -> None:
    changed = YOUNG if renewed == "folder" else None if renewed.startswith("a folder") else OLD
    platform.data[f"{FOLDER}/{KEY}"]["changed"] = changed
    rest = look(platform, record(request("stopped"), changed=YOUNG if renewed == "record" else OLD))
    assert names(rest) == {APP}
    assert rest.records == ()


def test_a_folder_of_no_record_is_told_and_stays(platform: MemoryPlatform, record: Callable[..., Job]) -> None:
    rest = look(platform, record(request("done"), key="cd" * 16))
    assert KEY not in names(rest)
    assert rest.told == (
        f"stays: {FOLDER} has 1 folder of no record here ({KEY}), maybe another home's; `fal files rm` removes what is nobody's",
    )


@pytest.mark.parametrize("used", ["deployed", "asked from here", "asked by another home", "a runner is up"])
def test_an_app_that_is_used_stays(used: str, platform: MemoryPlatform, record: Callable[..., Job]) -> None:
    at = YOUNG if used == "asked from here" else OLD
    if used == "deployed":
        platform.now = YOUNG
    if used == "asked by another home":
        platform.seen[APP, "main"] = [Seen(request_id="r", status=200, seconds=1.0, units=0.0, ended_at=YOUNG)]
    job = record(request("done", at=at))
    if used == "a runner is up":
        rest = remote_leftovers.look(platform, FalMachine(cast(FalPlatform, platform)), [job], before=BEFORE)
    else:
        rest = look(platform, job)
    assert names(rest) == {KEY}


def test_revisions_that_a_killed_removal_left_without_a_name_are_found_by_the_record(
    platform: MemoryPlatform, record: Callable[..., Job]
) -> None:
    del platform.aliases[APP, "main"]
    (one,) = (one for one in look(platform, record(request("done"))).leftovers if one.kind == "app")
    remote_leftovers.remove(one, platform, FalMachine(cast(FalPlatform, platform)))
    assert set(platform.packages) == {"a-release"}


def test_without_a_record_an_old_app_goes_too_and_no_app_of_a_release_ever(platform: MemoryPlatform) -> None:
    assert names(look(platform)) == {APP}
