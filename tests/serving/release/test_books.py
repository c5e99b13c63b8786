"""What the platform's books say of an app, through fal's platform API as the sandbox speaks it: price, machines, own units."""

import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from flows.own_calls import NotedPlatform, note, noted, own_requests
from serving.release.errors import PlatformUnreachable, WrongKey
from serving.release.platform import Books, FalPlatform
from serving.release.registry import Registry
from serving.release.target import sandbox_target
from serving.sandbox import control
from serving.sandbox.money import books
from tests.serving.release.conftest import MakeToy
from tests.serving.release.test_platform import publish


def test_books_of_an_app_are_those_of_the_platform(
    sandbox: FalPlatform, sandbox_home: Path, registry: Registry, make_toy: MakeToy
) -> None:
    began = time.time() - 1
    publish(make_toy("earns", app="earns"), sandbox, registry)
    untold = sandbox.books("earns", None, began)
    assert (untold.price_usd, untold.machine_usd) == (None, None), "no price was set, and no rate of this machine is known"
    books.set_price(sandbox_home, "earns", "0.04")
    called = sandbox.call("earns", {"prompt": "a red fox", "num_images": 3}, key="owner")
    found = sandbox.books("earns", None, began)
    assert (found.price_usd, found.unit, found.own_units) == (0.04, "image", 3.0)
    assert found.cold_starts is not None
    told = sandbox.ask("own_requests", owner=sandbox.whoami()["nickname"], app="earns", environment=None, since=began)
    everybody = {one.request_id for one in sandbox.requests("earns", None, began)}
    assert called.request_id in told
    assert set(told) < everybody, "the smoke test called as another account"
    assert sandbox.books("earns", None, time.time() + 3600).own_units in (None, 0.0), "of a span without requests"


def test_what_is_called_from_here_is_told_apart_from_what_others_call(
    sandbox: FalPlatform, sandbox_home: Path, make_toy: MakeToy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LORASMITH_HOME", str(tmp_path / "home"))
    running, began = control.up(sandbox_home), datetime.now(UTC)
    sandbox.deploy(make_toy("noted", app="noted"), app="noted", environment=None)
    asked = {"prompt": "a red fox", "num_images": 1}
    with sandbox_target(running.env, caller_key=running.caller_key, logs=tmp_path, kind=NotedPlatform) as platform:
        ours = {platform.call("noted", asked).request_id, platform.call("noted", {}, path="health", key="owner").request_id}
        by_hand = sandbox.call("noted", asked, key="owner").request_id
        customers = sandbox.call("noted", asked, key="caller").request_id
        assert own_requests(platform, "noted", began) == ours | {by_hand}
        assert noted("sandbox", "noted", began) == ours
        assert {one.request_id for one in platform.requests("noted", None, began.timestamp())} == ours | {by_hand, customers}
        with (tmp_path / "home" / "calls" / f"sandbox-{began:%Y-%m}.jsonl").open("a") as file:
            file.write('\n{"app": "noted", "requ')  # a disk that was full
        note("sandbox", "noted", "later")
        assert noted("sandbox", "noted", began) == ours | {"later"}
        assert noted("sandbox", "another", began) == noted("fal", "noted", began) == frozenset()


def test_of_an_app_that_is_not_there_nothing_is_told(sandbox: FalPlatform) -> None:
    found = sandbox.books("nothing-here", None, time.time() - 60)
    assert (found.price_usd, found.machine_usd) == (None, 0)
    assert Books().own_units is None


def test_a_platform_that_is_away_is_no_empty_book(sandbox_home: Path, tmp_path: Path) -> None:
    running = control.up(sandbox_home)
    away = {name: "127.0.0.1:9" if value.endswith(running.address) else value for name, value in running.env.items()}
    with (
        sandbox_target(away, caller_key=running.caller_key, logs=tmp_path) as platform,
        pytest.raises((PlatformUnreachable, WrongKey)),
    ):
        platform.books("earns", None, 0.0)
