"""The ledger: what a request costs whom, that sums agree whichever way they are told, and that nothing changes afterwards."""

import time
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.sandbox.accounts import CALLER, OWNER
from serving.sandbox.fleet.records import RunnerRow
from serving.sandbox.money.billing import ZERO, Served, bill, said_units
from serving.sandbox.money.ledger import Entry, Ledger
from serving.sandbox.money.overview import revenue
from serving.sandbox.money.prices import Price
from serving.sandbox.money.reports import covered, working
from serving.sandbox.money.selection import Selection
from serving.sandbox.money.windows import TIMEFRAMES, Span, Timeframe
from serving.sandbox.state import Revision, State
from tests.serving.sandbox.desk import Desk, entry

PRICE = Price(endpoint="o/a", unit="image", nano=25_000_000, set_at=0.0)
RATE = 525_000
ZONES = ("UTC", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "Africa/Cairo")
quickly = settings(max_examples=40, deadline=None)

entries = st.builds(
    entry,
    request_id=st.uuids().map(str),
    app=st.sampled_from(["app", "other"]),
    environment=st.sampled_from(["main", "candidate"]),
    path=st.sampled_from(["/", "/fast", "/fast/er"]),
    caller=st.sampled_from([OWNER, CALLER]),
    status=st.sampled_from([200, 201, 400, 422, 499, 500, 503]),
    units=st.sampled_from([None, "0", "1", "3", "0.50000000", "0.000000000001", "7e-3", "many", "-1", "NaN", "1e999999"]),
    seconds=st.floats(0, 500).map(lambda number: round(number, 6)),
    runner=st.sampled_from([None, "r1", "r2"]),
    machine_type=st.sampled_from(["GPU-H100", "GPU-B200", "S"]),
    auth_mode=st.sampled_from(["shared", "private", "public"]),
    created_at=st.floats(time.time() - 80_000, time.time() - 60_000),
    ended_at=st.floats(time.time() - 60_000, time.time() - 1_000),
)


def served(**fields: Any) -> Served:
    return Served(
        **{"status": 200, "units": "2", "seconds": 4.0, "ran": True, "auth_mode": "shared", "caller": "c"} | fields  # type: ignore[arg-type]
    )


@pytest.mark.parametrize(
    ("what", "price", "rate", "expected"),
    [
        ({}, PRICE, RATE, ("c", "image", "2", 50_000_000)),
        ({"units": "0.50000000"}, PRICE, RATE, ("c", "image", "0.5", 12_500_000)),
        ({"units": None}, PRICE, RATE, ("c", "second", "4", 2_100_000)),  # no header: by the machine's second
        ({"units": "junk"}, PRICE, RATE, ("c", "second", "4", 2_100_000)),
        ({}, None, RATE, ("c", "second", "4", 2_100_000)),  # no price for what the header counts
        ({"units": None}, PRICE, None, ("c", "second", "4", None)),  # a machine whose rate is not known
        ({"units": "0"}, None, None, ("c", "second", "0", 0)),
        ({"status": 422, "units": "0"}, PRICE, RATE, ("c", "image", "0", 0)),
        ({"status": 422, "units": "3"}, PRICE, RATE, ("c", "image", "3", 75_000_000)),
        ({"status": 422, "units": None}, PRICE, RATE, ("c", "second", "4", 2_100_000)),
        ({"status": 500}, PRICE, RATE, ("c", "image", "0", 0)),
        ({"status": 503, "units": None}, PRICE, RATE, ("c", "second", "0", 0)),
        ({"status": 499, "units": None}, PRICE, RATE, ("c", "second", "0", 0)),
        ({"status": 499, "units": "1"}, PRICE, RATE, ("c", "image", "1", 25_000_000)),
        ({"ran": False, "units": None}, PRICE, RATE, ("c", "second", "0", 0)),
        ({"auth_mode": "private"}, PRICE, RATE, (None, "image", "2", 0)),
        ({"auth_mode": "public", "caller": None, "units": None}, None, None, (None, "second", "4", 0)),
    ],
)
def test_who_pays_how_much(what: dict[str, Any], price: Price | None, rate: int | None, expected: tuple[Any, ...]) -> None:
    found = bill(served(**what), price, rate)
    assert (found.payer, found.unit, f"{found.quantity.normalize():f}", found.cost_nano) == expected


@pytest.mark.parametrize(
    ("text", "number"),
    [("3", "3"), (" 0.50000000 ", "0.5"), ("1e-05", "0.00001"), ("1E+3", "1000"), ("0", "0"), ("-0", "0"), ("1e-30", "0")]
    + [(text, None) for text in (None, "", "x", "-1", "inf", "NaN", "sNaN", "1e13", "1e999999", "0x10", "1,5")],
)
def test_units_are_exact_decimals_or_nothing(text: str | None, number: str | None) -> None:
    found = said_units(text)
    assert found == (None if number is None else Decimal(number))
    assert found is None or not found.is_signed()


@quickly
@given(st.lists(entries, max_size=25))
def test_a_row_costs_its_quantity_times_its_price_and_what_is_free_costs_nothing(found: list[Entry]) -> None:
    with Desk() as desk:
        desk.prices.set(f"{OWNER}/app", 33_333_333)
        for one in found:
            desk.ledger.record(one)
        for one, row in zip(found, desk.ledger.rows(), strict=True):
            assert {name: row[name] for name in ("request_id", "units", "status", "caller")} == {
                "request_id": one.request_id,
                "units": one.units,
                "status": one.status,
                "caller": one.caller,
            }
            assert row["payer"] == (one.caller if one.auth_mode == "shared" else None)
            if one.status >= 500 or one.runner is None or row["payer"] is None:
                assert row["cost_nano"] == 0
            if row["cost_nano"] is None:
                assert (row["unit"], one.machine_type) == ("second", "S")
            else:
                assert abs(Decimal(row["quantity"]) * (row["unit_price_nano"] or 0) - row["cost_nano"]) <= Decimal("0.5")


@quickly
@given(st.lists(entries, max_size=30), st.integers(1, 7), st.sampled_from(["ended_at", "duration"]))
def test_pages_hold_every_row_once_though_others_arrive_meanwhile(found: list[Entry], limit: int, order: str) -> None:
    with Desk() as desk:
        for name in ("app", "app--candidate", "other", "other--candidate"):
            desk.deploy(name)
        for one in found:
            desk.ledger.record(one)
        asked: dict[str, Any] = {"endpoint_id": f"{OWNER}/app,{OWNER}/other--candidate", "limit": limit, "sort_by": order}
        body = desk.get("serverless/requests/by-endpoint", expand="billing", **asked).json()
        items = body["items"]
        while body["has_more"]:
            desk.ledger.record(entry(request_id="late", ended_at=time.time() - 30_000))
            body = desk.get("serverless/requests/by-endpoint", expand="billing", cursor=body["next_cursor"], **asked).json()
            items += body["items"]
            assert len(body["items"]) <= limit
            assert len(items) <= len(found)
        mine = [one for one in found if (one.app, one.environment) in (("app", "main"), ("other", "candidate"))]
        assert Counter(item["request_id"] for item in items) == Counter(one.request_id for one in mine)
        rows = {row["request_id"]: row for row in desk.ledger.rows()}
        assert [item["billable_units"] for item in items] == [float(rows[item["request_id"]]["billable_units"]) for item in items]
        ends = [item["duration" if order == "duration" else "ended_at"] for item in items]
        assert ends == sorted(ends, reverse=True)


@quickly
@given(st.lists(entries, max_size=30), st.sampled_from(ZONES), st.sampled_from(TIMEFRAMES[1:]), st.integers(1, 4))
def test_usage_by_caller_time_and_endpoint_adds_up_to_the_ledger(
    found: list[Entry], zone: str, timeframe: Timeframe, limit: int
) -> None:
    with Desk() as desk:
        for number, one in enumerate(found):
            if number % 5 == 0:
                desk.prices.set(f"{OWNER}/app", 1_000_000 * (1 + number))
            desk.ledger.record(one)
        rows = desk.ledger.rows()
        for account in (OWNER, CALLER):
            asked = {"account": account, "timezone": zone, "timeframe": timeframe, "expand": "time_series,summary"}
            whole = desk.get("models/usage", **asked).json()
            series = [
                line for bucket in desk.pages("models/usage", "time_series", **asked, limit=limit) for line in bucket["results"]
            ]
            paid = [row for row in rows if row["payer"] == account]
            for lines in (series, whole["summary"]):
                assert quantities(lines) == ledger_quantities(paid)
                assert nanos(line["cost_total"] for line in lines) == ledger_nanos(paid)
                prices = {(row["endpoint"], row["unit"], row["unit_price_nano"]) for row in paid}
                assert {(line["endpoint_id"], line["unit"], nanos([line["unit_price"]])) for line in lines} == prices


@quickly
@given(st.lists(entries, max_size=30), st.sampled_from(ZONES), st.sampled_from(TIMEFRAMES[1:]))
def test_analytics_count_every_row_once(found: list[Entry], zone: str, timeframe: Timeframe) -> None:
    kinds = ("success_count", "user_error_count", "error_count")
    with Desk() as desk:
        desk.deploy("app")
        for one in found:
            desk.ledger.record(one)
        asked = {"endpoint_id": f"{OWNER}/app", "timezone": zone, "timeframe": timeframe}
        body = desk.get("serverless/analytics", **asked, expand=["time_series", "summary", "request_count", *kinds]).json()
        mine = [one for one in found if (one.app, one.environment) == ("app", "main")]
        for lines in ([line for bucket in body["time_series"] for line in bucket["results"]], body["summary"]):
            assert sum(line["request_count"] for line in lines) == len(mine)
            assert all(line["request_count"] == sum(line[kind] for kind in kinds) for line in lines)
        assert [bucket["bucket"] for bucket in body["time_series"]] == sorted(
            (bucket["bucket"] for bucket in body["time_series"]), key=datetime.fromisoformat
        )


@quickly
@given(st.lists(st.one_of(st.integers(0, 10**9), st.decimals("0", "99", places=3)), max_size=30))
def test_a_new_price_counts_from_then_on_only(events: Sequence[int | Decimal]) -> None:
    """Integers set the price, decimals are requests of so many units."""
    with Desk() as desk:
        price, expected = None, []
        for event in events:
            if isinstance(event, int):
                price = desk.prices.set(f"{OWNER}/app", event).nano
            else:
                desk.ledger.record(entry(units=str(event), machine_type="S", path="/fast"))
                expected.append((price if price is not None else None, event))
        for row, (unit_price, units) in zip(desk.ledger.rows(), expected, strict=True):
            if unit_price is None:
                assert (row["unit"], row["cost_nano"]) == ("second", None if units else 0)
            else:
                exact = units * unit_price
                assert (row["unit_price_nano"], Decimal(row["quantity"])) == (unit_price, units)
                assert abs(row["cost_nano"] - exact) <= Decimal("0.5")


def test_a_retried_request_is_billed_for_the_attempt_that_was_answered() -> None:
    with Desk() as desk:
        desk.ledger.record(entry(units=None, attempts=3, seconds=30.0, served_seconds=4.0))
        (row,) = desk.ledger.rows()
        assert (row["quantity"], row["cost_nano"], row["seconds"]) == ("4", 4 * RATE, 30.0)


def test_machine_seconds_count_every_gpu_of_the_revision() -> None:
    with Desk() as desk:
        desk.state.add_revision(revision("rev", num_gpus=2))
        desk.ledger.record(entry(units=None, seconds=3.0))
        (row,) = desk.ledger.rows()
        assert (row["unit_price_nano"], row["cost_nano"]) == (2 * RATE, 6 * RATE)


@quickly
@given(st.lists(st.tuples(st.floats(0, 900), st.floats(0, 300), st.booleans()), max_size=12), st.integers(1, 3))
def test_the_owner_pays_what_runners_live_less_what_callers_paid_for(work: list[tuple[float, float, bool]], runners: int) -> None:
    began = time.time() - 3000
    with Desk() as desk:
        desk.state.add_revision(revision("rev"))
        for number in range(runners):
            lived(desk, f"runner{number}", began, began + 1500)
        for number, (start, seconds, shared) in enumerate(work):
            end = began + 100 + start + seconds
            mode = "shared" if shared else "private"
            desk.ledger.record(entry(runner=f"runner{number % runners}", seconds=seconds, ended_at=end, auth_mode=mode))
        asked = {"timeframe": "minute", "start": datetime.fromtimestamp(began - 600, UTC).isoformat()}
        body = desk.get("serverless/usage", expand="time_series,summary", **asked).json()
        (line,) = body["summary"]
        rows = [row for row in desk.ledger.rows() if row["payer"]]
        whole = Span(start=began, end=began + 1500)
        paid = sum(covered(working([row for row in rows if row["runner"] == f"runner{n}"]), whole) for n in range(runners))
        series = [one for bucket in body["time_series"] for one in bucket["results"]]
        assert line["quantity"] == pytest.approx(1500 * runners - paid, abs=1e-3)
        assert sum(one["quantity"] for one in series) == pytest.approx(line["quantity"], abs=1e-3)
        assert line["cost_total"] == pytest.approx(line["quantity"] * 0.000525, abs=1e-8)


@quickly
@given(
    st.lists(st.tuples(st.uuids().map(str), st.sampled_from([None, "rev", "gone"]), st.sampled_from([None, "2"])), max_size=10),
    st.sampled_from([("main", "app"), ("candidate", "app--candidate")]),
)
def test_a_file_with_the_first_ten_columns_keeps_its_rows(
    rows: list[tuple[str, str | None, str | None]], place: tuple[str, str]
) -> None:
    state = State(Path(":memory:"))
    state.add_revision(revision("rev"))
    state.db.execute(
        "CREATE TABLE ledger (request_id TEXT, app TEXT, environment TEXT, revision TEXT, caller TEXT, path TEXT,"
        " status INTEGER, units TEXT, seconds REAL, created_at REAL)"
    )
    for request_id, name, units in rows:
        old = (request_id, "app", place[0], name, "c", "/fast", 200, units, 1.5, 1000.0)
        state.db.execute("INSERT INTO ledger VALUES (?,?,?,?,?,?,?,?,?,?)", old)
    found = Ledger(state.db).rows()
    assert [(row["request_id"], row["revision"], row["units"], row["seconds"], row["created_at"]) for row in found] == [
        (request_id, name, units, 1.5, 1000.0) for request_id, name, units in rows
    ]
    for row in found:
        owner = OWNER if row["revision"] == "rev" else ""
        assert (row["owner"], row["endpoint"], row["ended_at"]) == (owner, f"{owner}/{place[1]}/fast", 1000.0)
        assert (row["payer"], row["cost_nano"], row["billable_units"]) == (None, None, None)  # unknown, and said so
    assert Ledger(state.db).rows() == found
    state.close()


@quickly
@given(st.lists(entries, max_size=20))
def test_the_overview_tells_what_others_paid_and_what_is_not_known(found: list[Entry]) -> None:
    with Desk() as desk:
        for one in found:
            desk.ledger.record(one)
        sold = [row for row in desk.ledger.rows() if row["payer"] == CALLER]
        lines = revenue(desk.state.db, OWNER)
        assert sum(line.gross_nano for line in lines) == sum(row["cost_nano"] or 0 for row in sold)
        assert sum(line.unknown for line in lines) == sum(row["cost_nano"] is None for row in sold)
        assert sum(line.requests for line in lines) == sum(one.runner is not None for one in found)
        assert revenue(desk.state.db, CALLER) == []


def test_the_questions_that_are_asked_often_have_an_index() -> None:
    span, endpoints = Span(start=1.0, end=2.0), ("o/a", "o/a/fast")
    asked = {
        "ledger_by_owner": [Selection(span=span, upto=9, owner="o")],
        "ledger_by_caller": [Selection(span=span, upto=9, caller="c", payer="c")],
        "ledger_by_request": [Selection(span=span, upto=9, owner="o", endpoints=endpoints, request_ids=("a", "b"))],
        "ledger_by_app": [Selection(span=span, upto=9, endpoints=endpoints), Selection(span=span, upto=9, endpoints=endpoints[1:])],
    }
    with Desk() as desk:
        for index, selections in asked.items():
            for selection in selections:
                where, values = selection.where()
                plan = desk.state.db.execute(f"EXPLAIN QUERY PLAN SELECT * FROM ledger WHERE {where}", values).fetchall()
                assert any(f"USING INDEX {index} " in row["detail"] for row in plan), [row["detail"] for row in plan]
                assert not any(row["detail"].startswith("SCAN") for row in plan)


def revision(name: str, **settings_: Any) -> Revision:
    return Revision(
        id=name,
        owner=OWNER,
        alias="app",
        environment="main",
        entrypoint="m:C",
        files=(),
        settings=settings_,
        health=None,
        metadata={"openapi": {"paths": {"/": {}, "/fast": {}}}},
    )


def lived(desk: Desk, runner: str, began: float, ended: float) -> None:
    """A runner of the past: ten seconds of setup, then it was there until its end."""
    row = RunnerRow(
        id=runner,
        revision="rev",
        owner=OWNER,
        app="app",
        environment="main",
        machine_type="GPU-H100",
        started_at=began,
        ready_at=None,
        ended_at=None,
        reason=None,
        state="SETUP",
    )
    desk.fleet.records.began(row)
    desk.fleet.records.entered(runner, "IDLE", at=began + 10)
    desk.fleet.records.ended(runner, "stopped", at=ended)


def quantities(lines: list[dict[str, Any]]) -> dict[tuple[str, str], float]:
    found: Counter[tuple[str, str]] = Counter()
    for line in lines:
        found[line["endpoint_id"], line["unit"]] += Decimal(str(line["quantity"]))  # type: ignore[assignment]
    return {key: round(float(number), 6) for key, number in found.items()}


def ledger_quantities(rows: list[dict[str, Any]]) -> dict[tuple[str, str], float]:
    found: dict[tuple[str, str], Decimal] = {}
    for row in rows:
        key = (row["endpoint"], row["unit"])
        found[key] = found.get(key, ZERO) + Decimal(row["quantity"])
    return {key: round(float(number), 6) for key, number in found.items()}


def nanos(costs: Any) -> int | None:
    """A sum of JSON's dollars, exactly; unknown where one of them is."""
    found = list(costs)
    return None if None in found else int(sum((Decimal(str(cost)) * 10**9 for cost in found), ZERO))


def ledger_nanos(rows: list[dict[str, Any]]) -> int | None:
    found = [row["cost_nano"] for row in rows]
    return None if None in found else sum(found)
