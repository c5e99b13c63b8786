"""What passes through the gateway as it comes, and what it lets no one say."""

import json
import os
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from serving.sandbox import control
from serving.sandbox.control import Running
from serving.sandbox.gateway.admission import LARGEST_BODY
from tests.serving.sandbox.deployer import Deployer, client_of, until

STREAM = "/sandbox-owner/streamed/stream"


@pytest.fixture(scope="module")
def app(owner: Deployer) -> str:
    return owner.deploy("streamed", {"version": 1}, auth="SHARED", machine={"max_concurrency": 1, "max_multiplexing": 2})


@pytest.fixture(scope="module")
def caller(sandbox: Running) -> Iterator[httpx.Client]:
    with client_of(sandbox, key=sandbox.caller_key) as client:
        yield client


def row_of(home: Path, request_id: str) -> dict[str, Any]:
    [row] = until(lambda: [row for row in control.ledger(home) if row["request_id"] == request_id])
    return dict(row)


def test_a_stream_arrives_event_by_event(app: str, caller: httpx.Client, home: Path, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    with caller.stream("POST", STREAM, json={"events": 3, "gate": str(gate)}) as stream:
        lines = (line for line in stream.iter_lines() if line)
        first = next(lines)  # while the app waits for the gate
        request_id = stream.headers["x-fal-request-id"]
        assert [row for row in control.ledger(home) if row["request_id"] == request_id] == []
        gate.touch()
        events = [json.loads(line.removeprefix("data: ")) for line in (first, *lines)]
    assert events == [{"number": number} for number in range(3)]
    row = row_of(home, request_id)
    assert (row["status"], row["units"], row["attempts"]) == (200, "3", 1)
    assert row["seconds"] > 0


def test_the_client_of_fal_reads_a_stream(app: str, sandbox: Running, tmp_path: Path) -> None:
    (tmp_path / "gate").touch()
    code = "import fal_client, sys, json; print(json.dumps(list(fal_client.stream(sys.argv[1], json.loads(sys.argv[2])))))"
    arguments = json.dumps({"events": 4, "gate": str(tmp_path / "gate")})
    environment = {**os.environ, **sandbox.env, "FAL_KEY": sandbox.caller_key}
    done = subprocess.run(
        [sys.executable, "-c", code, f"{sandbox.owner}/streamed", arguments],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [{"number": number} for number in range(4)]


def test_a_caller_that_leaves_a_stream_has_cancelled_it(
    app: str, sandbox: Running, caller: httpx.Client, home: Path, tmp_path: Path
) -> None:
    body = {"events": 3, "gate": str(tmp_path / "never")}
    with client_of(sandbox, key=sandbox.caller_key) as leaving, leaving.stream("POST", STREAM, json=body) as stream:
        next(stream.iter_lines())
        request_id = stream.headers["x-fal-request-id"]
    row = row_of(home, request_id)
    assert (row["status"], row["error_type"]) == (499, "client_disconnected")


def test_a_stream_whose_runner_ends_is_cut_off_and_not_billed(
    app: str, owner: Deployer, caller: httpx.Client, home: Path, tmp_path: Path
) -> None:
    pid = owner.call("streamed").json()["pid"]
    with caller.stream("POST", STREAM, json={"events": 3, "gate": str(tmp_path / "never")}) as stream:
        request_id, pieces = stream.headers["x-fal-request-id"], stream.iter_bytes()
        next(pieces)
        psutil.Process(pid).kill()
        with pytest.raises(httpx.RemoteProtocolError):
            next(pieces)
    row = row_of(home, request_id)
    assert (row["status"], row["units"], row["error_type"]) == (502, None, "runner_incomplete_response")


@pytest.mark.parametrize("prefix", ["", "/queue"])
def test_a_long_answer_passes_whole(app: str, caller: httpx.Client, home: Path, tmp_path: Path, prefix: str) -> None:
    gate, size = tmp_path / "gate", 8 << 20
    body = {"bytes": size, "gate": str(gate)}
    if prefix:
        gate.touch()
        ticket = caller.post("/queue/sandbox-owner/streamed/long", json=body).json()
        until(lambda: caller.get(ticket["status_url"]).status_code == 200)
        answer = caller.get(ticket["response_url"]).content
        request_id = ticket["request_id"]
    else:
        with caller.stream("POST", "/sandbox-owner/streamed/long", json=body) as reply:
            assert reply.headers["content-length"] == str(size)
            request_id = reply.headers["x-fal-request-id"]
            pieces = reply.iter_bytes()
            answer = next(pieces)  # the rest waits for the gate
            gate.touch()
            answer += b"".join(pieces)
    assert answer == b"x" * (size // 10) + b"y" * (size - size // 10)
    row = row_of(home, request_id)
    assert (row["status"], row["units"]) == (200, "1")


@pytest.mark.parametrize(("size", "status"), [(15_000, 200), (16_500, 500)])
def test_response_headers_are_limited(app: str, caller: httpx.Client, home: Path, tmp_path: Path, size: int, status: int) -> None:
    body = {"attempts": str(tmp_path / "attempts"), "faults": 0, "headers": {"x-hints": "h" * size}}
    reply = caller.post("/sandbox-owner/streamed/flaky", json=body)
    assert reply.status_code == status
    row = row_of(home, reply.headers["x-fal-request-id"])
    assert (row["status"], row["units"]) == (status, "1" if status == 200 else None)
    if status == 500:
        assert "at most 16384 pass" in reply.json()["detail"]
        assert reply.headers["x-fal-error-type"] == "runner_server_error"


def test_an_app_can_not_speak_for_the_platform(app: str, caller: httpx.Client, tmp_path: Path) -> None:
    forged = {"x-fal-request-id": "mine", "x-fal-error-type": "internal_error", "x-fal-served-from": "nowhere", "x-own": "kept"}
    body = {"attempts": str(tmp_path / "attempts"), "faults": 0, "headers": forged | {"connection": "x-hop", "x-hop": "1"}}
    reply = caller.post("/sandbox-owner/streamed/flaky", json=body)
    assert (reply.status_code, reply.headers["x-own"]) == (200, "kept")
    assert reply.headers["x-fal-request-id"] != "mine"
    assert reply.headers["x-fal-served-from"] != "nowhere"
    assert not {"x-fal-error-type", "x-hop"} & set(reply.headers)


def test_the_owner_is_told_apart_from_callers(app: str, owner: Deployer, caller: httpx.Client) -> None:
    named = owner.call("streamed").json()["headers"]["x-fal-caller-user-id"]
    hashed = caller.post("/sandbox-owner/streamed", json={}).json()["headers"]["x-fal-caller-user-id"]
    assert named == "sandbox|sandbox-owner"
    assert len(hashed) == 32
    assert "caller" not in hashed


def test_what_a_connection_names_stays_on_it(app: str, caller: httpx.Client) -> None:
    heard = caller.post("/sandbox-owner/streamed", json={}, headers={"connection": "keep-alive, x-secret", "x-secret": "1"})
    assert "x-secret" not in heard.json()["headers"]


@pytest.mark.parametrize(
    "place", ["/sandbox-owner/streamed", "/queue/sandbox-owner/streamed", "/queue/sandbox-owner/streamed/requests/x"]
)
def test_a_page_of_another_origin_may_call(app: str, sandbox: Running, caller: httpx.Client, place: str) -> None:
    asking = {"origin": "https://example.org", "access-control-request-method": "POST"}
    with client_of(sandbox, key=None) as page:
        asked = page.options(place, headers=asking | {"access-control-request-headers": "authorization,x-fal-queue-priority"})
        refused = page.post("/sandbox-owner/streamed", json={}, headers={"origin": "https://example.org"})
    assert asked.status_code == 204
    assert asked.headers["access-control-allow-headers"] == "authorization,x-fal-queue-priority"
    assert "PUT" in asked.headers["access-control-allow-methods"]
    reply = caller.post("/sandbox-owner/streamed", json={}, headers={"origin": "https://example.org"})
    for each in (asked, refused, reply):
        assert each.headers.get_list("access-control-allow-origin") == ["*"]
        assert "access-control-allow-credentials" not in each.headers


@pytest.mark.parametrize("prefix", ["", "/queue"])
def test_a_body_that_is_too_large_is_refused_before_it_is_read(app: str, sandbox: Running, home: Path, prefix: str) -> None:
    host, port = sandbox.address.split(":")
    head = (
        f"POST {prefix}/{sandbox.owner}/streamed HTTP/1.1\r\nHost: {sandbox.address}\r\nAuthorization: Key {sandbox.caller_key}\r\n"
        f"Content-Length: {LARGEST_BODY + 1}\r\nConnection: close\r\n\r\n"
    )
    context = ssl.create_default_context(cafile=str(sandbox.ca_file))
    with context.wrap_socket(socket.create_connection((host, int(port)), timeout=10), server_hostname=host) as connection:
        connection.sendall(head.encode())
        answer = connection.recv(1 << 16)
    assert answer.startswith(b"HTTP/1.1 413")
    row = until(lambda: [row for row in control.ledger(home) if row["status"] == 413])[-1]
    assert (row["app"], row["units"], row["queued"]) == ("streamed", None, int(bool(prefix)))
