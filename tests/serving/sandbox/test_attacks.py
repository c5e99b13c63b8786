"""What an attacker, a careless caller or a full disk may try: each was possible once."""

import asyncio
import contextlib
import fcntl
import json
import os
import resource
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import grpc
import isolate_proto as proto
import psutil
import pytest
import uvicorn
from starlette.responses import PlainTextResponse
from uvicorn.server import ServerState

from serving.sandbox import control, mux
from serving.sandbox.control import Running
from serving.sandbox.errors import SandboxError, StartFailed
from serving.sandbox.fleet import agent_process
from serving.sandbox.fleet.agent_process import RunnerLog, proto_options
from serving.sandbox.gateway.replies import Refused, Reply
from serving.sandbox.gateway.retries import budgets_of
from serving.sandbox.gateway.webhooks import receiver_of, webhook_body
from serving.sandbox.server import LOCK_FILE
from tests.serving.sandbox.deployer import Deployer, client_of, finish, until
from tests.serving.sandbox.receiver import receiving
from tests.serving.sandbox.test_webhooks import CALLER, DONE, made, run, settled

DEEP = b"[" * 100_000


@pytest.fixture(scope="module")
def raw(sandbox: Running, owner: Deployer) -> str:
    """The name of an app whose answers are written byte by byte."""
    owner.deploy("raw", {"version": 1}, machine={"max_concurrency": 1})
    return "raw"


def key_of(owner: Deployer, preset: str) -> str:
    made_key = owner.rpc("CreateUserKey", proto.CreateUserKeyRequest(policy_preset=preset, alias=preset))
    return f"{made_key.key_id}:{made_key.key_secret}"


@contextlib.contextmanager
def born_with(**environment: str) -> Iterator["subprocess.Popen[bytes]"]:
    """A process as a runner would start it, in a session of its own; what tells whose it is is its environment."""
    command = [sys.executable, "-c", "input()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, env={**os.environ, **environment}, start_new_session=True) as child:
        until(lambda: all(value.encode() in Path(f"/proc/{child.pid}/environ").read_bytes() for value in environment.values()))
        yield child
        child.kill()


@pytest.mark.parametrize("preset", ["READONLY", "COMPUTE", "DEPLOY", "SERVERLESS", "API", "BILLING"])
def test_a_key_with_few_rights_does_not_become_one_with_all_behind_the_pages(
    sandbox: Running, owner: Deployer, raw: str, preset: str
) -> None:
    with client_of(sandbox, key=key_of(owner, preset)) as client:
        for nickname in ("sandbox-owner", "sandbox-caller"):
            assert client.post(f"/sandbox/as/{nickname}/queue/{sandbox.owner}/{raw}", json={}).status_code == 401
        assert client.get("/sandbox/overview.json").status_code == 401


def test_a_runner_is_not_lost_because_its_agent_counts_pings() -> None:
    """The agent's server ends a connection that pings more than once in five minutes, and with it the app that it serves."""
    assert sorted(name for name, _ in proto_options()) == ["grpc.max_receive_message_length", "grpc.max_send_message_length"]


def test_a_message_without_a_key_is_not_read(sandbox: Running) -> None:
    roots = Path(sandbox.env["GRPC_DEFAULT_SSL_ROOTS_FILE_PATH"]).read_bytes()
    daemon = psutil.Process(sandbox.pid)
    before = daemon.memory_info().rss
    channel = grpc.secure_channel(sandbox.address, grpc.ssl_channel_credentials(roots))
    message = proto.SetSecretRequest(name="x", value="a" * 100_000_000)
    with channel, pytest.raises(grpc.RpcError) as refusal:
        proto.IsolateControllerStub(channel).SetSecret(message)
    assert refusal.value.code() is grpc.StatusCode.UNAUTHENTICATED
    assert daemon.memory_info().rss - before < 50_000_000


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"null", DEEP, b"\xff\xfe", b'{"hashes": 5, "url": 5, "destination": 5}'],
    ids=lambda body: repr(body[:8]),
)
@pytest.mark.parametrize(
    "place", ["/files/missing_hashes", "/files/file/url//data/x", "/files/rename//data/x", "/v1/models/pricing/estimate"]
)
def test_a_body_of_another_form_is_refused_in_a_line(owner: Deployer, place: str, body: bytes) -> None:
    reply = owner.http.post(place, content=body)
    assert reply.status_code in (400, 404, 422)
    assert "detail" in reply.json() or "error" in reply.json()


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("../x", "inside the app's folder"),
        ("/etc/x", "inside the app's folder"),
        ("a\0b", "or none"),
        ("x" * 300, "longer than 200 bytes"),
        ("plain_app.py/x", "can not be laid out: File exists"),
    ],
)
def test_app_files_that_no_folder_takes_are_refused_in_a_line(owner: Deployer, home: Path, path: str, told: str) -> None:
    before = set((home / "sandbox").glob("stages/*"))
    uploaded = owner.upload({"plain_app.py": b"", path: b""})
    named = {"application_name": "odd", "entrypoint": "plain_app:Plain.run_local", "deployment_strategy": proto.ROLLING}
    request = proto.RegisterApplicationRequest(files=uploaded, **named)
    with pytest.raises(grpc.RpcError, match=told):
        list(owner.stub.RegisterApplication(request, metadata=owner.metadata))
    assert set((home / "sandbox").glob("stages/*")) == before


def test_a_name_that_no_file_can_have_is_refused(owner: Deployer) -> None:
    with pytest.raises(grpc.RpcError, match="at most 200 pass"):
        owner.deploy("x" * 201, {"version": 1})


@pytest.mark.parametrize("content_type", ["text/html\r\nX-Evil: 1", "text/html; a=☃", "no type", ""])
def test_what_no_header_can_say_is_no_type_of_a_file(owner: Deployer, content_type: str) -> None:
    initiated = owner.http.post("/storage/upload/initiate", json={"file_name": "a.html", "content_type": content_type}).json()
    owner.http.put(initiated["upload_url"], content=b"x").raise_for_status()
    assert owner.http.get(initiated["file_url"]).headers["content-type"] == "application/octet-stream"


@pytest.mark.parametrize("path", ["a" * 300, "a/" * 100 + "a"])
def test_names_that_no_disk_takes_are_refused(owner: Deployer, path: str) -> None:
    assert owner.http.get(f"/files/file//data/{path}").status_code == 400


@pytest.mark.parametrize("longest", ["²", "9" * 5000, "-1", "x"])
def test_a_queue_length_that_is_no_number_bounds_nothing(owner: Deployer, raw: str, longest: str) -> None:
    reply = owner.http.post(f"/queue/{owner.running.owner}/{raw}", params={"fal_max_queue_length": longest}, json={})
    assert reply.status_code == 200
    finish(owner.http, reply.json())


def test_a_retry_configuration_that_is_too_deep_is_passed_over() -> None:
    assert budgets_of(DEEP.decode()) == {}


@pytest.mark.parametrize("port", ["99999", "0"])
def test_a_webhook_to_a_port_that_can_not_be_is_refused(port: str) -> None:
    with pytest.raises(Refused, match="not an http"):
        receiver_of(f"http://127.0.0.1:{port}/")


def test_an_address_that_can_not_be_reached_at_all_delays_no_other_webhook(tmp_path: Path) -> None:
    with contextlib.closing(sqlite3.connect(":memory:", isolation_level=None)) as db, receiving() as receiver:
        db.row_factory = sqlite3.Row
        webhooks = made(db, tmp_path)
        webhooks.add("http://127.0.0.1:99999/", request_id="bad", caller=CALLER, reply=DONE)

        async def deliver() -> None:
            await settled(webhooks, "bad")
            webhooks.add(receiver.url, request_id="good", caller=CALLER, reply=DONE)
            await settled(webhooks, "good")

        run(webhooks, deliver)
        assert [webhooks.of(name)[0].state for name in ("bad", "good")] == ["failed", "delivered"]


@pytest.mark.parametrize("body", [DEEP, b"1e999", b"NaN", b"\xff"], ids=["deep", "infinite", "nan", "no text"])
def test_a_webhook_body_is_json_whatever_the_app_answered(body: bytes) -> None:
    sent = json.loads(webhook_body("id", Reply(status=200, headers=(), body=body)))
    assert sent["payload"] is None
    assert "is not JSON" in sent["payload_error"]


def test_a_request_ends_once_the_disk_takes_its_result_again(tmp_path: Path) -> None:
    running = control.up(tmp_path)
    try:
        deployer = Deployer(running)
        deployer.deploy("patient", {"version": 1})
        url = f"/queue/{running.owner}/patient"
        ticket = deployer.http.post(url, json={"seconds": 0.3, "prompt": "x" * 20_000, "images": 1}).json()
        until(lambda: deployer.http.get(ticket["status_url"]).json()["status"] == "IN_PROGRESS")
        log = tmp_path / "sandbox" / "logs" / "sandbox.log"
        unlimited = resource.prlimit(running.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(running.pid, resource.RLIMIT_FSIZE, (log.stat().st_size + 2000, unlimited[1]))
        until(lambda: "can not be written down yet" in log.read_text())
        resource.prlimit(running.pid, resource.RLIMIT_FSIZE, unlimited)
        assert finish(deployer.http, ticket)["status"] == "COMPLETED"
        deployer.close()
    finally:
        control.down(tmp_path)
    assert [row["units"] for row in control.ledger(tmp_path)] == ["1"]


def test_a_child_in_a_session_of_its_own_ends_with_its_runner(owner: Deployer, raw: str) -> None:
    owner.call(raw)
    runner = next(info for info in owner.rpc("ListRunners", proto.ListRunnersRequest()).runners if info.alias == raw)
    with born_with(FAL_JOB_ID=runner.runner_id) as child, born_with(FAL_JOB_ID="another") as other:
        owner.rpc("KillRunner", proto.KillRunnerRequest(runner_id=runner.runner_id))
        assert child.wait(10) == -signal.SIGKILL
        assert other.poll() is None


def test_children_of_a_sandbox_that_was_killed_end_when_it_starts_again(tmp_path: Path) -> None:
    with born_with(LORASMITH_DATA=f"{tmp_path}/sandbox/data/somebody") as child, born_with(LORASMITH_DATA="/data") as other:
        control.up(tmp_path)
        control.down(tmp_path)
        assert child.wait(10) == -signal.SIGKILL
        assert other.poll() is None


def test_an_exception_of_the_entry_point_is_the_reason(tmp_path: Path) -> None:
    log = RunnerLog(tmp_path / "app.log")
    assert log.reason() == "it wrote nothing"
    log.add("agent", "Completed the execution of the function function with an error: No module named 'nope'")
    log.add("agent", "Sending the result.")
    log.close()
    assert log.reason() == "No module named 'nope'"


def test_a_log_has_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agent_process, "LARGEST_LOG", 1000)
    log = RunnerLog(tmp_path / "app.log")
    for number in range(1000):
        log.add("user", f"line {number}")
    log.close()
    assert (tmp_path / "app.log").stat().st_size < 1200
    assert log.tail(1) == ["line 999"]


def test_whoever_looks_at_the_lock_does_not_keep_the_sandbox_from_starting(tmp_path: Path) -> None:
    lock = tmp_path / "sandbox" / LOCK_FILE
    lock.parent.mkdir()
    with lock.open("w") as looking:
        fcntl.flock(looking, fcntl.LOCK_SH)
        later = threading.Timer(0.7, fcntl.flock, (looking, fcntl.LOCK_UN))
        later.start()
        assert control.up(tmp_path).pid
        later.join()
    control.down(tmp_path)


def test_a_folder_that_somebody_else_put_there_is_not_used(tmp_path: Path) -> None:
    (tmp_path / "victim").mkdir(mode=0o755)
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "sandbox").symlink_to(tmp_path / "victim")
    with pytest.raises(StartFailed, match="is a link"):
        control.up(tmp_path / "home")
    assert (tmp_path / "victim").stat().st_mode & 0o777 == 0o755
    assert not list((tmp_path / "victim").iterdir())


@pytest.mark.parametrize(
    ("name", "told"), [("keys.json", "keys.json is damaged"), ("state.db", "state.db: file is not a database")]
)
def test_a_damaged_file_is_named(tmp_path: Path, name: str, told: str) -> None:
    (tmp_path / "sandbox").mkdir()
    (tmp_path / "sandbox" / name).write_bytes(b"{" * 2000)
    with pytest.raises(SandboxError, match=told):
        control.up(tmp_path)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"pid": 1}'])
def test_a_damaged_note_of_the_daemon_is_none(tmp_path: Path, content: str) -> None:
    (tmp_path / "sandbox").mkdir()
    (tmp_path / "sandbox" / "daemon.json").write_text(content)
    assert control.status(tmp_path) is None
    assert not control.down(tmp_path)


def test_whoever_has_no_key_can_not_fill_the_ledger_with_what_is_not_there(
    sandbox: Running, owner: Deployer, raw: str, home: Path
) -> None:
    before = len(control.ledger(home))
    with client_of(sandbox, key=None) as client:
        assert client.post("/nobody/nothing").status_code == 401
        assert client.post("/queue/nobody/nothing", headers={"authorization": "Key a:b"}).status_code == 401
        assert len(control.ledger(home)) == before
        assert client.post(f"/{sandbox.owner}/{raw}/{'x' * 9000}").status_code == 401
    rows = control.ledger(home)
    assert [(row["app"], len(row["path"])) for row in rows[before:]] == [(raw, 500)]


@pytest.mark.parametrize("first", [b"", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"], ids=["at once", "after a request"])
def test_a_client_that_does_not_say_what_it_wants_is_not_waited_for(monkeypatch: pytest.MonkeyPatch, first: bytes) -> None:
    monkeypatch.setattr(mux, "HEAD_SECONDS", 0.1)
    config = uvicorn.Config(PlainTextResponse("here"), lifespan="off", ws="none", log_level="warning", timeout_keep_alive=60)
    config.load()

    async def ask_slowly() -> bytes:
        loop = asyncio.get_running_loop()
        async with await loop.create_server(lambda: mux.Prompt(config, ServerState(), {}), "127.0.0.1") as server:
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            writer.write(first + b"GET / HT")
            async with asyncio.timeout(10):
                said = await reader.read()
            writer.close()
            return said

    assert asyncio.run(ask_slowly()).endswith(b"here" if first else b"")
