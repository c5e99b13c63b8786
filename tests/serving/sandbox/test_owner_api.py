"""fal's platform API in the sandbox: shapes, windows, cursors, refusals; asked in this process, and over HTTP of a running one."""

import base64
import itertools
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from serving.sandbox import control
from serving.sandbox.accounts import CALLER, OWNER
from serving.sandbox.control import Running
from serving.sandbox.fleet.agent_process import RunnerLog
from serving.sandbox.gateway.journeys import AtWork
from serving.sandbox.money import books
from serving.sandbox.state import Revision
from tests.serving.sandbox.deployer import Deployer, client_of, finish, until
from tests.serving.sandbox.desk import Desk, entry

APP = f"{OWNER}/app"
API_SCOPE = {"FULL", "API", "DEPLOY", "READONLY", "COMPUTE", "SERVERLESS"}
ADMIN_SCOPE = {"FULL", "BILLING"}
READABLE = [
    ("serverless/requests/by-endpoint", API_SCOPE),
    ("serverless/analytics", API_SCOPE),
    ("serverless/metrics", API_SCOPE),
    ("serverless/apps", API_SCOPE),
    (f"serverless/apps/{APP}/queue", API_SCOPE),
    ("serverless/usage", ADMIN_SCOPE),
    ("account/billing", ADMIN_SCOPE),
    ("models/pricing", API_SCOPE),
    ("models/analytics", API_SCOPE),
    ("models/requests/by-endpoint", API_SCOPE),
    ("models/usage", ADMIN_SCOPE),
    ("models/billing-events", ADMIN_SCOPE),
]


@pytest.fixture
def desk() -> Iterator[Desk]:
    with Desk() as found:
        found.deploy(machine_types=["GPU-H100"])
        yield found


@pytest.mark.parametrize(("path", "presets"), READABLE, ids=[path for path, _ in READABLE])
def test_which_keys_may_read_what(desk: Desk, path: str, presets: set[str]) -> None:
    read = set()
    for preset in ("FULL", "API", "DEPLOY", "READONLY", "BILLING", "COMPUTE", "SERVERLESS", "AGENT"):
        key = ":".join(desk.keyring.issue(OWNER, preset=preset, description=""))
        reply = desk.get(path, key=key, endpoint_id=APP)
        if reply.status_code == 200:
            read.add(preset)
        else:
            assert refused(reply) == (403, "authorization_error")
    assert read == presets
    for key in ("", "no:key", desk.keys[OWNER][:-1]):
        assert refused(desk.ask("GET", path, key=key, params={"endpoint_id": APP})) == (401, "authorization_error")


def test_a_queue_is_emptied_by_keys_that_deploy(desk: Desk) -> None:
    desk.open_requests = [waiting(), waiting(app="other")]
    reader = ":".join(desk.keyring.issue(OWNER, preset="READONLY", description=""))
    path = f"serverless/apps/{APP}/queue"
    assert desk.get(path).json() == {"queue_size": 1}
    assert refused(desk.ask("DELETE", path, key=reader)) == (403, "authorization_error")
    assert desk.ask("DELETE", path, key=desk.keys[OWNER]).status_code == 204
    assert desk.get(path).json() == {"queue_size": 0}
    assert [one.app for one in desk.open_requests] == ["other"]


@pytest.mark.parametrize("path", ["serverless/requests/by-endpoint", "serverless/analytics"])
def test_an_owner_reads_its_own_endpoints_only(desk: Desk, path: str) -> None:
    desk.deploy("theirs", owner=CALLER)
    for endpoint, account, expected in (
        (f"{CALLER}/theirs", OWNER, (403, "authorization_error")),
        (f"{CALLER}/nothing", OWNER, (403, "authorization_error")),  # not even whether it exists
        (f"{APP},{CALLER}/theirs", OWNER, (403, "authorization_error")),
        (APP, CALLER, (403, "authorization_error")),
        (f"{OWNER}/nothing", OWNER, (404, "not_found")),
    ):
        assert refused(desk.get(path, endpoint_id=endpoint, account=account)) == expected
    desk.ledger.record(entry(app="deleted"))
    assert desk.get(path, endpoint_id=f"{OWNER}/deleted").status_code == 200  # its history stays


def test_a_caller_sees_its_own_requests_only(desk: Desk) -> None:
    for caller, number in ((CALLER, "mine"), (OWNER, "yours")):
        desk.ledger.record(entry(caller=caller, request_id=number))
    for path, items in (("models/requests/by-endpoint", "items"), ("models/billing-events", "billing_events")):
        found = desk.get(path, endpoint_id=APP, account=CALLER).json()[items]
        assert [item["request_id"] for item in found] == ["mine"]
    (bucket,) = desk.get("models/analytics", endpoint_id=APP, account=CALLER).json()["time_series"]
    assert bucket["results"] == [{"endpoint_id": APP, "request_count": 1}]


@pytest.mark.parametrize(
    ("path", "asked", "words"),
    [
        ("serverless/requests/by-endpoint", {}, "endpoint_id: give 1 to 50"),
        ("serverless/requests/by-endpoint", {"endpoint_id": [f"a/{n}" for n in range(51)]}, "at most 50"),
        ("serverless/requests/by-endpoint", {"endpoint_id": "app"}, "not of the form owner/app"),
        ("serverless/requests/by-endpoint", {"endpoint_id": APP, "limit": "101"}, "from 1 to 100"),
        ("serverless/requests/by-endpoint", {"endpoint_id": APP, "limit": "0"}, "from 1 to 100"),
        ("serverless/requests/by-endpoint", {"endpoint_id": APP, "limit": "ten"}, "from 1 to 100"),
        ("serverless/requests/by-endpoint", {"endpoint_id": APP, "status": "failed"}, "none of success, user_error, error"),
        ("serverless/requests/by-endpoint", {"endpoint_id": APP, "sort_by": "id"}, "none of ended_at, duration"),
        ("serverless/requests/by-endpoint", {"endpoint_id": APP, "expand": "money"}, "none of payloads, billing"),
        ("models/requests/by-endpoint", {"endpoint_id": APP, "expand": "billing"}, "none of payloads"),
        ("serverless/requests/by-endpoint", {"endpoint_id": APP, "cursor": "Mg=="}, "cursor"),
        ("serverless/requests/by-endpoint", {"endpoint_id": APP, "cursor": "?"}, "cursor"),
        ("serverless/requests/by-endpoint", {"endpoint_id": APP, "cursor": base64.b64encode(b"0_1_1.0_2.0").decode()}, "cursor"),
        ("serverless/requests/by-endpoint", {"endpoint_id": APP, "cursor": base64.b64encode(b"1_1_nan_2.0").decode()}, "cursor"),
        ("serverless/requests/by-endpoint", {"endpoint_id": APP, "start": "yesterday"}, "ISO 8601"),
        ("serverless/requests/by-endpoint", {"endpoint_id": APP, "start": "2026-01-02", "end": "2026-01-01"}, "before end"),
        ("serverless/requests/by-endpoint", {"endpoint_id": APP, "start": "0001-01-01"}, "1970"),
        ("models/billing-events", {"start": "2025-01-01", "end": "2025-06-01"}, "at most 90"),
        ("models/billing-events", {"limit": "10001"}, "from 1 to 10000"),
        ("models/usage", {"timezone": "Mars/Olympus"}, "timezone"),
        ("models/usage", {"timezone": "../../etc/passwd"}, "timezone"),
        ("models/usage", {"timeframe": "year"}, "none of minute, hour"),
        ("models/usage", {"timeframe": "minute", "start": "2025-01-01", "end": "2026-01-01"}, "more than"),
        ("models/usage", {"bound_to_timeframe": "maybe"}, "none of true, false"),
        ("serverless/analytics", {"endpoint_id": APP, "expand": "request_count"}, "time_series or summary"),
        ("serverless/analytics", {"endpoint_id": APP, "expand": "summary"}, "at least one metric"),
        ("serverless/analytics", {"endpoint_id": APP, "expand": "summary,luck"}, "'luck' is none of"),
    ],
)
def test_a_question_that_makes_no_sense_is_refused_in_one_line(desk: Desk, path: str, asked: dict[str, Any], words: str) -> None:
    reply = desk.get(path, **asked)
    assert refused(reply) == (400, "validation_error")
    assert words in reply.json()["error"]["message"]


def test_what_the_sandbox_has_not_is_no_app_called_v1(owner: Deployer, home: Path) -> None:
    known = len(control.ledger(home))
    for reply in (owner.http.get("/v1/workflows"), owner.http.post("/v1/models/pricing"), owner.http.get("/v1/")):
        assert refused(reply) == (404, "not_found")
    assert len(control.ledger(home)) == known


def test_an_account_has_play_money_less_what_it_used(desk: Desk) -> None:
    desk.prices.set(APP, 10**9)
    desk.ledger.record(entry(units="2.5"))
    assert desk.get("account/billing", account=CALLER).json() == {"username": CALLER}
    found = desk.get("account/billing", account=CALLER, expand="credits").json()
    assert found["credits"] == {"current_balance": 97.5, "currency": "USD"}
    desk.ledger.record(entry(units="1000"))
    assert desk.get("account/billing", account=CALLER, expand="credits").json()["credits"]["current_balance"] == 0


def test_apps_and_models_are_listed_for_who_may_know_of_them(desk: Desk) -> None:
    desk.deploy("app--candidate", auth="private")
    desk.deploy("hidden", auth="private")
    desk.state.add_revision(revision())
    apps = desk.get("serverless/apps", expand="endpoints").json()["apps"]
    assert [(app["endpoint_id"], app["machine_type"], app["auth_mode"]) for app in apps] == [
        (APP, "GPU-H100", "shared"),
        (f"{OWNER}/hidden", "S", "private"),
    ]
    assert apps[0]["endpoints"] == [APP, f"{APP}/fast"]
    candidates = desk.get("serverless/apps", environment="candidate", search="CAND").json()["apps"]
    assert [app["name"] for app in candidates] == ["app--candidate"]
    assert desk.get("serverless/apps", account=CALLER).json() == {"apps": []}
    models = desk.ask("GET", "models", key=None, params={"expand": "openapi-3.0"}).json()["models"]  # no key is needed
    assert [(model["endpoint_id"], sorted(model["openapi"]["paths"])) for model in models] == [(APP, ["/", "/fast"])]
    assert [model["endpoint_id"] for model in desk.pages("models", "models", limit=1)] == [
        *(APP, f"{OWNER}/app--candidate", f"{OWNER}/hidden"),
    ]


def test_logs_are_told_newest_first_page_by_page(desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.state.add_revision(revision())
    log = RunnerLog(tmp_path / "log")
    for number in range(5):
        log.add("user", f"line {number}")
        written = time.time() + 2e-6
        until(lambda: time.time() > written)  # noqa: B023  (asked before the next round)
    log.add("agent", "not the app's")
    pools = {"rev": SimpleNamespace(log=log)}
    monkeypatch.setattr(desk.fleet, "_pools", pools)

    def told(filters: Any = None, **asked: Any) -> dict[str, Any]:
        body: dict[str, Any] = desk.post("serverless/logs/history", filters or [], **asked).json()
        return body

    first = told(limit=3)
    rest = told(limit=3, cursor=first["next_cursor"])
    assert [item["message"] for item in first["items"] + rest["items"]] == [f"line {number}" for number in (4, 3, 2, 1, 0)]
    assert (first["has_more"], rest["has_more"], rest["next_cursor"]) == (True, False, None)
    assert {key: first["items"][0][key] for key in ("level", "app", "revision")} == {
        "level": "info",
        "app": "app",
        "revision": "rev",
    }
    assert [item["message"] for item in told(search="NE 3")["items"]] == ["line 3"]
    for asked in ({"level": "error"}, {"run_source": "cron"}, {"app_id": f"{OWNER}/other"}, {"revision": "none"}):
        assert told(**asked)["items"] == []
    assert told([{"key": "app", "value": ["x"], "condition_type": "not_in"}])["items"] == told()["items"]
    assert told([{"key": "app", "value": "x"}])["items"] == []
    assert refused(desk.post("serverless/logs/history", {"key": 1})) == (400, "validation_error")
    assert refused(desk.post("serverless/logs/history", [], request_id="r")) == (400, "validation_error")
    assert desk.post("serverless/logs/history", [], account=CALLER).json()["items"] == []
    log.close()


def test_a_running_sandbox_bills_callers_and_tells_the_owner(owner: Deployer, sandbox: Running, home: Path) -> None:
    """Twelve requests over three prices by two ways; every sum over HTTP is that of the ledger."""
    caller, endpoint = client_of(sandbox, key=sandbox.caller_key), f"{sandbox.owner}/sold"
    owner.deploy("sold", {"version": 1}, auth="SHARED", machine={"machine_types": ["GPU-H100"]})
    prices = [None, "0.03", "0.05"]
    for price in prices:
        if price is not None:
            books.set_price(home, "sold", price)
        direct = [caller.post(f"/{endpoint}", json=body).status_code for body in ({"images": 2}, {"images": 0, "status": 422}, {})]
        assert direct == [200, 422, 200]
        finish(caller, caller.post(f"/queue/{endpoint}", json={"images": 1}).json())
    events = listed(caller, "models/billing-events", "billing_events", limit=5, endpoint_id=endpoint)
    assert len(events) == 12
    by_unit = [event for event in events if event["unit_price"] in (0.03, 0.05)]
    assert sorted((event["unit_price"], event["output_units"], event["cost_estimate_nano_usd"]) for event in by_unit) == [
        *((0.03, 0.0, 0), (0.03, 1.0, 30_000_000), (0.03, 2.0, 60_000_000)),
        *((0.05, 0.0, 0), (0.05, 1.0, 50_000_000), (0.05, 2.0, 100_000_000)),
    ]
    by_second = [event for event in events if event["unit_price"] == 0.000525]
    assert len(by_second) == 6
    items = listed(owner.http, "serverless/requests/by-endpoint", "items", limit=5, endpoint_id=endpoint, expand="billing")
    assert {item["request_id"] for item in items} == {event["request_id"] for event in events}
    (usage,) = [line for line in ask(caller, "models/usage", expand="summary")["summary"] if line["unit_price"] == 0.05]
    assert (usage["endpoint_id"], usage["quantity"], usage["cost_total"]) == (endpoint, 3, 0.15)
    earned = [line for line in books.revenue(home) if line.app == "sold"]
    assert sum(line.gross_nano for line in earned) == sum(event["cost_estimate_nano_usd"] for event in events)
    caller.close()


def test_a_request_that_was_tried_again_is_one_event(owner: Deployer, sandbox: Running, tmp_path: Path) -> None:
    caller, endpoint = client_of(sandbox, key=sandbox.caller_key), f"{sandbox.owner}/stumbling"
    owner.deploy("stumbling", {"version": 1}, auth="SHARED", machine={"machine_types": ["GPU-H100"]})
    ticket = caller.post(f"/queue/{endpoint}/flaky", json={"attempts": str(tmp_path / "attempts"), "faults": 1}).json()
    finish(caller, ticket)
    assert len((tmp_path / "attempts").read_text().splitlines()) == 2
    (event,) = ask(caller, "models/billing-events", request_id=ticket["request_id"])["billing_events"]
    assert (event["endpoint_id"], event["unit_price"]) == (f"{endpoint}/flaky", 0.000525)
    (item,) = ask(owner.http, "serverless/requests/by-endpoint", endpoint_id=endpoint, expand="billing")["items"]
    assert (item["request_id"], item["status_code"], item["billable_units"]) == (ticket["request_id"], 200, 1)
    assert 0 < event["output_units"] < item["duration"]  # seconds of the attempt that was answered
    caller.close()


def test_a_running_sandbox_tells_machine_seconds_metrics_and_logs(owner: Deployer, sandbox: Running) -> None:
    caller, endpoint = client_of(sandbox, key=sandbox.caller_key), f"{sandbox.owner}/seen"
    owner.deploy("seen", {"version": 1}, machine={"machine_types": ["GPU-H200"]})
    request_id = owner.call("seen", {"prompt": "a red fox", "images": 1}).headers["x-fal-request-id"]
    assert refused(caller.get("/v1/serverless/requests/by-endpoint", params={"endpoint_id": endpoint})) == (
        403,
        "authorization_error",
    )
    (item,) = ask(owner.http, "serverless/requests/by-endpoint", request_id=request_id, endpoint_id=endpoint, expand="billing")[
        "items"
    ]
    assert (item["status_code"], item["billable_units"]) == (200, 1)
    first, later = (machine_seconds(owner.http) for _ in range(2))
    assert 0 < first["quantity"] <= later["quantity"]
    assert (first["machine_type"], first["unit_price"], first["environment"]) == ("GPU-H200", 0.00125, "main")
    assert Decimal(str(first["cost_total"])) == pytest.approx(
        Decimal(str(first["quantity"])) * Decimal("0.00125"), abs=Decimal("1e-9")
    )
    metrics = owner.http.get("/v1/serverless/metrics").text
    assert f'fal_app_runners{{application="{endpoint}",machine_type="GPU-H200",state="idle"}} 1.0' in metrics
    assert f'fal_app_requests_completed{{application="{endpoint}",method="POST",status="200"}} 1.0' in metrics
    lines = owner.http.post("/v1/serverless/logs/history", params={"app_id": endpoint, "search": "red fox"}, json=[]).json()
    assert len(lines["items"]) == 1
    assert sandbox.owner_key not in lines["items"][0]["message"]
    assert ask(owner.http, f"serverless/apps/{endpoint}/queue") == {"queue_size": 0}
    assert caller.get("/v1/models/pricing", params={"endpoint_id": endpoint}).status_code == 404  # private
    caller.close()


def refused(reply: httpx.Response) -> tuple[int, str]:
    """Status and type of a refusal, whose body has fal's form."""
    body = reply.json()
    assert set(body) == {"error"}
    assert set(body["error"]) == {"type", "message", "request_id"}
    assert "\n" not in body["error"]["message"]
    return reply.status_code, body["error"]["type"]


def ask(client: httpx.Client, path: str, **parameters: Any) -> dict[str, Any]:
    body: dict[str, Any] = client.get(f"/v1/{path}", params=parameters).raise_for_status().json()
    return body


def listed(client: httpx.Client, path: str, items: str, **parameters: Any) -> list[dict[str, Any]]:
    """All pages; at most twenty."""
    found: list[dict[str, Any]] = []
    cursor: dict[str, str] = {}
    for _ in itertools.repeat(None, 20):
        body = ask(client, path, **parameters, **cursor)
        found += body[items]
        if not body["has_more"]:
            return found
        cursor = {"cursor": body["next_cursor"]}
    raise AssertionError("the list does not end")


def machine_seconds(client: httpx.Client) -> dict[str, Any]:
    (line,) = ask(client, "serverless/usage", app="seen", expand="summary")["summary"]
    found: dict[str, Any] = line
    return found


def waiting(app: str = "app") -> AtWork:
    return AtWork(
        request_id="r",
        owner=OWNER,
        app=app,
        path="/",
        caller=CALLER,
        queued=True,
        created_at=time.time(),
        state="IN_QUEUE",
        runner=None,
    )


def revision() -> Revision:
    """That of the desk's app, with an OpenAPI of two routes."""
    return Revision(
        id="rev",
        owner=OWNER,
        alias="app",
        environment="main",
        entrypoint="m:C",
        files=(),
        settings={},
        health=None,
        metadata={"openapi": {"paths": {"/": {}, "/fast": {}}}},
    )
