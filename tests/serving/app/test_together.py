"""Requests at the same time, over HTTP: they share calls, health answers beside them, and one that ends early spoils no other."""

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from PIL import Image as PIL

from serving.app.drawing.engine import Engine, Shape, Wanted
from serving.app.errors import Stopped
from serving.app.marking import Marker
from serving.app.pictures import OutputFormat
from serving.app.settings import Installed
from tests.serving.app.packages import ScriptedApp, ScriptedEngine, built, only_settings, pictures_of

UNITS = "x-fal-billable-units"
LIMIT = 20  # seconds after which a test gives up


class Held(ScriptedEngine):
    """Waits in each call until that is let go, or until nobody waits for it any more."""

    def __init__(self) -> None:
        super().__init__()
        self.go, self.began, self.stopped = threading.Semaphore(0), threading.Event(), threading.Event()

    def let_go(self, calls: int = 1000) -> None:
        self.go.release(calls)

    def draw(self, shape: Shape, wanted: Sequence[Wanted], *, go_on: Callable[[], bool]) -> list[PIL.Image]:
        self.began.set()
        until = time.monotonic() + LIMIT
        while not self.go.acquire(timeout=0.005):
            if not go_on():
                self.stopped.set()
                raise Stopped("nobody waits any more")
            assert time.monotonic() < until, "never let go"
        return super().draw(shape, wanted, go_on=go_on)


class Running:
    """A runner with an engine that is held, on a port of its own, and many callers."""

    def __init__(self, url: str, app: ScriptedApp, engine: Held) -> None:
        self.url, self.app, self.engine = url, app, engine
        self.callers = ThreadPoolExecutor(32)

    def ask(self, seed: int, path: str = "/", **about: Any) -> "Future[httpx.Response]":
        headers = {f"x-fal-{name.replace('_', '-')}": value for name, value in about.items() if isinstance(value, str)}
        body = {"prompt": about.get("prompt", "ok"), "seed": seed, "output_format": "png"}
        return self.callers.submit(httpx.post, self.url + path, json=body, headers=headers, timeout=LIMIT)

    def post(self, path: str, **headers: str) -> httpx.Response:
        sent = {f"x-fal-{name.replace('_', '-')}": value for name, value in headers.items()}
        return httpx.post(self.url + path, headers=sent, timeout=LIMIT)


@contextmanager
def running(folder: Path, kind: type[ScriptedApp] = ScriptedApp) -> Iterator[Running]:
    """An app under uvicorn, as the SDK serves it."""
    apps: list[ScriptedApp] = []
    engine = Held()

    class Slow(kind):  # type: ignore[valid-type,misc]
        def make_engine(self) -> Engine:
            apps.append(self)
            return engine

    server = uvicorn.Server(uvicorn.Config(built(Slow, folder), port=0, log_level="warning", lifespan="on"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        wait_until(lambda: server.started)
        here = Running(f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}", apps[0], engine)
        yield here
    finally:
        engine.let_go()
        server.should_exit = True
        thread.join(LIMIT)
    here.callers.shutdown()
    assert not thread.is_alive()


def wait_until(true: Callable[[], bool]) -> None:
    until = time.monotonic() + LIMIT
    while not true():
        assert time.monotonic() < until, "it never happened"
        time.sleep(0.005)


def test_sixteen_callers_share_calls_and_each_gets_its_own_picture(package: Installed) -> None:
    with running(package.folder) as here:
        first = here.ask(0, caller_user_id="c0")
        assert here.engine.began.wait(LIMIT)
        others = [here.ask(seed, caller_user_id=f"c{seed}") for seed in range(1, 16)]
        wait_until(lambda: here.app.batcher.waiting == 15)
        here.engine.let_go()
        answers = [asked.result(LIMIT) for asked in (first, *others)]
    assert [(answer.status_code, answer.headers[UNITS]) for answer in answers] == [(200, "1")] * 16
    assert [picture.getpixel((0, 0)) for answer in answers for picture in pictures_of(answer.json())] == [
        (seed, 0, 7) for seed in range(16)
    ]
    assert [len(call) for call in here.engine.calls] == [1, 4, 4, 4, 3]


def test_health_answers_while_a_picture_is_drawn(package: Installed) -> None:
    with running(package.folder) as here:
        asked = here.ask(1)
        assert here.engine.began.wait(LIMIT)
        assert here.post("/health").status_code == 200
        assert not asked.done()
        here.engine.let_go()
        assert asked.result(LIMIT).status_code == 200


def test_health_answers_while_pictures_are_marked(package: Installed) -> None:
    marking, go_on = threading.Event(), threading.Event()

    class SlowMarker(Marker):
        def file(self, picture: PIL.Image, output_format: OutputFormat) -> bytes:
            if picture.size == (32, 32):  # not the one that setup tries it with
                marking.set()
                assert go_on.wait(LIMIT)
            return super().file(picture, output_format)

    class Slow(ScriptedApp):
        def make_marker(self) -> Marker:
            return SlowMarker(self.package, {})

    with running(package.folder, Slow) as here:
        here.engine.let_go()
        asked = here.ask(1)
        assert marking.wait(LIMIT)
        assert here.post("/health").status_code == 200
        assert not asked.done()
        go_on.set()
        assert asked.result(LIMIT).status_code == 200


def test_a_family_that_can_not_batch_gets_one_picture_a_call(package: Installed, tmp_path: Path) -> None:
    with running(only_settings(package, tmp_path, pipeline={"batches": False})) as here:
        here.engine.let_go()
        answer = httpx.post(here.url, json={"prompt": "ok", "num_images": 3}, timeout=LIMIT)
    assert (answer.status_code, answer.headers[UNITS]) == (200, "3")
    assert [len(call) for call in here.engine.calls] == [1, 1, 1]


def test_a_request_that_the_platform_cancels_ends_at_once_and_its_mates_are_drawn(
    package: Installed, capsys: pytest.CaptureFixture[str]
) -> None:
    with running(package.folder) as here:
        first = here.ask(0)
        assert here.engine.began.wait(LIMIT)
        mates = [here.ask(seed, request_id=f"r{seed}") for seed in (1, 2, 3)]
        wait_until(lambda: here.app.batcher.waiting == 3)
        assert here.post("/cancel", request_id="r9").json() == {"cancelled": False}
        assert here.post("/cancel").json() == {"cancelled": False}
        cancelled = here.post("/cancel", request_id="r2")
        assert (cancelled.json(), cancelled.headers[UNITS]) == ({"cancelled": True}, "0")
        gone = mates[1].result(LIMIT)
        assert (gone.status_code, gone.headers[UNITS]) == (499, "0")
        here.engine.let_go()
        assert [asked.result(LIMIT).status_code for asked in (first, mates[0], mates[2])] == [200] * 3
    assert [{one.seed for one in call} for call in here.engine.calls] == [{0}, {1, 3}]
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines() if '"event": "request"' in line]
    assert {
        line["request_id"]: (line["status"], line["units"]) for line in lines if line["path"] == "/" and line["request_id"]
    } == {
        "r1": (200, 1),
        "r2": (499, 0),
        "r3": (200, 1),
    }


@pytest.mark.parametrize("alone", [True, False], ids=["the only one", "one of two in a call"])
def test_a_caller_that_goes_away_is_not_billed_and_stops_the_call_only_if_nobody_else_waits(
    package: Installed, alone: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    async def leave(here: Running) -> None:
        async with httpx.AsyncClient(timeout=LIMIT) as client:
            asked = asyncio.create_task(client.post(here.url, json={"prompt": "ok"}, headers={"x-fal-request-id": "gone"}))
            if not alone:
                await asyncio.to_thread(wait_until, lambda: here.app.batcher.waiting == 2)
                here.engine.let_go(1)
            await asyncio.to_thread(wait_until, lambda: here.app.batcher.running == (1 if alone else 2))
            asked.cancel()
            await asyncio.wait([asked])

    with running(package.folder) as here:
        others = [] if alone else [here.ask(0)]
        if others:
            assert here.engine.began.wait(LIMIT)
            others.append(here.ask(1))
            wait_until(lambda: here.app.batcher.waiting == 1)
        asyncio.run(leave(here))
        wait_until(lambda: len(here.app.callers) == len(others[1:]))
        assert here.engine.stopped.wait(LIMIT) if alone else not here.engine.stopped.is_set()
        here.engine.let_go()
        assert [mate.result(LIMIT).headers[UNITS] for mate in others] == ["1"] * len(others)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines() if '"request_id": "gone"' in line]
    assert [(line["status"], line["units"], line["images"]) for line in lines] == [(499, 0, 0)]


def test_too_many_are_told_to_come_again_and_the_runner_stays_well(package: Installed, tmp_path: Path) -> None:
    with running(only_settings(package, tmp_path, batching={"max_waiting": 4})) as here:
        asked = [here.ask(0)]
        assert here.engine.began.wait(LIMIT)
        for waiting in (1, 2, 3):
            asked.append(here.ask(waiting))
            wait_until(lambda waiting=waiting: here.app.batcher.waiting == waiting)  # type: ignore[misc]
        refused = here.ask(9).result(LIMIT)
        assert (refused.status_code, refused.headers[UNITS], refused.headers["retry-after"]) == (429, "0", "1")
        assert "x-fal-needs-retry" not in refused.headers
        assert here.post("/health").status_code == 200
        here.engine.let_go()
        assert [one.result(LIMIT).status_code for one in asked] == [200] * 4


def test_what_is_drawn_in_time_is_delivered_and_what_is_late_costs_nothing(package: Installed, tmp_path: Path) -> None:
    folder = only_settings(package, tmp_path, request_timeout=2, batching={"max_batch": 1})
    with running(folder) as here:
        here.engine.let_go(1)
        answer = here.callers.submit(httpx.post, here.url, json={"prompt": "ok", "num_images": 2}, timeout=LIMIT).result(LIMIT)
    assert (answer.status_code, answer.headers[UNITS]) == (200, "1")
    assert answer.json()["undelivered"] == [{"index": 1, "reason": "drawing_failed"}]
