"""The gateway: who is let in, what an app is told, what is written down."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from serving.sandbox import control
from serving.sandbox.control import Running
from tests.serving.sandbox.deployer import Deployer, client_of, finish, until

UNKNOWN = "sandbox-0000000000000000:" + "0" * 48


@pytest.fixture(scope="module")
def apps(owner: Deployer) -> Deployer:
    """One app a mode."""
    for mode in ("private", "shared", "public"):
        owner.deploy(mode, {"version": 1}, auth=mode.upper(), machine={"max_multiplexing": 2, "max_concurrency": 1})
    return owner


@pytest.fixture(scope="module")
def caller(sandbox: Running) -> Iterator[httpx.Client]:
    with client_of(sandbox, key=sandbox.caller_key) as client:
        yield client


@pytest.mark.parametrize(
    ("mode", "who", "status"),
    [
        ("private", "owner", 200),
        ("private", "caller", 403),
        ("private", "nobody", 401),
        ("private", "unknown key", 401),
        ("shared", "owner", 200),
        ("shared", "caller", 200),
        ("shared", "nobody", 401),
        ("shared", "unknown key", 401),
        ("public", "nobody", 200),
        ("public", "unknown key", 401),
        ("absent", "caller", 404),
    ],
)
@pytest.mark.parametrize("prefix", ["", "/queue"])
def test_who_may_call(apps: Deployer, sandbox: Running, home: Path, mode: str, who: str, status: int, prefix: str) -> None:
    keys = {"owner": sandbox.owner_key, "caller": sandbox.caller_key, "nobody": None, "unknown key": UNKNOWN}
    with client_of(sandbox, key=keys[who]) as client:
        reply = client.post(f"{prefix}/{sandbox.owner}/{mode}", json={"images": 1})
    assert reply.status_code == status
    request_id = reply.headers["x-fal-request-id"]
    [row] = until(lambda: [row for row in control.ledger(home) if row["request_id"] == request_id])
    assert (row["app"], row["status"]) == (mode, status)
    if status == 200:
        assert (row["units"], row["caller"]) == ("1", {"owner": sandbox.owner, "caller": "sandbox-caller", "nobody": None}[who])
    else:
        assert (row["units"], row["caller"], row["revision"]) == (None, "sandbox-caller" if who == "caller" else None, None)
        assert reply.json()["error_type"] == reply.headers["x-fal-error-type"]


@pytest.mark.parametrize("header", ["Bearer x", "Key", "Key no-colon", "Key :", "Basic YTpi"])
def test_a_header_that_is_no_key_is_refused(apps: Deployer, sandbox: Running, header: str) -> None:
    with client_of(sandbox, key=None) as client:
        assert client.post(f"/{sandbox.owner}/public", json={}, headers={"Authorization": header}).status_code == 401


def test_an_app_hears_of_its_caller_from_the_platform_alone(apps: Deployer, sandbox: Running, caller: httpx.Client) -> None:
    forged = {"x-fal-caller-user-id": "somebody", "X-Fal-Request-Id": "mine", "x-fal-anything": "1", "x-app-fal-own": "kept"}
    reply = caller.post(f"/{sandbox.owner}/shared/", params={"a": "b c"}, json={}, headers=forged)
    heard = reply.json()["headers"]
    told = {name for name in heard if name.startswith("x-fal-")}
    assert told == {"x-fal-request-id", "x-fal-caller-user-id", "x-fal-endpoint"}
    assert heard["x-fal-request-id"] == reply.headers["x-fal-request-id"] != "mine"
    assert heard["x-fal-caller-user-id"] not in ("somebody", "sandbox-caller")
    assert heard["x-app-fal-own"] == "kept"
    assert "authorization" not in heard
    assert reply.json()["query"] == "a=b+c"


@pytest.mark.parametrize(("body", "units"), [({"images": 3}, "3"), ({"images": 0, "status": 422}, "0"), ({}, None)])
def test_units_pass_and_are_written_down_as_the_app_said_them(
    apps: Deployer, sandbox: Running, caller: httpx.Client, home: Path, body: dict[str, Any], units: str | None
) -> None:
    reply = caller.post(f"/{sandbox.owner}/shared", json=body)
    assert reply.headers.get("x-fal-billable-units") == units
    row = next(row for row in control.ledger(home) if row["request_id"] == reply.headers["x-fal-request-id"])
    assert (row["units"], row["status"], row["environment"], row["path"]) == (units, body.get("status", 200), "main", "/")
    assert row["seconds"] > 0
    assert row["revision"]


@pytest.mark.parametrize("path", ["%F0%9F%90%88", "a%00b", "%ff", "a%23b%3Fc"])
def test_a_path_of_any_letters_reaches_the_app_and_the_ledger(
    apps: Deployer, sandbox: Running, caller: httpx.Client, home: Path, path: str
) -> None:
    reply = caller.post(f"/{sandbox.owner}/shared/{path}", json={})
    assert reply.status_code == 404  # the app's own
    (row,) = [row for row in control.ledger(home) if row["request_id"] == reply.headers["x-fal-request-id"]]
    assert (row["status"], row["units"]) == (404, None)


def test_a_request_goes_through_the_queue(apps: Deployer, sandbox: Running, caller: httpx.Client, home: Path) -> None:
    submitted = caller.post(f"/queue/{sandbox.owner}/shared", json={"prompt": "slow cat", "seconds": 0.5, "images": 2}).json()
    request_id, status_url = submitted["request_id"], submitted["status_url"]
    running = until(lambda: (reply := caller.get(status_url)).json()["status"] == "IN_PROGRESS" and reply)
    assert running.status_code == 202
    assert running.json()["logs"] is None
    assert caller.get(submitted["response_url"]).status_code == 400
    done = until(lambda: (reply := caller.get(status_url, params={"logs": "true"})).status_code == 200 and reply).json()
    assert done["status"] == "COMPLETED"
    assert [line["message"] for line in done["logs"] if "asked for" in line["message"]] == ["asked for slow cat ********:********"]
    result = caller.get(submitted["response_url"])
    assert (result.status_code, result.headers["x-fal-billable-units"], result.json()["version"]) == (200, "2", 1)
    assert [row["units"] for row in control.ledger(home) if row["request_id"] == request_id] == ["2"]


def test_only_who_submitted_a_request_hears_of_it(apps: Deployer, sandbox: Running, caller: httpx.Client) -> None:
    submitted = caller.post(f"/queue/{sandbox.owner}/shared", json={}).json()
    assert apps.http.get(submitted["status_url"]).status_code == 404
    with client_of(sandbox, key=None) as nobody:
        assert nobody.get(submitted["status_url"]).status_code == 401


def test_a_queued_request_can_be_cancelled_and_reaches_no_app(apps: Deployer, sandbox: Running, caller: httpx.Client) -> None:
    busy = [caller.post(f"/queue/{sandbox.owner}/shared", json={"seconds": 0.6}).json() for _ in range(2)]
    waiting = caller.post(f"/queue/{sandbox.owner}/shared", json={}).json()
    status = caller.get(waiting["status_url"]).json()
    assert status["status"] == "IN_QUEUE"
    assert caller.put(waiting["cancel_url"]).status_code == 202
    assert caller.get(waiting["status_url"]).json()["error_type"] == "client_cancelled"
    assert caller.get(waiting["response_url"]).status_code == 499
    assert caller.put(waiting["cancel_url"]).status_code == 400
    for ticket in busy:
        finish(caller, ticket)


def test_multiplexing_bounds_what_runs_at_once(apps: Deployer, sandbox: Running, caller: httpx.Client) -> None:
    tickets = [caller.post(f"/queue/{sandbox.owner}/shared", json={"seconds": 0.4}).json() for _ in range(5)]
    for ticket in tickets:
        finish(caller, ticket)
    assert max(caller.get(ticket["response_url"]).json()["together"] for ticket in tickets) == 2


def test_a_stored_file_is_put_once_with_its_address_and_read_by_anybody(sandbox: Running, caller: httpx.Client) -> None:
    wanted = {"file_name": "../cat.png", "content_type": "image/png"}
    made = caller.post("/storage/upload/initiate", params={"storage_type": "fal-cdn-v3"}, json=wanted).json()
    with client_of(sandbox, key=None) as nobody:
        assert nobody.put(made["upload_url"] + "x", content=b"no").status_code == 403
        assert nobody.put(made["upload_url"], content=b"png").status_code == 200
        assert nobody.put(made["upload_url"], content=b"again").status_code == 403
        read = nobody.get(made["file_url"])
        assert nobody.post("/storage/upload/initiate", json=wanted).status_code == 401
    assert (read.content, read.headers["content-type"]) == (b"png", "image/png")
    assert made["file_url"].endswith("/.._cat.png")


def test_who_am_i(sandbox: Running, caller: httpx.Client) -> None:
    assert caller.get("/users/current").json()["nickname"] == "sandbox-caller"
    with client_of(sandbox, key=None) as nobody:
        assert nobody.get("/users/current").status_code == 401


def test_every_page_says_that_it_is_a_sandbox(apps: Deployer, sandbox: Running, caller: httpx.Client) -> None:
    for path in ("/", f"/models/{sandbox.owner}/shared"):
        page = caller.get(path)
        assert page.headers["content-type"].startswith("text/html")
        assert "This is a lorasmith sandbox" in page.text
    assert caller.get("/sandbox.json").json()["sandbox"] is True
    assert "private" not in caller.get(f"/models/{sandbox.owner}/private").text  # it tells nobody which apps there are
    assert caller.get(f"/openapi/{sandbox.owner}/private.json").status_code == 404


def test_no_key_is_written_to_a_log(apps: Deployer, sandbox: Running, home: Path) -> None:
    apps.call("private", {"prompt": "a"})
    secrets = [key.split(":")[1] for key in (sandbox.owner_key, sandbox.caller_key)]

    def texts() -> list[str]:
        return [path.read_text() for path in (home / "sandbox" / "logs").iterdir()]

    until(lambda: any("asked for a ********:********" in text for text in texts()))  # a runner's output arrives beside its reply
    assert not any(secret in text for text in texts() for secret in secrets)
