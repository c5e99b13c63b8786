"""Prices: amounts without floats, which price counts for which endpoint, what callers are told, and the command that sets them."""

import json
import os
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.sandbox.accounts import CALLER, OWNER
from serving.sandbox.errors import NotFound
from serving.sandbox.money import books
from serving.sandbox.money.prices import BadPrice, machine_rate, nano_usd, usd
from serving.sandbox.state import Alias, State
from tests.serving.sandbox.desk import Desk, entry

ROOT = Path(__file__).resolve().parents[3]


@given(st.integers(0, 10**15))
def test_an_amount_is_told_as_it_was_given(nano: int) -> None:
    assert nano_usd(usd(nano)) == nano
    assert Decimal(usd(nano)) * 10**9 == nano


@pytest.mark.parametrize(("text", "nano"), [("0.025", 25_000_000), ("1", 10**9), ("0", 0), ("1e-9", 1), (" 2.50 ", 2_500_000_000)])
def test_amounts(text: str, nano: int) -> None:
    assert nano_usd(text) == nano


@pytest.mark.parametrize("text", ["", "x", "-1", "0.0000000001", "NaN", "inf", "1,5", "1000001", "$1", "1e400"])
def test_what_is_no_amount_is_told(text: str) -> None:
    with pytest.raises(BadPrice, match="give USD") as fault:
        nano_usd(text)
    assert fault.value.exit_code == 2


def test_small_and_unknown_amounts_are_written_out() -> None:
    assert (usd(1), usd(10**9), usd(25_000_000), usd(None)) == ("0.000000001", "1.00", "0.025", "unknown")


def test_a_machine_whose_rate_was_not_seen_has_none() -> None:
    assert machine_rate("GPU-H200") == 1_250_000
    assert machine_rate("GPU-H200", 8) == 10_000_000
    assert machine_rate("GPU-RTX4090") is None


def test_a_route_has_the_price_of_its_app_unless_it_has_its_own() -> None:
    with Desk() as desk:
        for endpoint, nano in (("o/a", 1), ("o/a/fast", 7), ("o/a", 2), ("o/ab", 9)):
            desk.prices.set(endpoint, nano)
        wanted = {"o/a": 2, "o/a/slow": 2, "o/a/fast": 7, "o/a/fast/er": 2, "o/ab/x": 9}
        assert {endpoint: price.nano for endpoint in wanted if (price := desk.prices.of(endpoint))} == wanted
        assert desk.prices.of("o/b") is None
        assert [(price.endpoint, price.nano) for price in desk.prices.current()] == [("o/a", 2), ("o/a/fast", 7), ("o/ab", 9)]


@pytest.mark.parametrize(
    ("deployed", "price", "account", "told"),
    [
        ({}, 25_000_000, CALLER, (0.025, "image")),
        ({"auth": "private"}, 25_000_000, OWNER, (0.025, "image")),
        ({"machine_types": ["GPU-H100"], "num_gpus": 2}, None, CALLER, (0.00105, "second")),
        ({"machine_types": ["S"]}, None, CALLER, None),
        ({"auth": "private"}, 25_000_000, CALLER, None),
    ],
)
def test_a_caller_is_told_the_price_or_the_machines_rate(
    deployed: dict[str, Any], price: int | None, account: str, told: tuple[float, str] | None
) -> None:
    with Desk() as desk:
        desk.deploy(**deployed)
        if price is not None:
            desk.prices.set(f"{OWNER}/app", price)
        reply = desk.get("models/pricing", endpoint_id=f"{OWNER}/app/fast", account=account)
        if told is None:
            assert (reply.status_code, reply.json()["error"]["type"]) == (404, "not_found")
        else:
            (found,) = reply.json()["prices"]
            assert found == {"endpoint_id": f"{OWNER}/app/fast", "unit_price": told[0], "unit": told[1], "currency": "USD"}


def test_estimates_by_unit_and_by_what_calls_cost_before() -> None:
    one, other = f"{OWNER}/app", f"{OWNER}/other"
    with Desk() as desk:
        for name in ("app", "other"):
            desk.deploy(name)
            desk.prices.set(f"{OWNER}/{name}", 30_000_000 if name == "app" else 1)
        for units in ("1", "2", "0"):
            desk.ledger.record(entry(units=units))
        desk.ledger.record(entry(status=500))  # never billed, so no part of the mean
        by_unit = {one: {"unit_quantity": 1.5}, other: {"unit_quantity": 10}}
        by_call = {one: {"call_quantity": 100}}
        for kind, endpoints, cost in (("unit_price", by_unit, 0.04500001), ("historical_api_price", by_call, 3.0)):
            body = {"estimate_type": kind, "endpoints": endpoints}
            reply = desk.post("models/pricing/estimate", body, account=CALLER)
            assert reply.json() == {"estimate_type": kind, "total_cost": cost, "currency": "USD"}
        unused = {"estimate_type": "historical_api_price", "endpoints": {other: {"call_quantity": 1}}}
        assert desk.post("models/pricing/estimate", unused).status_code == 404


@pytest.mark.parametrize(
    "body",
    [
        [],
        {"estimate_type": "unit_price"},
        {"estimate_type": "unit_price", "endpoints": {}},
        {"estimate_type": "unit_price", "endpoints": {"o/a": {"call_quantity": 1}}},
        {"estimate_type": "historical_api_price", "endpoints": {"o/a": {"call_quantity": 0}}},
        {"estimate_type": "other", "endpoints": {"o/a": {"unit_quantity": 1}}},
    ],
)
def test_an_estimate_of_nothing_sensible_is_refused(body: Any) -> None:
    with Desk() as desk:
        reply = desk.post("models/pricing/estimate", body)
        assert (reply.status_code, reply.json()["error"]["type"]) == (400, "validation_error")


def test_a_price_is_set_for_an_app_that_is_there(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="deployed: none"):
        books.set_price(tmp_path, "app", "1")
    assert (books.prices(tmp_path), books.revenue(tmp_path)) == ([], [])
    with_app(tmp_path)
    with pytest.raises(NotFound, match="no app 'apple' in this sandbox; deployed: app"):
        books.set_price(tmp_path, "apple", "1")
    books.set_price(tmp_path, "app/fast", "0.5", unit="megapixel")
    assert [(one.endpoint, one.unit, one.nano) for one in books.prices(tmp_path)] == [(f"{OWNER}/app/fast", "megapixel", 5 * 10**8)]


def test_the_command_sets_a_price_and_status_shows_it(tmp_path: Path) -> None:
    with_app(tmp_path)
    said = lorasmith(tmp_path, "sandbox", "price", "app", "0.03")
    assert (said.returncode, said.stdout) == (0, f"{OWNER}/app: 0.03 USD per image from now on\n")
    assert f"price of {OWNER}/app: 0.03 USD per image" in lorasmith(tmp_path, "sandbox", "status").stdout
    status = json.loads(lorasmith(tmp_path, "sandbox", "status", "--json").stdout)
    assert (status["running"], status["ledger"], status["prices"][0]["nano"]) == (None, [], 30_000_000)
    assert lorasmith(tmp_path, "sandbox", "price", "app", "cheap").returncode == 2
    assert lorasmith(tmp_path, "sandbox", "price", "apple", "1").returncode == 5


def with_app(home: Path) -> None:
    (home / "sandbox").mkdir(parents=True)
    state = State(home / "sandbox" / "state.db")
    state.put_alias(Alias(owner=OWNER, name="app", environment="main", revision="r", auth_mode="shared", settings={}))
    state.close()


def lorasmith(home: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    command = [sys.executable, "-m", "flows.cli.main", *arguments]
    environment = kept | {"LORASMITH_HOME": str(home)}
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment, timeout=60, check=False)
