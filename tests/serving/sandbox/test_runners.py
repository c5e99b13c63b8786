"""One runner: how it starts, how its health is watched, how it ends, and what follows when it does so by itself."""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path

import httpx
import psutil
import pytest

from serving.sandbox.errors import RunnerFailed, StartupTimedOut
from serving.sandbox.state import Revision
from tests.serving.sandbox.small_fleet import SmallFleet, children, numbers, small_fleet, soon


@pytest.fixture(autouse=True)
def where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the fleet; the sockets of its runners are relative to the working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_crash_ends_the_requests_of_its_runner_alone_and_another_takes_its_place(where: Path) -> None:
    async def story(small: SmallFleet) -> None:
        revision = small.app("crashing", min_concurrency=2)
        await soon(lambda: len(small.fleet.running(revision.id)) == 2)
        other = asyncio.create_task(small.ask(revision, body={"seconds": 0.5, "begun": "begun"}))
        await soon((small.folder / "crashing" / "begun").exists)
        with pytest.raises(httpx.TransportError):
            await small.ask(revision, path="/crash")
        await soon(lambda: len(small.starts("crashing")) == 3)
        assert (await other)["pid"] in small.starts("crashing")[:2]
        await soon(lambda: len(small.fleet.running(revision.id)) == 2)
        assert [row.reason for row in small.fleet.records.rows() if row.ended_at] == ["it ended by itself"]

    asyncio.run(in_fleet(where, story))


def test_an_exception_of_the_app_is_no_fault_of_its_runner(where: Path) -> None:
    async def story(small: SmallFleet) -> None:
        revision = small.app("raising", max_concurrency=1)
        statuses = []
        async with small.fleet.lease(revision) as runner:
            for path in ("/fail", "/") * 10:  # uvicorn closes the connection of a 500, sometimes under the next request
                statuses.append((await runner.client.post(path, json={})).status_code)
        assert statuses == [500, 200] * 10
        assert len(small.starts("raising")) == 1

    asyncio.run(in_fleet(where, story))


def test_a_setup_that_hangs_ends_with_its_startup_timeout(where: Path) -> None:
    async def story(small: SmallFleet) -> None:
        revision = small.app("hanging", startup_timeout=1)
        (small.folder / "hanging" / "hanging").touch()
        with pytest.raises(StartupTimedOut, match=r"not healthy after 1 s \(startup_timeout\)"):
            await small.fleet.ready(revision)
        assert children() == []

    asyncio.run(in_fleet(where, story))


def test_a_runner_can_be_stopped_while_it_starts(where: Path) -> None:
    async def story(small: SmallFleet) -> None:
        revision = small.app("hanging")
        (small.folder / "hanging" / "hanging").touch()
        waiting = asyncio.create_task(small.ask(revision))
        await soon(lambda: small.starts("hanging"))
        (runner,) = small.fleet.all()
        assert runner.state == "SETUP"
        await small.fleet.stop_runner(runner.id)
        with pytest.raises(RunnerFailed, match="told to end while it started: stopped"):
            await waiting
        assert children() == []
        runner.log.add("agent", "said after its end")

    asyncio.run(in_fleet(where, story))


def test_starts_that_fail_are_spaced_and_a_deploy_tries_at_once(where: Path, capfd: pytest.CaptureFixture[str]) -> None:
    async def story(small: SmallFleet) -> None:
        revision = small.app("second", min_concurrency=1)
        await small.ask(revision)
        (small.folder / "second" / "broken").touch()
        os.kill(small.starts("second")[0], signal.SIGKILL)
        await soon(lambda: "start 1 that failed, the next one in 30 s at the earliest" in capfd.readouterr().out)
        await asyncio.sleep(10 * 0.05)  # as many sweeps, each of which would start another
        assert len(small.starts("second")) == 2
        with pytest.raises(RunnerFailed, match="setup failed: RuntimeError: the weights are gone"):
            await small.fleet.ready(revision)
        waiting = asyncio.create_task(small.ask(revision))
        await soon(lambda: small.fleet.waiting(revision.id) == 1)
        (small.folder / "second" / "broken").unlink()
        await small.fleet.ready(revision)
        assert (await waiting)["pid"] == small.starts("second")[-1]
        assert len(small.starts("second")) == 4

    asyncio.run(in_fleet(where, story, failure_step=30.0))


def test_runners_that_end_right_after_their_start_are_no_busy_loop_either(where: Path, capfd: pytest.CaptureFixture[str]) -> None:
    async def story(small: SmallFleet) -> None:
        (small.folder / "brief").mkdir()
        (small.folder / "brief" / "short-lived").touch()
        small.app("brief", min_concurrency=1)
        await soon(
            lambda: "a runner ended right after its start; start 1 that failed, the next one in 30 s" in capfd.readouterr().out
        )
        await asyncio.sleep(10 * 0.05)
        assert len(small.starts("brief")) == 1

    asyncio.run(in_fleet(where, story, failure_step=30.0))


@pytest.mark.parametrize(("grace", "status"), [(20, 200), (1, None)])
def test_what_a_runner_has_is_finished_within_its_grace(where: Path, grace: int, status: int | None) -> None:
    async def story(small: SmallFleet) -> None:
        revision = small.app("graceful", termination_grace_period_seconds=grace)
        asking = asyncio.create_task(small.ask(revision, body={"seconds": 1.2 if status else 60, "begun": "begun"}))
        await soon((small.folder / "graceful" / "begun").exists)
        (pid,) = small.starts("graceful")
        small.fleet.retire(revision.id)
        if status is None:
            with pytest.raises(httpx.TransportError):
                await asking
        else:
            assert (await asking)["pid"] == pid
        await soon(lambda: not psutil.pid_exists(pid))
        assert (small.folder / "graceful" / f"torn-down-{pid}").exists() is (status is not None)

    asyncio.run(in_fleet(where, story))


def test_a_sick_runner_is_replaced_after_its_threshold_while_requests_run_too(where: Path) -> None:
    async def story(small: SmallFleet) -> None:
        revision = small.app("sick", max_concurrency=1)
        asking = asyncio.create_task(small.ask(revision, body={"seconds": 60, "begun": "begun"}))
        await soon((small.folder / "sick" / "begun").exists)
        (pid,) = small.starts("sick")
        asked = len(checks(small, revision))
        await soon(lambda: len(checks(small, revision)) > asked + 1)  # at work, and asked for its health
        (small.folder / "sick" / f"sick-{pid}").touch()
        (runner,) = small.fleet.all()
        await soon(lambda: not runner.alive)
        assert runner.reason == "health check failed 2 times"
        assert (await small.ask(revision))["pid"] != pid
        asking.cancel()

    asyncio.run(in_fleet(where, story, health=0.1))


def test_a_runner_that_asks_for_its_check_and_fails_it_ends_at_once(where: Path) -> None:
    async def story(small: SmallFleet) -> None:
        revision = small.app("honest")
        pid = (await small.ask(revision, body={"headers": {"x-fal-runner-health-check": "1"}}))["pid"]
        await soon(lambda: len(checks(small, revision)) > 1)
        (small.folder / "honest" / f"sick-{pid}").touch()
        (runner,) = small.fleet.running(revision.id)
        await small.ask(revision, body={"headers": {"x-fal-runner-health-check": "1"}})
        await soon(lambda: runner.state == "TERMINATED")
        assert runner.reason == "health check failed 1 times"

    asyncio.run(in_fleet(where, story))


def test_revisions_do_not_touch_each_other(where: Path) -> None:
    async def story(small: SmallFleet) -> None:
        apps = [small.app(f"app-{number}", max_concurrency=1) for number in range(3)]
        (small.folder / "app-0" / "broken").touch()
        replies = await asyncio.gather(*(small.ask(app) for app in apps), return_exceptions=True)
        assert isinstance(replies[0], RunnerFailed)
        assert [reply["version"] for reply in replies[1:] if isinstance(reply, dict)] == [1, 1]
        assert {runner.revision.alias for runner in small.fleet.running()} == {"app-1", "app-2"}

    asyncio.run(in_fleet(where, story))


def test_closing_leaves_no_process_whatever_it_does(where: Path) -> None:
    async def story(small: SmallFleet) -> None:
        idle, busy, starting = (small.app(name) for name in ("idle", "busy", "starting"))
        await small.ask(idle)
        asking = asyncio.create_task(small.ask(busy, body={"seconds": 60, "begun": "begun"}))
        (small.folder / "starting" / "hanging").touch()
        waiting = asyncio.create_task(small.ask(starting))
        await soon(lambda: (small.folder / "busy" / "begun").exists() and small.starts("starting"))
        assert len(children()) == 3
        await small.fleet.close()
        assert children() == []
        failures = await asyncio.gather(asking, waiting, return_exceptions=True)
        assert [isinstance(*pair) for pair in zip(failures, (httpx.TransportError, RunnerFailed), strict=True)] == [True, True]
        assert {row.state for row in small.fleet.records.rows()} == {"TERMINATED"}

    asyncio.run(in_fleet(where, story))


def checks(small: SmallFleet, revision: Revision) -> list[int]:
    return numbers(small.folder / revision.alias / "checks")


async def in_fleet(folder: Path, story: Callable[[SmallFleet], Awaitable[None]], **pace: float) -> None:
    async with small_fleet(folder, **pace) as small:
        await story(small)
