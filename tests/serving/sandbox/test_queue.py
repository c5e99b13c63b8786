"""The queue: what it says of a request, what outlives the daemon, what it tries again, who goes first, and that no row is lost."""

import contextlib
import functools
import json
import os
import signal
import uuid
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import isolate_proto as proto
import psutil
import pytest

from serving.sandbox import control
from serving.sandbox.control import Running
from tests.serving.sandbox.deployer import Deployer, client_of, finish, until

ONE = {"max_concurrency": 1}


@pytest.fixture(scope="module")
def app(owner: Deployer) -> str:
    """An app with one place; its revision."""
    return owner.deploy("lined", {"version": 1}, auth="SHARED", machine=ONE)


@pytest.fixture(scope="module")
def caller(sandbox: Running) -> Iterator[httpx.Client]:
    with client_of(sandbox, key=sandbox.caller_key) as client:
        yield client


def submit(client: httpx.Client, name: str, path: str = "", body: Any = None, **kwargs: Any) -> dict[str, Any]:
    reply = client.post(f"/queue/sandbox-owner/{name}{path}", json=body or {}, **kwargs)
    assert reply.status_code == 200, reply.text
    return dict(reply.json())


def rows_of(home: Path, *request_ids: str) -> list[dict[str, Any]]:
    """The ledger's rows of these requests, in the order in which they ended."""
    return [row for row in control.ledger(home) if row["request_id"] in request_ids]


def test_the_status_tells_what_clients_read(app: str, caller: httpx.Client, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    running = submit(caller, "lined", "/long", {"bytes": 100, "gate": str(gate)})
    first, second = submit(caller, "lined"), submit(caller, "lined")
    assert [ticket["queue_position"] for ticket in (first, second)] == [0, 1]
    until(lambda: caller.get(running["status_url"]).json()["status"] == "IN_PROGRESS")
    reply = caller.get(second["status_url"], params={"logs": 1})
    said = reply.json()
    assert reply.status_code == 202
    assert (said["status"], said["queue_position"], said["logs"]) == ("IN_QUEUE", 1, [])
    assert {name: said[name] for name in ("response_url", "status_url", "cancel_url")}.items() <= second.items()
    gate.touch()
    done = finish(caller, second)
    assert (done["status"], done["logs"]) == ("COMPLETED", None)
    assert done["metrics"]["inference_time"] > 0
    assert "error" not in done


def test_the_status_comes_as_a_stream_too(app: str, caller: httpx.Client) -> None:
    ticket = submit(caller, "lined", body={"prompt": "streamed cat", "seconds": 0.3})
    with caller.stream("GET", ticket["status_url"] + "/stream", params={"logs": 1}) as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        events = [json.loads(line[6:]) for line in stream.iter_lines() if line.startswith("data: ")]
    states = [event["status"] for event in events]
    assert states == sorted(states, key=["IN_QUEUE", "IN_PROGRESS", "COMPLETED"].index)
    assert states[-1] == "COMPLETED"
    assert "asked for streamed cat" in " ".join(line["message"] for line in events[-1]["logs"])


@pytest.mark.parametrize("form", ["/requests/{}", "/requests/{}/", "/requests/{}/response", "/some/route/requests/{}"])
def test_a_result_is_found_by_each_form_of_its_address(app: str, caller: httpx.Client, form: str) -> None:
    ticket = submit(caller, "lined", body={"images": 1})
    finish(caller, ticket)
    found = caller.get("/queue/sandbox-owner/lined" + form.format(ticket["request_id"]))
    assert (found.status_code, found.headers["x-fal-billable-units"]) == (200, "1")
    assert found.headers["x-fal-request-id"] == ticket["request_id"]


def test_to_others_a_request_does_not_exist(app: str, owner: Deployer, caller: httpx.Client) -> None:
    ticket = submit(caller, "lined")
    finish(caller, ticket)
    place, unknown = "/queue/sandbox-owner/lined/requests/", str(uuid.uuid4())
    elsewhere = ticket["status_url"].replace("/lined/", "/held/")
    for reply in (
        caller.get(place + unknown),
        caller.get(elsewhere),
        owner.http.get(ticket["response_url"]),
        owner.http.put(ticket["cancel_url"]),
        owner.http.get(ticket["status_url"] + "/stream"),
    ):
        assert (reply.status_code, reply.json()["status"]) == (404, "NOT_FOUND")


def test_low_priority_waits_behind_all_others(app: str, caller: httpx.Client, home: Path, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    running = submit(caller, "lined", "/long", {"bytes": 100, "gate": str(gate)})
    low = submit(caller, "lined", headers={"x-fal-queue-priority": "low"})
    normal = submit(caller, "lined", headers={"x-fal-queue-priority": "normal"})
    assert caller.get(low["status_url"]).json()["queue_position"] == 1
    gate.touch()
    finish(caller, low)
    ids = [ticket["request_id"] for ticket in (running, normal, low)]
    assert [row["request_id"] for row in rows_of(home, *ids)] == ids
    assert caller.post("/queue/sandbox-owner/lined", json={}, headers={"x-fal-queue-priority": "high"}).status_code == 400


@pytest.mark.parametrize("prefix", ["", "/queue"])
def test_a_request_that_does_not_begin_in_time_ends(
    app: str, caller: httpx.Client, home: Path, tmp_path: Path, prefix: str
) -> None:
    gate = tmp_path / "gate"
    running = submit(caller, "lined", "/long", {"bytes": 100, "gate": str(gate)})
    until(lambda: caller.get(running["status_url"]).json()["status"] == "IN_PROGRESS")
    late = caller.post(f"{prefix}/sandbox-owner/lined", json={"images": 1}, headers={"x-fal-request-timeout": "0.3"})
    if prefix:
        assert finish(caller, late.json())["error_type"] == "request_timeout"
        late = caller.get(late.json()["response_url"])
    assert (late.status_code, late.headers["x-fal-request-timeout-type"]) == (504, "user")
    [row] = rows_of(home, late.headers["x-fal-request-id"])
    assert (row["status"], row["units"], row["runner"], row["attempts"]) == (504, None, None, 0)
    gate.touch()
    finish(caller, running)


def test_an_app_sets_the_time_for_its_owner_alone(owner: Deployer, caller: httpx.Client, tmp_path: Path) -> None:
    owner.deploy("prompt", {"version": 1}, auth="SHARED", machine={"max_concurrency": 1, "request_start_timeout": 1})
    gate = tmp_path / "gate"
    running = submit(caller, "prompt", "/long", {"bytes": 100, "gate": str(gate)})
    until(lambda: caller.get(running["status_url"]).json()["status"] == "IN_PROGRESS")
    theirs, own = submit(caller, "prompt"), submit(owner.http, "prompt")
    assert finish(owner.http, own)["error_type"] == "request_timeout"
    assert caller.get(theirs["status_url"]).json()["status"] == "IN_QUEUE"
    gate.touch()
    assert "error" not in finish(caller, theirs)


@pytest.mark.parametrize("value", ["soon", "0.1", "-1", "nan", "inf", ""])
def test_a_start_timeout_that_is_none_is_refused(app: str, caller: httpx.Client, value: str) -> None:
    reply = caller.post("/queue/sandbox-owner/lined", json={}, headers={"x-fal-request-timeout": value})
    assert (reply.status_code, reply.json()["error_type"]) == (400, "bad_request")


def test_a_queue_that_is_too_long_is_not_joined(app: str, caller: httpx.Client, home: Path, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    tickets = [submit(caller, "lined", "/long", {"bytes": 100, "gate": str(gate)}) for _ in range(3)]
    until(lambda: caller.get(tickets[0]["status_url"]).json()["status"] == "IN_PROGRESS")
    tickets.append(submit(caller, "lined", params={"fal_max_queue_length": 2}))
    turned = caller.post("/queue/sandbox-owner/lined", params={"fal_max_queue_length": 2}, json={})
    assert turned.status_code == 429
    assert [row["status"] for row in rows_of(home, turned.headers["x-fal-request-id"])] == [429]
    gate.touch()
    for ticket in tickets:
        finish(caller, ticket)


@pytest.mark.parametrize(
    ("settings", "headers", "by", "attempts"),
    [
        ({}, {"x-fal-no-retry": "1"}, "caller", 1),
        ({"retry_config": json.dumps({"server_error": {"retries": 2}})}, {}, "caller", 3),
        ({"retry_config": json.dumps({"server_error": {"retries": 2}})}, {"x-fal-no-retry": "yes"}, "caller", 1),
        ({"skip_retry_conditions": ["SERVER_ERROR"]}, {}, "caller", 1),
        ({}, {"x-fal-retry-config": json.dumps({"server_error": {"retries": 1}})}, "owner", 2),
        ({}, {"x-fal-retry-config": json.dumps({"server_error": {"retries": 1}})}, "caller", 10),
    ],
)
def test_app_and_caller_bound_the_retries(
    owner: Deployer,
    caller: httpx.Client,
    home: Path,
    tmp_path: Path,
    settings: dict[str, Any],
    headers: dict[str, str],
    by: str,
    attempts: int,
) -> None:
    owner.deploy("bounded", {"version": 1}, auth="SHARED", **settings)
    tries = tmp_path / "attempts"
    client = owner.http if by == "owner" else caller
    ticket = submit(client, "bounded", "/flaky", {"attempts": str(tries), "faults": 99, "status": 504}, headers=headers)
    finish(client, ticket)
    assert len(tries.read_text().splitlines()) == attempts
    assert [row["attempts"] for row in rows_of(home, ticket["request_id"])] == [attempts]


@pytest.mark.parametrize(("status", "said", "lives"), [(503, "0", True), (200, "true", False), (503, "1", False)])
def test_an_app_says_whether_its_runner_ends(
    owner: Deployer, app: str, caller: httpx.Client, tmp_path: Path, status: int, said: str, lives: bool
) -> None:
    before = owner.call("lined").json()["pid"]
    headers = {"x-fal-stop-runner": said, "x-fal-needs-retry": "0"}
    body = {"attempts": str(tmp_path / "attempts"), "faults": 99, "status": status, "headers": headers}
    reply = caller.post("/sandbox-owner/lined/flaky", json=body)
    assert reply.status_code == status
    assert "x-fal-stop-runner" not in reply.headers
    assert ("x-fal-needs-retry" in reply.headers) == (status == 503)
    assert (owner.call("lined").json()["pid"] == before) is lives


def test_a_request_that_takes_too_long_ends_its_runner(owner: Deployer, caller: httpx.Client, home: Path) -> None:
    retries = json.dumps({"timeout": {"retries": 0}})
    owner.deploy("slow", {"version": 1}, auth="SHARED", machine={"request_timeout": 1}, retry_config=retries)
    before = owner.call("slow").json()["pid"]
    ticket = submit(caller, "slow", "/deaf")
    done = finish(caller, ticket)
    assert (done["error"], done["error_type"]) == ("The request took longer than the app's request_timeout.", "request_timeout")
    assert caller.get(ticket["response_url"]).status_code == 504
    [row] = rows_of(home, ticket["request_id"])
    assert (row["status"], row["units"], row["attempts"]) == (504, None, 1)
    until(lambda: not psutil.pid_exists(before))


def test_a_runner_that_does_not_start_fails_direct_calls_and_the_queue_waits(
    owner: Deployer, sandbox: Running, home: Path, tmp_path: Path
) -> None:
    fault_file = tmp_path / "fault"
    owner.deploy("unready", {"version": 1, "fault_file": str(fault_file)})
    fault_file.touch()
    [runner] = runners_of(sandbox, "unready")
    runner.kill()
    runner.wait(10)
    direct = owner.call("unready", {"images": 1})
    assert (direct.status_code, direct.json()["error_type"]) == (503, "runner_scheduling_failure")
    assert "the disk is full" in direct.json()["detail"]
    ticket = submit(owner.http, "unready", body={"images": 1})
    fault_file.unlink()
    assert "error" not in finish(owner.http, ticket)
    rows = rows_of(home, direct.headers["x-fal-request-id"], ticket["request_id"])
    assert [(row["status"], row["units"], row["attempts"]) for row in rows] == [(503, None, 0), (200, "1", 1)]


def test_a_runner_that_takes_too_long_to_start_is_told_apart(owner: Deployer) -> None:
    owner.deploy("sickly", {"version": 1, "sick": True}, machine={"startup_timeout": 1}, strategy=proto.RECREATE)
    reply = owner.call("sickly")
    assert (reply.status_code, reply.headers["x-fal-error-type"]) == (504, "startup_timeout")


@pytest.mark.parametrize("how", ["down", "kill"])
def test_a_restart_carries_on_what_was_submitted(tmp_path: Path, how: str) -> None:
    home, gate = tmp_path / "home", tmp_path / "gate"
    running = control.up(home)
    deployer = Deployer(running)
    deployer.deploy("durable", {"version": 1}, machine=ONE)
    done = submit(deployer.http, "durable", body={"images": 3, "prompt": "early"})
    finish(deployer.http, done)
    begun = submit(deployer.http, "durable", "/long", {"bytes": 100, "gate": str(gate)})
    waiting = [submit(deployer.http, "durable", body={"images": count}) for count in (1, 2)]
    dropped = submit(deployer.http, "durable", "/long", {"bytes": 100, "gate": str(gate)})
    deployer.http.put(dropped["cancel_url"])
    until(lambda: deployer.http.get(begun["status_url"]).json()["status"] == "IN_PROGRESS")
    deployer.close()
    if how == "kill":
        os.kill(running.pid, signal.SIGKILL)
        until(lambda: not psutil.pid_exists(running.pid) or psutil.Process(running.pid).status() == psutil.STATUS_ZOMBIE)
    else:
        control.down(home)
    gate.touch()
    again = control.up(home)
    try:
        with client_of(again, key=again.owner_key) as client:
            for ticket in (begun, *waiting):
                assert "error" not in finish(client, ticket)
            assert client.get(begun["response_url"]).content == b"x" * 10 + b"y" * 90
            early = client.get(done["status_url"], params={"logs": "true"}).json()
            assert "asked for early" in " ".join(line["message"] for line in early["logs"])
            assert client.get(dropped["response_url"]).status_code == 499
        rows = [(row["request_id"], row["units"], row["attempts"]) for row in control.ledger(home)]
        assert sorted(rows) == sorted(
            [
                (done["request_id"], "3", 1),
                (begun["request_id"], "1", 2),  # the daemon's end was that of its runner
                (waiting[0]["request_id"], "1", 1),
                (waiting[1]["request_id"], "2", 1),
                (dropped["request_id"], None, 0),
            ]
        )
    finally:
        control.down(home)


def test_runners_that_are_killed_lose_no_request_and_bill_none_twice(
    owner: Deployer, sandbox: Running, caller: httpx.Client, home: Path
) -> None:
    owner.deploy("killed", {"version": 1}, auth="SHARED", machine={"max_multiplexing": 2, "max_concurrency": 2})
    tickets = [submit(caller, "killed", body={"images": 1 + number % 3, "seconds": 0.1}) for number in range(40)]
    ids = [ticket["request_id"] for ticket in tickets]
    for done in (6, 14, 22):
        until(functools.partial(has_rows, home, ids, done))
        runners_of(sandbox, "killed")[0].kill()
    for ticket in tickets:
        assert "error" not in finish(caller, ticket)
    rows = rows_of(home, *ids)
    assert Counter(row["request_id"] for row in rows) == Counter(ids)
    images = {ticket["request_id"]: str(1 + number % 3) for number, ticket in enumerate(tickets)}
    assert {row["request_id"]: row["units"] for row in rows} == images
    assert {row["status"] for row in rows} == {200}
    assert max(row["attempts"] for row in rows) > 1


def has_rows(home: Path, ids: list[str], count: int) -> bool:
    return len(rows_of(home, *ids)) >= count


def runners_of(sandbox: Running, app: str) -> list[psutil.Process]:
    """The processes that serve an app, oldest first."""
    found = []
    for process in psutil.Process(sandbox.pid).children():
        with contextlib.suppress(psutil.Error):
            if process.environ().get("FAL_APP_NAME") == app:
                found.append(process)
    return sorted(found, key=lambda process: process.create_time())
