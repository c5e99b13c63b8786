"""Commands on rented machines: the real SDK and the real queue of the sandbox, a command that only counts."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from serving.release import remote
from serving.release.archive import pack
from serving.release.errors import CommandFailed, PlatformError, Tampered
from serving.release.machine import FalMachine
from serving.release.platform import FalPlatform
from serving.release.remote import Order
from serving.release.remote_package import RemotePackage, RemoteSettings, build_remote
from serving.release.target import sandbox_target
from serving.sandbox import control
from tests.serving.release.remote_bench import COMMAND, Bench, toy_code_in

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def toy_code(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toy_code_in(tmp_path_factory.mktemp("code"))


@pytest.fixture(scope="module")
def app(toy_code: Path, tmp_path_factory: pytest.TempPathFactory) -> RemotePackage:
    return build_remote(toy_code, RemoteSettings(machine_type="S", packages=()), tmp_path_factory.mktemp("app"))


@pytest.fixture
def make_bench(app: RemotePackage, tmp_path: Path) -> Callable[..., Bench]:
    def make(*, allowed: float = 60.0, **plan: Any) -> Bench:
        (tmp_path / "plan.json").write_text(json.dumps(plan))
        inputs = pack({"plan.json": tmp_path / "plan.json"}, tmp_path / "in.zip")
        order = Order(key=uuid.uuid4().hex, app=app, inputs=inputs, command=COMMAND, seconds=allowed)
        return Bench(folder=tmp_path, order=order)

    return make


@pytest.fixture(scope="module")
def platform(sandbox_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FalPlatform]:
    running = control.up(sandbox_home)
    with sandbox_target(running.env, caller_key=running.caller_key, logs=tmp_path_factory.mktemp("logs")) as opened:
        yield opened


@pytest.fixture(scope="module")
def machine(platform: FalPlatform) -> FalMachine:
    return FalMachine(platform)


def billed(home: Path, app: RemotePackage, since: int = 0) -> list[str]:
    return [row["request_id"] for row in control.ledger(home) if row["app"] == app.name][since:]


def left(home: Path, order: Order) -> bool:
    return (home / "sandbox" / "data" / "sandbox-owner" / "lorasmith" / "remote" / order.key).exists()


def wait_until(condition: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.05)


def test_files_go_in_and_files_come_out_and_nothing_is_paid_twice(
    machine: FalMachine, platform: FalPlatform, sandbox_home: Path, app: RemotePackage, make_bench: Callable[..., Bench]
) -> None:
    bench, before = make_bench(steps=4, seconds=0.4), len(billed(sandbox_home, app))
    assert bench.run(machine) == {"to": 4, "from": 0}
    assert [event["step"] for event in bench.events] == [1, 2, 3, 4]
    (request,) = bench.record.requests
    assert request.state == "done"
    assert request.usd == (request.seconds * 0.5, request.seconds * 1.0)
    assert billed(sandbox_home, app, before) == [request.id]
    assert not left(sandbox_home, bench.order)
    assert bench.run(machine) == {"to": 4, "from": 0}  # from the archive that was kept
    assert billed(sandbox_home, app, before) == [request.id]
    found = platform.alias(app.name, None)
    assert found is not None
    assert found.auth_mode == "private"
    assert platform.call(app.name, {}).status == 403
    (bench.folder / "keep.zip").unlink()
    bench.run(machine)
    assert [one.state for one in bench.record.requests] == ["done", "done"]


KILLED = """
import json, os, pathlib, sys
from serving.release.archive import Packed
from serving.release.machine import FalMachine
from serving.release.remote import Order, Telling, carry_out
from serving.release.job_lease import LEASE_SECONDS, Lease, leased
from serving.release.remote_package import RemotePackage
from serving.release.remote_record import About, Record
from serving.release.target import sandbox_target

folder, home, given = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), json.loads(sys.argv[3])
app = RemotePackage(name=given["app"], folder=pathlib.Path(given["package"]))
inputs = Packed(path=folder / "in.zip", sha256=given["sha256"], size=given["size"])
order = Order(key=given["key"], app=app, inputs=inputs, command=("-m", "toy.run"), seconds=60)
platform = sandbox_target(given["env"], caller_key=given["caller_key"], logs=folder / "logs")
record = Record(folder / "record.json", About(job="toy", target="sandbox", machine="S", usd_per_second=(0.5, 1.0)))
telling = Telling(event=lambda line: print(line, flush=True), progress=lambda line: None)
(folder / "lost").mkdir()
carry_out(order, FalMachine(platform), record, out=folder / "lost", keep=folder / "keep.zip", telling=telling, given_up=bool)
"""


def test_killed_while_it_waits_it_finds_the_same_request_again(
    machine: FalMachine, sandbox_home: Path, app: RemotePackage, make_bench: Callable[..., Bench]
) -> None:
    bench, running, before = make_bench(steps=8, seconds=0.4), control.up(sandbox_home), len(billed(sandbox_home, app))
    order = bench.order
    given = {"app": app.name, "package": str(app.folder), "key": order.key, "env": running.env, "caller_key": running.caller_key}
    given |= {"sha256": order.inputs.sha256, "size": order.inputs.size}
    arguments = [str(bench.folder), str(sandbox_home), json.dumps(given)]
    child = subprocess.Popen([sys.executable, "-c", KILLED, *arguments], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    with child.stdout as lines:
        assert next(lines)  # its first event: the machine is at work
        os.kill(child.pid, signal.SIGKILL)
    assert child.wait(10) == -signal.SIGKILL
    (request,) = bench.record.requests
    assert request.state == "open"
    assert bench.run(machine) == {"to": 8, "from": 0}
    assert [(one.id, one.state) for one in bench.record.requests] == [(request.id, "done")]
    assert billed(sandbox_home, app, before) == [request.id]


def test_killed_before_the_request_was_written_down_it_is_found_all_the_same(
    machine: FalMachine, app: RemotePackage, make_bench: Callable[..., Bench]
) -> None:
    bench = make_bench(steps=6, seconds=0.4)
    order, record = bench.order, bench.record
    machine.ready(app)
    machine.send(order.inputs, order.archive)
    record.begin(app.name)
    inputs = {"sha256": order.inputs.sha256, "size": order.inputs.size}
    asked = {"job": order.key, "inputs": inputs, "command": list(COMMAND), "seconds": 60.0}
    forgotten = machine.submit(app.name, asked)

    def at_work() -> bool:
        seen = machine.look(app.name, forgotten)
        return seen is not None and bool(seen.lines)

    wait_until(at_work)
    assert bench.run(machine) == {"to": 6, "from": 0}
    first, *_, last = bench.record.requests
    assert (first.state, last.state) == ("submitting", "done")
    assert last.result is not None
    assert last.result["request_id"] == forgotten  # found at work and waited for, or found done
    assert last.id == forgotten or last.seconds == 0.0


def test_a_request_that_the_queue_does_not_know_is_made_again_and_stays_in_the_record(
    machine: FalMachine, app: RemotePackage, make_bench: Callable[..., Bench]
) -> None:
    bench = make_bench(steps=1)
    record = bench.record
    record.begin(app.name)
    record.update(id=str(uuid.uuid4()), state="open")
    assert bench.run(machine) == {"to": 1, "from": 0}
    assert [one.state for one in bench.record.requests] == ["lost", "done"]


def test_a_runner_that_dies_costs_what_came_after_its_last_checkpoint(
    machine: FalMachine, sandbox_home: Path, app: RemotePackage, make_bench: Callable[..., Bench]
) -> None:
    bench, hit = make_bench(steps=8, seconds=0.3), []

    def kill_runner(event: dict[str, Any]) -> None:
        if event["step"] == 3 and not hit:
            command = next(one for one in psutil.process_iter(["cmdline"]) if one.info["cmdline"][1:3] == list(COMMAND))
            hit.append(command)
            command.parent().kill()

    bench.at_event = kill_runner
    counted = bench.run(machine)
    assert counted["from"] >= 3
    (request,) = bench.record.requests  # the platform itself tried again
    assert request.state == "done"
    _, left = psutil.wait_procs([psutil.Process(pid) for pid in psutil.pids() if pid == hit[0].pid], timeout=0)
    assert not [one for one in left if one.status() != psutil.STATUS_ZOMBIE]


def test_a_refusal_of_the_command_passes_on_with_its_code_and_leaves_nothing_there(
    machine: FalMachine, sandbox_home: Path, make_bench: Callable[..., Bench]
) -> None:
    bench = make_bench(steps=1, fail="picture 7 cannot be read: mend it", code=2)
    with pytest.raises(CommandFailed, match=r"^picture 7 cannot be read: mend it$") as failed:
        bench.run(machine)
    assert failed.value.code == 2
    assert [one.state for one in bench.record.requests] == ["failed"]
    assert not left(sandbox_home, bench.order)


def test_a_command_that_is_killed_goes_on_where_it_was(machine: FalMachine, make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(steps=5, kill_at=3)
    with pytest.raises(CommandFailed, match=r"ended with code -9 and said nothing.*run again, it goes on where it was"):
        bench.run(machine)
    assert bench.run(machine) == {"to": 5, "from": 3}


def test_cancelled_the_machine_stops_within_seconds_and_the_next_run_goes_on(
    machine: FalMachine, make_bench: Callable[..., Bench]
) -> None:
    bench = make_bench(steps=40, seconds=0.25)

    def interrupt(event: dict[str, Any]) -> None:
        if event["step"] == 3:
            raise KeyboardInterrupt

    bench.at_event = interrupt
    with pytest.raises(KeyboardInterrupt):
        bench.run(machine, given_up=True)
    (request,) = bench.record.requests
    assert request.state == "cancelled"  # it was seen to end, which is waited for less than ten seconds
    assert all(one.info["cmdline"][1:3] != list(COMMAND) for one in psutil.process_iter(["cmdline"]) if one.info["cmdline"])
    bench.at_event = lambda event: None
    (bench.folder / "plan.json").write_text(json.dumps({"steps": 5}))
    inputs = pack({"plan.json": bench.folder / "plan.json"}, bench.folder / "in.zip")
    bench.order = replace(bench.order, inputs=inputs)
    assert bench.run(machine)["from"] >= 3


def test_not_given_up_the_request_goes_on_without_us(machine: FalMachine, make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(steps=6, seconds=0.3)

    def leave(event: dict[str, Any]) -> None:
        raise SystemExit(143)

    bench.at_event = leave
    with pytest.raises(SystemExit):
        bench.run(machine, given_up=False)
    assert [one.state for one in bench.record.requests] == ["open"]
    bench.at_event = lambda event: None
    assert bench.run(machine) == {"to": 6, "from": 0}


def test_its_time_is_kept_by_the_machine_and_is_not_given_twice(machine: FalMachine, make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(steps=100, seconds=0.2, allowed=2.0)
    with pytest.raises(CommandFailed, match="its time was over"):
        bench.run(machine)
    with pytest.raises(CommandFailed, match="the 2 s that this may take on sandbox are used up") as refused:
        bench.run(machine)
    assert refused.value.code == 2
    assert len(bench.record.requests) == 1


class Meddling(FalMachine):
    """A platform whose files somebody changes before they are fetched."""

    def __init__(self, platform: FalPlatform, home: Path) -> None:
        super().__init__(platform)
        self.data = home / "sandbox" / "data" / "sandbox-owner"

    def fetch(self, path: str, to: Path, *, limit: int) -> tuple[str, int]:
        stored = self.data / path.removeprefix("/data/")
        content = bytearray(stored.read_bytes())
        content[len(content) // 2] ^= 1
        stored.write_bytes(content)
        return super().fetch(path, to, limit=limit)


def test_a_result_that_was_changed_on_the_platform_is_refused_and_made_again(
    platform: FalPlatform, machine: FalMachine, sandbox_home: Path, make_bench: Callable[..., Bench]
) -> None:
    bench = make_bench(steps=1)
    with pytest.raises(Tampered, match="it was changed there and is not used"):
        bench.run(Meddling(platform, sandbox_home))
    assert list((bench.folder / "out").iterdir()) == []
    assert not (bench.folder / "keep.zip").exists()
    assert bench.run(machine) == {"to": 1, "from": 0}
    assert [one.state for one in bench.record.requests] == ["failed", "done"]


def test_inputs_that_did_not_arrive_whole_are_sent_again(
    machine: FalMachine, sandbox_home: Path, app: RemotePackage, make_bench: Callable[..., Bench]
) -> None:
    bench = make_bench(steps=1)
    place = sandbox_home / "sandbox" / "data" / "sandbox-owner" / bench.order.archive.removeprefix("/data/")
    place.parent.mkdir(parents=True)
    place.write_bytes(bytes(bench.order.inputs.size))  # as long as the archive, and not it
    assert bench.run(machine) == {"to": 1, "from": 0}
    assert [one.state for one in bench.record.requests] == ["failed", "done"]


def test_a_result_that_is_gone_is_made_anew_by_the_next_run(
    machine: FalMachine, app: RemotePackage, make_bench: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "ARRIVAL_SECONDS", 0.0)
    monkeypatch.setattr(remote, "LONGEST_PAUSE", 0.2)
    bench = make_bench(steps=1)
    record = bench.record
    record.begin(app.name)
    record.update(id="gone", state="answered", result={"sha256": "0" * 64, "size": 1, "request_id": "gone"})
    with pytest.raises(PlatformError, match="run again, it is made anew"):
        bench.run(machine)
    assert bench.run(machine) == {"to": 1, "from": 0}


def test_the_platform_may_be_away_for_a_while(app: RemotePackage, make_bench: Callable[..., Bench], tmp_path: Path) -> None:
    home, away = tmp_path / "home", []
    running = control.up(home)

    def restart(event: dict[str, Any]) -> None:
        if event["step"] == 2 and not away:
            away.append(control.down(home))
            threading.Timer(0.5, control.up, (home,)).start()

    bench = make_bench(steps=6, seconds=0.3)
    bench.at_event = restart
    try:
        with sandbox_target(running.env, caller_key=running.caller_key, logs=tmp_path / "logs") as platform:
            assert bench.run(FalMachine(platform))["from"] >= 2
    finally:
        control.down(home)
    assert away == [True]
    assert [one.state for one in bench.record.requests] == ["done"]
