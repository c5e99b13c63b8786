"""Whatever happens to requests that meet in one runner: the ledger holds what was delivered, once for each request."""

import asyncio
import base64
import io
import re
import time
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import Any

import pytest
from fastapi import Request
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from PIL import Image as PIL

from serving.app.billing import BillingUnit
from serving.app.drawing.engine import Engine, Shape, Wanted
from serving.app.requests.schema import Input
from serving.app.runner.callers import Callers
from serving.app.runner.lifecycle import Lifecycle
from serving.app.settings import Billing, Installed
from tests.serving.app.exchange import Platform, Seen, exchange
from tests.serving.app.packages import RAISES, WITHHELD, ScriptedApp, ScriptedEngine, built

DELIVERED = ("ok", "cuda-once")  # the second one loses its runner first
ENDPOINT: dict[str, BaseException] = {"exit": SystemExit(3), "interrupt": KeyboardInterrupt(), "stray": asyncio.CancelledError()}
ENGINE: dict[str, BaseException] = {"engine-exit": SystemExit(3), "engine-interrupt": KeyboardInterrupt()}


class RoughEngine(ScriptedEngine):
    """One that can also lose its GPU once for each seed, end the process, or take until nobody waits."""

    def __init__(self) -> None:
        super().__init__()
        self.lost: set[int] = set()

    def draw(self, shape: Shape, wanted: Sequence[Wanted], *, go_on: Callable[[], bool]) -> list[PIL.Image]:
        for one in wanted:
            if one.prompt in ENGINE:
                raise ENGINE[one.prompt]
            if one.prompt == "cuda-once" and one.seed not in self.lost:
                self.lost.add(one.seed)
                raise RuntimeError("CUDA error: an illegal memory access was encountered")
            if one.prompt == "slow":
                _until(lambda: not go_on())
        return super().draw(shape, wanted, go_on=go_on)


class RoughCallers(Callers):
    def cancel(self, request: Request) -> bool:
        if request.headers.get("x-fal-request-id") in ENDPOINT:
            raise ENDPOINT[request.headers["x-fal-request-id"]]
        return super().cancel(request)


class RoughApp(ScriptedApp):
    """The scripted app, whose endpoint can end in more ways than exceptions."""

    def make_engine(self) -> Engine:
        self.scripted = RoughEngine()
        return self.scripted

    @cached_property
    def callers(self) -> Callers:
        return RoughCallers()

    def wanted(self, body: Input, seed: int) -> list[Wanted]:
        if body.prompt in ENDPOINT:
            raise ENDPOINT[body.prompt]
        return super().wanted(body, seed)


class MegapixelApp(RoughApp):
    @cached_property
    def package(self) -> Installed:
        return _billed_by(super().package, "megapixel")


class RequestApp(RoughApp):
    @cached_property
    def package(self) -> Installed:
        return _billed_by(super().package, "request")


class LostApp(RoughApp):
    """One that nobody replaces."""

    @cached_property
    def lifecycle(self) -> Lifecycle:
        return Lifecycle(grace=30)


class Running:
    """An app between its start and its end, on an event loop of its own."""

    def __init__(self, runner: asyncio.Runner, app: Any) -> None:
        self.runner, self.app = runner, app

    def all(self, *work: Any) -> list[Any]:
        """What these come to, at the same time."""

        async def together() -> list[Any]:
            return await asyncio.wait_for(asyncio.gather(*(make() for make in work)), 30)

        return self.runner.run(together())


@pytest.fixture(scope="module")
def running(package: Installed) -> Iterator[dict[BillingUnit, Running]]:
    """An app for each unit."""
    apps: dict[BillingUnit, type[RoughApp]] = {"image": RoughApp, "megapixel": MegapixelApp, "request": RequestApp}
    with asyncio.Runner() as runner:
        units = {unit: Running(runner, built(app, package.folder)) for unit, app in apps.items()}
        lives = [one.app.router.lifespan_context(one.app) for one in units.values()]
        for life in lives:
            runner.run(life.__aenter__())
        yield units
        for life in lives:
            runner.run(life.__aexit__(None, None, None))


words = st.lists(st.sampled_from([*DELIVERED, *DELIVERED, *WITHHELD, *(RAISES.keys() - {"cuda"}), *ENGINE]), min_size=1, max_size=4)
refused = st.sampled_from(
    [
        {"body": b"{"},
        {"body": b"\xff"},
        {"body": {}},
        {"body": {"prompt": "ok", "num_images": 5}},
        {"body": {"prompt": "a naked child"}},
        {"body": {"prompt": "ok"}, "headers": [(b"content-length", b"99999999999")]},
        {"body": {"prompt": "ok"}, "headers": [(b"x-app-fal-upload-policy", b"nonsense")]},
        {"body": {"prompt": "ok"}, "path": "/nowhere"},
        *({"body": {"prompt": word}} for word in ENDPOINT),
        *({"body": {"prompt": "ok"}, "method": method} for method in ("GET", "HEAD", "PUT")),
        {"method": "OPTIONS", "headers": [(b"origin", b"http://127.0.0.1"), (b"access-control-request-method", b"POST")]},
        {"path": "/health", "method": "GET"},
        {"path": "/openapi.json", "method": "GET"},
    ]
)
asked_for = st.tuples(st.one_of(words, refused), st.integers(0, 2))


@pytest.mark.parametrize("unit", ["image", "megapixel", "request"])
@given(asked=st.lists(asked_for, min_size=1, max_size=5))
@hypothesis_settings(deadline=None, max_examples=40, derandomize=True)
def test_the_ledger_is_what_was_delivered(running: dict[BillingUnit, Running], unit: BillingUnit, asked: list[Any]) -> None:
    running[unit].app.state.round = rounds = getattr(running[unit].app.state, "round", 0) + 1
    platform = Platform(app=running[unit].app)
    requests = {f"{unit}-{rounds}-{number}": request for number, request in enumerate(asked)}
    answers = running[unit].all(
        *(lambda name=name, what=what, drops=drops: _carry(platform, name, what, drops) for name, (what, drops) in requests.items())
    )
    assert platform.ledger.keys() == requests.keys()
    for (name, (what, _)), seen in zip(requests.items(), answers, strict=True):
        (stated,) = seen.units
        assert re.fullmatch(r"0|[1-9][0-9]*", stated)
        delivered = sum(what.count(word) for word in DELIVERED) if isinstance(what, list) else 0
        images = seen.json()["images"] if delivered else []
        assert len(images) == delivered
        assert all(_opens(image["url"]) for image in images)
        assert platform.ledger[name] == (seen.status, min(1, delivered) if unit == "request" else delivered)
    if unit == "image":
        total = sum(len(seen.json().get("images", ())) for seen in answers if seen.status == 200 and b'"images"' in seen.body)
        assert sum(units for _, units in platform.ledger.values()) == total


def test_a_request_that_is_sent_again_draws_the_same_picture_and_is_billed_once(running: dict[BillingUnit, Running]) -> None:
    platform, body = Platform(app=running["image"].app), {"prompt": "cuda-once", "output_format": "png"}
    once, again = running["image"].all(
        lambda: platform.carry("retried", body=body),
        lambda: platform.carry("dropped", body=body, drops=3),
    )
    assert platform.attempts["retried"] > 1
    assert platform.attempts["dropped"] > 3
    assert platform.ledger == {"retried": (200, 1), "dropped": (200, 1)}
    (repeated,) = running["image"].all(lambda: platform.carry("retried", body=body))
    assert repeated.json()["seed"] == once.json()["seed"] != again.json()["seed"]
    assert _urls(repeated) == _urls(once)
    assert platform.ledger["retried"] == (200, 1)


def test_a_caller_who_leaves_or_cancels_pays_nothing(running: dict[BillingUnit, Running]) -> None:
    leave, app = asyncio.Event(), running["image"].app

    async def leaving() -> Seen:
        asyncio.get_running_loop().call_later(0.02, leave.set)
        return await exchange(app, body={"prompt": "slow"}, leave=leave)

    async def cancelling() -> Seen:
        headers = [(b"x-fal-request-id", b"slow-1")]
        request = asyncio.create_task(exchange(app, body={"prompt": "slow"}, headers=headers))
        while not (await exchange(app, "/cancel", headers=headers)).json()["cancelled"]:
            await asyncio.sleep(0.001)
        return await request

    left, cancelled = running["image"].all(leaving, cancelling)
    assert [(seen.status, seen.units) for seen in (left, cancelled)] == [(499, ["0"])] * 2
    (after,) = running["image"].all(lambda: exchange(app, body={"prompt": "ok"}))
    assert (after.status, after.units) == (200, ["1"])


def test_a_runner_with_a_lost_gpu_is_unhealthy_and_tries_nothing_more(package: Installed) -> None:
    app = built(LostApp, package.folder)

    async def story() -> list[Seen]:
        async with app.router.lifespan_context(app):
            healthy = await exchange(app, "/health")
            two = await asyncio.gather(*(exchange(app, body={"prompt": "cuda"}) for _ in range(2)))
            return [healthy, *two, await exchange(app, body={"prompt": "ok"}), await exchange(app, "/health")]

    seen = asyncio.run(story())
    assert sorted(one.status for one in seen[1:3]) == [429, 503]  # the platform ends the runner at the first 503
    assert [one.status for one in (seen[0], *seen[3:])] == [200, 429, 503]
    assert [one.units for one in seen] == [["0"]] * 5


@pytest.mark.parametrize("ending", ENDPOINT)
def test_what_ends_a_process_ends_one_request_at_any_endpoint(running: dict[BillingUnit, Running], ending: str) -> None:
    app = running["image"].app
    (ended,) = running["image"].all(lambda: exchange(app, "/cancel", headers=[(b"x-fal-request-id", ending.encode())]))
    (after,) = running["image"].all(lambda: exchange(app, body={"prompt": "ok"}))
    assert (ended.status, ended.units, after.status) == (500, ["0"], 200)


async def _carry(platform: Platform, name: str, what: Any, drops: int) -> Seen:
    if isinstance(what, list):
        what = {"body": {"prompt": " ".join(what), "num_images": len(what), "output_format": "png"}}
    return await platform.carry(name, drops=drops, **what)


def _billed_by(package: Installed, unit: BillingUnit) -> Installed:
    changed = package.settings.model_copy(update={"billing": Billing(unit=unit)})
    return Installed(folder=package.folder, hash=package.hash, settings=changed)


def _until(holds: Callable[[], bool], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def _opens(url: str) -> bool:
    PIL.open(io.BytesIO(base64.b64decode(url.partition("base64,")[2]))).load()
    return True


def _urls(seen: Seen) -> list[str]:
    return [image["url"] for image in seen.json()["images"]]
