"""Start, find, stop: the daemon leaves nothing behind and forgets nothing."""

import fcntl
import os
import signal
import socket
import stat
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import psutil
import pytest

from serving.sandbox import control
from serving.sandbox.errors import PortInUse
from serving.sandbox.fleet.records import CUT_SHORT, RunnerRecords, RunnerRow
from serving.sandbox.state import State
from tests.serving.sandbox.deployer import Deployer, client_of, until


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Path]:
    """A home whose sandbox is stopped at the end, with a path longer than a unix socket may have."""
    home = tmp_path / ("deep-" * 20) / "home"
    yield home
    control.down(home)


def processes_of(home: Path) -> list[psutil.Process]:
    """Every process that works in the home, zombies too."""
    found = []
    for process in psutil.process_iter():
        try:
            if str(home) in process.cwd() or any(str(home) in word for word in process.cmdline()):
                found.append(process)
        except psutil.Error:
            continue
    return found


def runners_of(home: Path) -> list[RunnerRow]:
    """Newest first."""
    state = State(home / "sandbox" / "state.db")
    rows = RunnerRecords(state.db).rows()
    state.close()
    return rows


def test_up_is_quick_and_finds_what_runs_already(own: Path) -> None:
    began = time.monotonic()
    first = control.up(own)
    assert time.monotonic() - began < 4
    assert control.up(own) == first == control.status(own)
    assert first.env["FAL_KEY"] == first.owner_key != first.caller_key
    assert b"BEGIN CERTIFICATE" in Path(first.env["SSL_CERT_FILE"]).read_bytes()


def test_down_leaves_no_process_of_daemon_or_runner(own: Path) -> None:
    deployer = Deployer(control.up(own))
    deployer.deploy("app", {"version": 1})
    pid = deployer.call("app").json()["pid"]
    daemon = deployer.running.pid
    deployer.close()
    assert control.down(own) is True
    assert control.down(own) is False
    assert control.status(own) is None
    assert not psutil.pid_exists(pid)
    until(lambda: not psutil.pid_exists(daemon) or psutil.Process(daemon).status() == psutil.STATUS_ZOMBIE)
    assert [p for p in processes_of(own) if p.status() != psutil.STATUS_ZOMBIE] == []
    assert list((own / "sandbox" / "run").glob("[ah]-*")) == []
    for lock in ("daemon.lock", "up.lock"):
        with (own / "sandbox" / lock).open() as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    host, port = deployer.running.address.split(":")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((host, int(port)), timeout=5)
    assert not (own / "sandbox" / "daemon.json").exists()
    assert control.ledger(own)  # what it knows stays


def test_a_restart_keeps_apps_keys_address_and_ledger(own: Path) -> None:
    before = control.up(own)
    deployer = Deployer(before)
    deployer.deploy("kept", {"version": 7})
    deployer.call("kept", {"images": 2})
    deployer.close()
    control.down(own)
    after = control.up(own)
    assert (after.address, after.owner_key, after.caller_key) == (before.address, before.owner_key, before.caller_key)
    again = Deployer(after)
    assert again.call("kept", {"images": 1}).json()["version"] == 7
    again.close()
    assert [row["units"] for row in control.ledger(own)] == ["2", "1"]


def test_after_a_kill_no_runner_is_left_and_up_works_again(own: Path) -> None:
    deployer = Deployer(control.up(own))
    deployer.deploy("orphan", {"version": 1}, machine={"min_concurrency": 1})
    pid = deployer.call("orphan").json()["pid"]
    os.kill(deployer.running.pid, signal.SIGKILL)
    deployer.close()
    until(lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    assert control.status(own) is None
    again = Deployer(control.up(own))
    until(lambda: [row.state for row in runners_of(own)] == ["IDLE", "TERMINATED"])  # one is up again without a request
    assert [row.reason for row in runners_of(own)] == [None, CUT_SHORT]
    assert again.call("orphan").json()["version"] == 1
    again.close()


def test_a_port_in_use_is_one_clear_line(own: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(PortInUse, match=f"^port {port} on 127.0.0.1 is in use") as error:
            control.up(own, port=port)
    assert "\n" not in str(error.value)
    assert control.status(own) is None
    assert control.up(own, port=port).address == f"127.0.0.1:{port}"


def test_nothing_listens_beyond_loopback_and_the_folder_is_private(own: Path) -> None:
    deployer = Deployer(control.up(own))
    deployer.deploy("private", {"version": 1})
    family = [psutil.Process(deployer.running.pid), *psutil.Process(deployer.running.pid).children(recursive=True)]
    listening = [c for p in family for c in p.net_connections("inet") if c.status == psutil.CONN_LISTEN]
    assert len(family) >= 2
    assert listening
    assert {c.laddr.ip for c in listening} == {"127.0.0.1"}
    deployer.close()
    folder = own / "sandbox"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    for name in ("keys.json", "tls/ca-key.pem", "tls/leaf.pem"):
        assert stat.S_IMODE((folder / name).stat().st_mode) == 0o600


def test_shared_mode_can_be_refused_as_for_a_new_account(own: Path) -> None:
    deployer = Deployer(control.up(own, shared_enabled=False))
    with pytest.raises(grpc.RpcError) as failure:
        deployer.deploy("asked", {"version": 1}, auth="SHARED")
    assert failure.value.code() is grpc.StatusCode.PERMISSION_DENIED
    assert "'shared' is not enabled for account 'sandbox-owner'" in failure.value.details()
    deployer.deploy("asked", {"version": 1}, auth="PRIVATE")
    deployer.close()


def test_the_starters_secrets_stay_with_the_starter(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_planted")
    monkeypatch.setenv("FAL_KEY", "real:planted")
    running = control.up(own)
    deployer = Deployer(running)
    deployer.deploy("curious", {"version": 1})
    family = [psutil.Process(running.pid), *psutil.Process(running.pid).children(recursive=True)]
    assert len(family) >= 2
    assert not any("planted" in value for process in family for value in process.environ().values())
    with client_of(running, key="real:planted") as client:
        assert client.get("/users/current").status_code == 401
    deployer.close()
