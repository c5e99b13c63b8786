"""Lists of the platform API: which requests a question is about, in which buckets, with which fields."""

import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from serving.sandbox.accounts import CALLER, OWNER
from serving.sandbox.fleet.records import RunnerRow
from tests.serving.sandbox.desk import Desk, entry

APP = f"{OWNER}/app"


@pytest.fixture
def desk() -> Iterator[Desk]:
    with Desk() as found:
        found.deploy(machine_types=["GPU-H100"])
        yield found


def test_a_request_has_the_documented_fields(desk: Desk) -> None:
    ended, name = time.time() - 60, str(uuid.uuid4())
    times = {"created_at": ended - 8, "wait_seconds": 3.0, "seconds": 5.0, "ended_at": ended}
    desk.ledger.record(entry(request_id=name, path="/fast", units="1.50000000", **times))
    body = desk.get("serverless/requests/by-endpoint", endpoint_id=APP, expand="billing").json()
    (item,) = body["items"]
    assert (body["next_cursor"], body["has_more"]) == (None, False)
    moments = [datetime.fromisoformat(item.pop(name)).timestamp() for name in ("sent_at", "started_at", "ended_at")]
    assert moments == pytest.approx([ended - 8, ended - 5, ended], abs=2e-3)
    assert item == {
        "request_id": name,
        "endpoint_id": f"{APP}/fast",
        "status_code": 200,
        "duration": pytest.approx(8.0, abs=1e-3),
        "runner_id": "runner",
        "billable_units": 1.5,
    }
    (bare,) = desk.get("serverless/requests/by-endpoint", endpoint_id=APP).json()["items"]
    assert "billable_units" not in bare


def test_an_app_stands_for_its_routes_and_a_route_for_itself(desk: Desk) -> None:
    for path in ("/", "/fast", "/fast/er", "/faster"):
        desk.ledger.record(entry(path=path, request_id=path))
    for name in ("app-2", "app2", "apple"):
        desk.deploy(name)
        desk.ledger.record(entry(app=name, request_id="another app"))
    for endpoint, expected in ((APP, {"/", "/fast", "/fast/er", "/faster"}), (f"{APP}/fast", {"/fast"}), (f"{APP}/f", set())):
        items = desk.get("serverless/requests/by-endpoint", endpoint_id=endpoint).json()["items"]
        assert {item["request_id"] for item in items} == expected
    several = [f"{APP}/fast", f"{OWNER}/app-2"]
    for asked in (several, ",".join(several)):
        items = desk.get("serverless/requests/by-endpoint", endpoint_id=asked).json()["items"]
        assert {item["request_id"] for item in items} == {"/fast", "another app"}


def test_requests_are_those_of_a_day_of_a_status_or_the_one(desk: Desk) -> None:
    now, one = time.time(), str(uuid.uuid4())
    for ago, fields in (
        (10, {}),
        (3600, {"status": 422}),
        (7200, {"status": 503}),
        (36 * 3600, {}),
        (3 * 86400, {"request_id": one}),
    ):
        desk.ledger.record(entry(ended_at=now - ago, created_at=now - ago, **{"request_id": str(ago), **fields}))

    def found(**asked: str) -> list[str]:
        return [
            item["request_id"] for item in desk.get("serverless/requests/by-endpoint", endpoint_id=APP, **asked).json()["items"]
        ]

    assert found() == ["10", "3600", "7200"]
    assert [found(status=kind) for kind in ("success", "user_error", "error")] == [["10"], ["3600"], ["7200"]]
    assert found(request_id=one) == [one]  # looks back 90 days
    assert found(start=stamp(now - 4 * 86400)) == ["10", "3600", "7200", str(36 * 3600), one]
    assert found(start=stamp(now - 8000), end=stamp(now - 3600)) == ["7200"]  # the end is exclusive
    day = datetime.fromtimestamp(now - 3 * 86400, UTC).date()
    assert found(start=day.isoformat(), end=(day + timedelta(days=1)).isoformat()) == [one]


def test_buckets_are_those_of_the_time_zone(desk: Desk) -> None:
    for hour in (3, 6):
        desk.ledger.record(entry(ended_at=datetime(2026, 1, 15, hour, 30, tzinfo=UTC).timestamp()))
    asked = {"endpoint_id": APP, "start": "2026-01-14", "end": "2026-01-16", "timeframe": "day"}
    whole = desk.get("serverless/analytics", **asked).json()["time_series"]
    assert [bucket["bucket"] for bucket in whole] == ["2026-01-15T00:00:00+00:00"]
    split = desk.get("serverless/analytics", **asked, timezone="America/New_York").json()["time_series"]
    assert [bucket["bucket"] for bucket in split] == ["2026-01-14T00:00:00-05:00", "2026-01-15T00:00:00-05:00"]


def test_a_date_is_the_midnight_of_the_time_zone(desk: Desk) -> None:
    desk.ledger.record(entry(ended_at=datetime(2026, 1, 15, 3, tzinfo=UTC).timestamp()))
    asked = {"start": "2026-01-15", "end": "2026-01-16", "bound_to_timeframe": "false", "account": CALLER}
    assert len(desk.get("models/usage", **asked).json()["time_series"]) == 1
    assert desk.get("models/usage", **asked, timezone="America/New_York").json()["time_series"] == []


def test_a_runner_that_lives_costs_what_it_lived_though_the_bucket_is_not_over(desk: Desk) -> None:
    began = time.time() - 30
    desk.fleet.records.began(runner("alive", began))
    (line,) = desk.get("serverless/usage", timeframe="month", expand="summary").json()["summary"]
    assert 30 <= line["quantity"] <= time.time() - began


def test_what_ends_as_a_bucket_begins_belongs_to_it(desk: Desk) -> None:
    for minute in (0, 59):
        desk.ledger.record(entry(ended_at=datetime(2026, 1, 15, 3, minute, tzinfo=UTC).timestamp()))
    asked = {"endpoint_id": APP, "start": "2026-01-15", "end": "2026-01-16", "timeframe": "hour"}
    (bucket,) = desk.get("serverless/analytics", **asked).json()["time_series"]
    assert (bucket["bucket"], bucket["results"][0]["request_count"]) == ("2026-01-15T03:00:00+00:00", 2)


def test_a_series_has_pages_of_buckets(desk: Desk) -> None:
    for hour in (3, 5, 6):
        desk.ledger.record(entry(ended_at=datetime(2026, 1, 15, hour, tzinfo=UTC).timestamp()))
    asked = {"endpoint_id": APP, "start": "2026-01-15", "end": "2026-01-16", "timeframe": "hour"}
    whole = desk.get("serverless/analytics", **asked).json()["time_series"]
    assert len(whole) == 3
    for limit in (1, 2, 3):
        assert desk.pages("serverless/analytics", "time_series", **asked, limit=limit) == whole


def test_a_span_is_widened_to_whole_buckets_unless_told_otherwise(desk: Desk) -> None:
    desk.ledger.record(entry(ended_at=datetime(2026, 1, 15, 3, tzinfo=UTC).timestamp()))
    asked = {"endpoint_id": APP, "start": "2026-01-15T06:00:00Z", "end": "2026-01-15T09:00:00Z", "timeframe": "day"}
    assert len(desk.get("serverless/analytics", **asked).json()["time_series"]) == 1
    assert desk.get("serverless/analytics", **asked, bound_to_timeframe="false").json()["time_series"] == []


def test_analytics_tell_kinds_of_faults_waits_and_cold_starts(desk: Desk) -> None:
    now = time.time()
    desk.fleet.records.began(runner("cold", now - 50))
    desk.fleet.records.entered("cold", "IDLE", at=now - 38)
    for status, error, fields in (
        (200, None, {"runner": "cold", "created_at": now - 49, "wait_seconds": 11.0, "seconds": 2.0}),
        (200, None, {"runner": "cold", "created_at": now - 20, "wait_seconds": 1.0, "seconds": 4.0}),
        (422, None, {"wait_seconds": 1.0, "seconds": 6.0}),
        (503, "runner_scheduling_failure", {"runner": None}),
        (503, "runner_disconnected", {"seconds": 8.0}),
        (504, "request_timeout", {"seconds": 10.0}),
        (500, None, {"seconds": 0.0}),
    ):
        desk.ledger.record(entry(status=status, error_type=error, **fields))
    asked = [*("summary", "request_count", "success_count", "user_error_count", "error_count", "startup_error_count")]
    asked += ["connection_error_count", "timeout_error_count", "runtime_error_count", "cold_boot_count", "p50_cold_boot_duration"]
    asked += ["p50_duration", "p99_prepare_duration", "total_billable_duration"]
    (line,) = desk.get("serverless/analytics", endpoint_id=APP, expand=asked).json()["summary"]
    assert [line[name] for name in asked[1:9]] == [7, 2, 1, 4, 1, 1, 1, 1]
    assert (line["cold_boot_count"], line["p50_cold_boot_duration"]) == (1, pytest.approx(12.0, abs=1e-3))
    assert (line["p50_duration"], line["total_billable_duration"]) == (5.0, 12.0)
    assert set(line) == {"endpoint_id", *asked[1:]}


def test_events_tell_the_price_of_each_request_and_null_where_it_is_not_known(desk: Desk) -> None:
    desk.prices.set(APP, 25_000_000)
    desk.ledger.record(entry(request_id="priced", units="1.5"))
    desk.ledger.record(entry(request_id="free", units="0", status=422))
    desk.ledger.record(entry(request_id="unknown", units=None, machine_type="S"))
    desk.ledger.record(entry(request_id="failed", status=500))
    desk.ledger.record(entry(request_id="refused", status=404, runner=None, units=None))
    desk.ledger.record(entry(request_id="private", auth_mode="private"))
    events = {event["request_id"]: event for event in desk.get("models/billing-events", account=CALLER).json()["billing_events"]}
    assert list(events) == ["unknown", "free", "priced"]
    assert events["priced"] | {"timestamp": ""} == {
        "request_id": "priced",
        "endpoint_id": APP,
        "timestamp": "",
        "output_units": 1.5,
        "unit_price": 0.025,
        "percent_discount": None,
        "cost_subtotal": 0.0375,
        "cost_discount": 0,
        "cost_total": 0.0375,
        "cost_estimate_nano_usd": 37_500_000,
    }
    assert (events["free"]["output_units"], events["free"]["cost_estimate_nano_usd"]) == (0, 0)
    assert (events["unknown"]["unit_price"], events["unknown"]["cost_total"]) == (None, None)
    wanted = desk.get("models/billing-events", account=CALLER, request_id="priced,free").json()["billing_events"]
    assert [event["request_id"] for event in wanted] == ["free", "priced"]


def stamp(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat()


def runner(name: str, began: float) -> RunnerRow:
    """A runner of the desk's app as it begins."""
    return RunnerRow(
        id=name,
        revision="rev",
        owner=OWNER,
        app="app",
        environment="main",
        machine_type="S",
        started_at=began,
        ready_at=None,
        ended_at=None,
        reason=None,
        state="SETUP",
    )
