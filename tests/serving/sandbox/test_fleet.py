"""Several runners of several apps: who waits for whom, how many there are, what is kept and what ends."""

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import httpx
import psutil
import pytest

from serving.sandbox import control
from serving.sandbox.control import Running
from serving.sandbox.errors import NotFound, RunnerFailed, StartTimedOut
from serving.sandbox.fleet.fleet import Fleet
from serving.sandbox.fleet.records import CUT_SHORT
from tests.serving.sandbox.deployer import Deployer, finish, until
from tests.serving.sandbox.small_fleet import OWNER, SmallFleet, children, pids, small_fleet, soon


@pytest.fixture(autouse=True)
def where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the fleet; the sockets of its runners are relative to the working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_more_runners_start_when_all_places_are_taken_and_no_more_than_may(where: Path) -> None:
    async def story(small: SmallFleet) -> None:
        revision = small.app("busy", max_concurrency=2, max_multiplexing=2)
        replies = await asyncio.gather(*(small.ask(revision, body={"seconds": 0.6}) for _ in range(8)))
        assert len({reply["pid"] for reply in replies}) == 2
        assert len(small.starts("busy")) == 2
        assert {runner.state for runner in small.fleet.all()} == {"IDLE"}

    asyncio.run(in_fleet(where, story))


def test_who_waits_is_served_in_order_of_arrival_and_low_ones_last(where: Path) -> None:
    async def story(small: SmallFleet) -> None:
        revision = small.app("queue", max_concurrency=1)
        order: list[str] = []

        async def ask(name: str, *, low: bool) -> None:
            async with small.fleet.lease(revision, low=low):
                order.append(name)

        async with small.fleet.lease(revision):
            names = ("low 1", "a", "b", "low 2", "c")
            tasks = [asyncio.create_task(ask(name, low=name.startswith("low"))) for name in names]
            await soon(lambda: small.fleet.waiting(revision.id) == 5)
        await asyncio.gather(*tasks)
        assert order == ["a", "b", "c", "low 1", "low 2"]

    asyncio.run(in_fleet(where, story))


def test_a_request_waits_no_longer_than_it_may_and_leaves_its_place_to_others(where: Path) -> None:
    async def story(small: SmallFleet) -> None:
        revision = small.app("late", max_concurrency=1, request_start_timeout=1)
        await small.fleet.ready(revision)
        async with small.fleet.lease(revision):
            with pytest.raises(StartTimedOut):
                await small.ask(revision, until=time.monotonic() + 0.05)
            with pytest.raises(StartTimedOut):  # the app's own limit
                await small.ask(revision)
            leaving = asyncio.create_task(small.ask(revision))
            await soon(lambda: small.fleet.waiting(revision.id) == 1)
            leaving.cancel()
            await asyncio.wait({leaving})
            assert small.fleet.waiting(revision.id) == 0
        assert (await small.ask(revision))["version"] == 1
        assert [runner.in_flight for runner in small.fleet.all()] == [0]

    asyncio.run(in_fleet(where, story))


def test_scaling_up_waits_for_the_scaling_delay(where: Path) -> None:
    async def story(small: SmallFleet) -> None:
        revision = small.app("patient", max_concurrency=3, scaling_delay_seconds=60)
        await small.fleet.ready(revision)
        replies = await asyncio.gather(*(small.ask(revision, body={"seconds": 0.1}) for _ in range(4)))
        assert len({reply["pid"] for reply in replies}) == 1
        small.fleet.scale(small.alias(revision, max_concurrency=3, scaling_delay_seconds=0))
        async with small.fleet.lease(revision) as first, small.fleet.lease(revision) as second:
            assert first is not second

    asyncio.run(in_fleet(where, story))


def test_a_hint_prefers_the_runner_that_named_it_and_waits_for_none(where: Path) -> None:
    async def story(small: SmallFleet) -> None:
        revision = small.app("hinted", min_concurrency=2)
        await soon(lambda: len(small.fleet.running(revision.id)) == 2)
        holder = await small.ask(revision, body={"headers": {"x-fal-runner-hints": "flux, sd"}})
        async with small.fleet.lease(revision, hint="flux") as first, small.fleet.lease(revision, hint="flux") as second:
            assert (first.id, first.hints) == (holder["runner"], frozenset(("flux", "sd")))
            assert second is not first
        for _ in range(3):
            assert (await small.ask(revision, hint="sd"))["runner"] == holder["runner"]

    asyncio.run(in_fleet(where, story))


def test_a_runner_ends_after_keep_alive_down_to_none(where: Path) -> None:
    async def story(small: SmallFleet) -> None:
        revision = small.app("sleepy", keep_alive=0.3)
        pid = (await small.ask(revision))["pid"]
        await soon(lambda: not small.fleet.all())
        assert (small.folder / "sleepy" / f"torn-down-{pid}").exists()
        assert [row.reason for row in small.fleet.records.rows()] == ["keep_alive is over"]
        assert (await small.ask(revision))["pid"] != pid

    asyncio.run(in_fleet(where, story))


def test_the_kept_runners_are_there_without_requests_and_again_after_a_kill(where: Path) -> None:
    async def story(small: SmallFleet) -> None:
        revision = small.app("kept", min_concurrency=1, keep_alive=0)
        before = pids(await soon(lambda: small.fleet.running(revision.id)))
        small.fleet.scale(small.alias(revision, min_concurrency=1, concurrency_buffer=2, keep_alive=0))
        await soon(lambda: len(small.fleet.running(revision.id)) == 2)
        small.fleet.scale(small.alias(revision, min_concurrency=1, keep_alive=0))
        await soon(lambda: len(small.fleet.all()) == 1)
        (last,) = pids(small.fleet.running(revision.id))
        os.kill(last, signal.SIGKILL)
        (after,) = pids(await soon(lambda: [r for r in small.fleet.running(revision.id) if r.pid != last]))
        assert children() == [after] != list(before)

    asyncio.run(in_fleet(where, story))


def test_who_waits_follows_the_alias_to_another_revision_and_nobody_to_none(where: Path) -> None:
    async def story(small: SmallFleet) -> None:
        first = small.app("moved", version=1, max_concurrency=1)
        served = asyncio.create_task(small.ask(first, body={"seconds": 1.0, "begun": "begun"}))
        await soon((small.folder / "moved" / "begun").exists)
        waiting = asyncio.create_task(small.ask(first))
        await soon(lambda: small.fleet.waiting(first.id) == 1)
        second = small.app("moved", version=2, max_concurrency=1)
        small.fleet.retire(first.id)
        assert {runner.state for runner in small.fleet.all()} == {"DRAINING"}
        assert (await waiting)["version"] == 2
        async with small.fleet.lease(second):
            stranded = asyncio.create_task(small.ask(second))
            await soon(lambda: small.fleet.waiting(second.id) == 1)
            small.state.delete_alias(OWNER, "moved")
            small.fleet.retire(second.id)
            with pytest.raises(RunnerFailed, match="deleted while the request waited"):
                await stranded
        assert (await served)["version"] == 1
        await soon(lambda: not small.fleet.all())

    asyncio.run(in_fleet(where, story))


def test_a_runner_can_be_stopped_killed_and_replaced_by_name(where: Path) -> None:
    async def story(small: SmallFleet) -> None:
        revision = small.app("named", min_concurrency=1, termination_grace_period_seconds=20)
        (first,) = await soon(lambda: small.fleet.running(revision.id))
        await small.fleet.stop_runner(first.id, replace_first=True)
        (second,) = await soon(lambda: small.fleet.running(revision.id))
        await small.fleet.rollout(revision)
        (third,) = await soon(lambda: small.fleet.running(revision.id))
        assert len({first.id, second.id, third.id}) == 3
        asking = asyncio.create_task(small.ask(revision, body={"seconds": 60, "begun": "begun"}))
        await soon((small.folder / "named" / "begun").exists)
        await small.fleet.stop_runner(third.id, grace=0.0)
        with pytest.raises(httpx.TransportError):
            await asking
        with pytest.raises(NotFound):
            await small.fleet.stop_runner("nobody")
        await soon(lambda: [row.reason for row in small.fleet.records.rows()][1:] == ["stopped", "rollout", "stopped"])

    asyncio.run(in_fleet(where, story))


def test_the_records_hold_what_was_billed_also_of_a_fleet_that_was_killed(where: Path) -> None:
    async def story(small: SmallFleet) -> None:
        revision = small.app("billed", machine_types=["GPU-H100"])
        await small.ask(revision, body={"seconds": 0.3})
        await small.ask(revision, body={"seconds": 0.3})
        (seconds,) = small.fleet.records.seconds(owner=OWNER)
        (runner,) = small.fleet.all()
        assert (seconds.app, seconds.environment, seconds.machine_type) == ("billed", "main", "GPU-H100")
        assert seconds.running >= 0.6
        assert seconds.setup > 0
        assert runner.started_at is not None
        assert seconds.total <= time.time() - runner.started_at
        half = small.fleet.records.seconds(until=runner.started_at + seconds.setup)
        assert half[0].total == pytest.approx(seconds.setup, abs=0.01)
        small.fleet.records.flush(time.time() + 5)  # the last moment that is known of
        rival = Fleet(small.folder, small.state, lambda _: {})  # what the next daemon does
        (row,) = rival.records.rows()
        assert (row.reason, row.state) == (CUT_SHORT, "TERMINATED")
        assert row.ended_at is not None
        (billed,) = rival.records.seconds(until=row.ended_at)
        assert billed.total == pytest.approx(row.ended_at - row.started_at, abs=0.01)

    asyncio.run(in_fleet(where, story))


def test_requests_whose_runners_are_killed_end_once_each_and_the_ledger_is_exact(
    owner: Deployer, sandbox: Running, home: Path
) -> None:
    owner.deploy("shot-at", {"version": 1}, machine={"max_concurrency": 3, "max_multiplexing": 2})
    queue = f"/queue/{sandbox.owner}/shot-at"
    tickets = [owner.http.post(queue, json={"seconds": 0.1, "images": 1}).json() for _ in range(60)]
    shot: set[int] = set()
    for _ in range(3):
        until(lambda: len(runners_of(sandbox, "shot-at") - shot) == 3)
        shot.add(victim := min(runners_of(sandbox, "shot-at") - shot))
        os.kill(victim, signal.SIGKILL)
    for ticket in tickets:
        finish(owner.http, ticket)
        assert owner.http.get(ticket["response_url"]).status_code == 200
    rows = [row for row in control.ledger(home) if row["app"] == "shot-at"]
    assert sorted(row["request_id"] for row in rows) == sorted(ticket["request_id"] for ticket in tickets)
    assert {(row["status"], row["units"]) for row in rows} == {(200, "1")}
    assert sum(row["attempts"] for row in rows) > len(rows)


def runners_of(sandbox: Running, app: str) -> set[int]:
    """Processes of the daemon that run the app."""
    found = set()
    for child in psutil.Process(sandbox.pid).children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess, psutil.ZombieProcess, psutil.AccessDenied):
            if child.environ().get("FAL_APP_NAME") == app:
                found.add(child.pid)
    return found


async def in_fleet(folder: Path, story: Callable[[SmallFleet], Awaitable[None]], **pace: float) -> None:
    async with small_fleet(folder, **pace) as small:
        await story(small)
