"""A request on its way: cancelled, refused, tried again, finished by a runner that ends; and what its runner may know."""

import functools
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import isolate_proto as proto
import psutil
import pytest

from serving.sandbox import control
from serving.sandbox.control import Running
from serving.sandbox.gateway.retries import ATTEMPTS
from tests.serving.sandbox.deployer import Deployer, client_of, finish, until


@pytest.fixture(scope="module")
def app(owner: Deployer) -> str:
    """An app that holds four requests at once; its revision."""
    return owner.deploy("held", {"version": 1}, auth="SHARED", machine={"max_multiplexing": 4})


@pytest.fixture(scope="module")
def caller(sandbox: Running) -> Iterator[httpx.Client]:
    with client_of(sandbox, key=sandbox.caller_key) as client:
        yield client


def submitted(caller: httpx.Client, sandbox: Running, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    ticket: dict[str, Any] = caller.post(f"/queue/{sandbox.owner}/held{path}", json=body or {}).json()
    return ticket


def row_of(home: Path, request_id: str) -> dict[str, Any]:
    """The one row of a request in the ledger."""
    (row,) = until(lambda: [row for row in control.ledger(home) if row["request_id"] == request_id])
    return dict(row)


def was_asked(home: Path, name: str, revision: str) -> bool:
    return "asked for long" in log_of(home, name, revision)


def log_of(home: Path, name: str, revision: str) -> str:
    return (home / "sandbox" / "logs" / f"{name}-{revision[:8]}.log").read_text()


def test_a_running_request_is_cancelled_by_the_path_that_fal_uses(
    app: str, caller: httpx.Client, sandbox: Running, home: Path
) -> None:
    ticket = submitted(caller, sandbox, "/endless")
    until(lambda: f"begun {ticket['request_id']}" in log_of(home, "held", app))
    assert caller.put(ticket["cancel_url"]).status_code == 202
    row = row_of(home, ticket["request_id"])
    assert (row["status"], row["units"]) == (499, "0")  # what the app itself answered
    assert caller.get(ticket["response_url"]).status_code == 499


def test_a_cancelled_request_is_not_tried_again(
    owner: Deployer, app: str, caller: httpx.Client, sandbox: Running, home: Path
) -> None:
    ticket = submitted(caller, sandbox, "/endless", {"status": 503})
    until(lambda: f"begun {ticket['request_id']}" in log_of(home, "held", app))
    caller.put(ticket["cancel_url"])
    row = row_of(home, ticket["request_id"])
    assert (row["status"], row["units"]) == (503, "0")
    assert caller.get(ticket["response_url"]).status_code == 499
    assert owner.call("held").status_code == 200
    assert log_of(home, "held", app).count(f"begun {ticket['request_id']}") == 1


def test_what_was_done_and_billed_before_its_cancellation_is_handed_out(
    app: str, caller: httpx.Client, sandbox: Running, home: Path
) -> None:
    ticket = submitted(caller, sandbox, "/endless", {"status": 200})
    until(lambda: f"begun {ticket['request_id']}" in log_of(home, "held", app))
    assert caller.put(ticket["cancel_url"]).status_code == 202
    assert row_of(home, ticket["request_id"])["status"] == 200
    until(lambda: caller.get(ticket["response_url"]).status_code == 200)
    assert "error" not in caller.get(ticket["status_url"]).json()


def test_a_request_can_be_cancelled_between_two_runners(
    owner: Deployer, app: str, caller: httpx.Client, sandbox: Running, home: Path, tmp_path: Path
) -> None:
    first, tries = owner.call("held").json()["pid"], tmp_path / "attempts"
    ticket = submitted(caller, sandbox, "/flaky", {"attempts": str(tries), "faults": 99})
    until(lambda: not psutil.pid_exists(first))
    assert caller.put(ticket["cancel_url"]).status_code == 202
    assert row_of(home, ticket["request_id"])["status"] in (499, 503)
    assert 1 <= len(tries.read_text().splitlines()) < ATTEMPTS


def test_an_app_without_that_path_completes_and_is_billed(app: str, caller: httpx.Client, sandbox: Running, home: Path) -> None:
    ticket = submitted(caller, sandbox, "", {"prompt": "deaf cat", "seconds": 0.5, "images": 1})
    until(lambda: "asked for deaf cat" in log_of(home, "held", app))
    assert caller.put(ticket["cancel_url"]).status_code == 202
    assert caller.get(ticket["status_url"]).json()["status"] == "IN_PROGRESS"
    assert "error" not in finish(caller, ticket)
    row = row_of(home, ticket["request_id"])
    assert (row["status"], row["units"]) == (200, "1")
    assert caller.put(ticket["cancel_url"]).status_code == 400


def test_a_caller_that_leaves_an_app_without_that_path_ends_the_connection(app: str, sandbox: Running, home: Path) -> None:
    with client_of(sandbox, key=sandbox.caller_key) as leaving, pytest.raises(httpx.ReadTimeout):
        leaving.post(f"/{sandbox.owner}/held/deaf", json={}, timeout=httpx.Timeout(10, read=0.5))
    until(lambda: "left" in log_of(home, "held", app))
    (row,) = until(lambda: [row for row in control.ledger(home) if (row["app"], row["path"]) == ("held", "/deaf")])
    assert (row["status"], row["units"], row["error_type"]) == (499, None, "client_disconnected")


def test_a_caller_that_leaves_a_direct_call_has_cancelled_it(app: str, sandbox: Running, home: Path) -> None:
    known = len(control.ledger(home))
    with client_of(sandbox, key=sandbox.caller_key) as leaving, pytest.raises(httpx.ReadTimeout):
        leaving.post(f"/{sandbox.owner}/held/endless", json={}, timeout=httpx.Timeout(10, read=0.5))
    (row,) = until(lambda: control.ledger(home)[known:])
    assert (row["status"], row["units"], row["path"]) == (499, "0", "/endless")


@pytest.mark.parametrize(
    ("prefix", "body", "attempts", "status"),
    [
        ("/queue", {"faults": 2}, 3, 200),
        ("/queue", {"faults": 99, "status": 504}, 10, 504),
        ("/queue", {"faults": 2, "headers": {"x-fal-needs-retry": "0"}}, 1, 503),
        ("/queue", {"faults": 1, "status": 429}, 1, 429),
        ("/queue", {"faults": 1, "status": 429, "headers": {"x-fal-needs-retry": "1"}}, 2, 200),
        ("/queue", {"faults": 1, "status": 500}, 1, 500),
        ("", {"faults": 1}, 1, 503),
    ],
)
def test_the_queue_tries_again_with_the_same_id_and_bills_the_last_reply(
    app: str,
    caller: httpx.Client,
    sandbox: Running,
    home: Path,
    tmp_path: Path,
    prefix: str,
    body: dict[str, Any],
    attempts: int,
    status: int,
) -> None:
    tries = tmp_path / "attempts"
    reply = caller.post(f"{prefix}/{sandbox.owner}/held/flaky", json={"attempts": str(tries), **body})
    request_id = reply.headers["x-fal-request-id"]
    if prefix:
        finish(caller, reply.json())
        reply = caller.get(reply.json()["response_url"])
    assert reply.status_code == status
    made = [line.split() for line in tries.read_text().splitlines()]
    assert [each for each, _ in made] == [request_id] * attempts
    killed = body.get("status", 503) == 503
    assert len({pid for _, pid in made}) == (attempts if killed else 1)
    row = row_of(home, request_id)
    assert (row["status"], row["units"]) == (status, "1" if status == 200 else "0")


def test_an_answer_that_breaks_off_is_a_fault_in_a_direct_call(
    app: str, caller: httpx.Client, sandbox: Running, home: Path, tmp_path: Path
) -> None:
    reply = caller.post(f"/{sandbox.owner}/held/broken", json={"attempts": str(tmp_path / "attempts")})
    assert (reply.status_code, reply.json()["error_type"]) == (502, "runner_incomplete_response")
    row = row_of(home, reply.headers["x-fal-request-id"])
    assert (row["status"], row["units"], row["error_type"]) == (502, None, "runner_incomplete_response")


def test_an_answer_that_breaks_off_is_asked_for_again_by_the_queue(
    app: str, caller: httpx.Client, sandbox: Running, home: Path, tmp_path: Path
) -> None:
    ticket = submitted(caller, sandbox, "/broken", {"attempts": str(tmp_path / "attempts")})
    finish(caller, ticket)
    assert caller.get(ticket["response_url"]).json() == {"half": True}
    row = row_of(home, ticket["request_id"])
    assert (row["status"], row["units"], row["attempts"]) == (200, "1", 2)


def test_a_runner_that_answered_503_is_gone(
    owner: Deployer, app: str, caller: httpx.Client, sandbox: Running, tmp_path: Path
) -> None:
    before = owner.call("held").json()["pid"]
    body = {"attempts": str(tmp_path / "attempts"), "faults": 1}
    assert caller.post(f"/{sandbox.owner}/held/flaky", json=body).status_code == 503
    until(lambda: not psutil.pid_exists(before))
    assert owner.call("held").json()["pid"] != before


@pytest.mark.parametrize(("grace", "seconds", "status"), [(20, 1.0, 200), (1, 30.0, 503)])
def test_a_runner_that_is_told_to_end_finishes_what_it_has_within_its_grace(
    owner: Deployer, home: Path, grace: int, seconds: float, status: int
) -> None:
    name = f"graceful-{grace}"
    revision = owner.deploy(name, {"version": 1}, termination_grace_period_seconds=grace)
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(owner.call, name, {"prompt": "long", "seconds": seconds})
        until(functools.partial(was_asked, home, name, revision))
        owner.deploy(name, {"version": 2}, termination_grace_period_seconds=grace)
        reply = running.result()
    assert reply.status_code == status
    assert owner.call(name).json()["version"] == 2


def test_a_runner_gets_the_secrets_that_it_names_and_no_others(owner: Deployer, sandbox: Running) -> None:
    for name, value in (("LORASMITH_C2PA_KEY", "key-of-the-publisher"), ("OTHER", "nobody's business")):
        owner.rpc("SetSecret", proto.SetSecretRequest(name=name, value=value))
    listed = [secret.name for secret in owner.rpc("ListSecrets", proto.ListSecretsRequest()).secrets]
    assert listed == ["LORASMITH_C2PA_KEY", "OTHER"]
    for names, seen in ((["LORASMITH_C2PA_KEY"], {"LORASMITH_C2PA_KEY"}), ([], set())):
        owner.deploy("secretive", {"version": 1}, secrets=proto.SecretsConfig(names=names))
        environment = owner.call("secretive", path="/environment").json()
        assert {"LORASMITH_C2PA_KEY", "OTHER"} & environment.keys() == seen
    owner.rpc("SetSecret", proto.SetSecretRequest(name="OTHER"))
    assert [secret.name for secret in owner.rpc("ListSecrets", proto.ListSecretsRequest()).secrets] == ["LORASMITH_C2PA_KEY"]
