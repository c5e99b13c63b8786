"""What a runner says about its requests: one line each, counted by their outcome, and never a word of theirs."""

import asyncio
import base64
import json
import logging
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import Any

import pytest
from fal.toolkit import Image
from PIL import Image as PIL
from prometheus_client import REGISTRY, generate_latest
from pydantic import BaseModel

from serving.app.drawing.engine import Engine, Shape, Wanted
from serving.app.pictures import OutputFormat, hand_out
from serving.app.requests.schema import Input
from serving.app.runner import logs
from serving.app.runner.logs import Asked
from serving.app.safety.checker import Checker
from serving.app.settings import Installed, Logs
from tests.serving.app.exchange import Seen, exchange
from tests.serving.app.packages import ScriptedApp, ScriptedEngine, built

CANARY = "canary-7f3a"
PICTURE = "data:image/png;base64," + base64.b64encode(CANARY.encode() * 40).decode()
LOOK_FOR = (CANARY, PICTURE[30:60])


class Strict(BaseModel):
    number: int


ENGINE: dict[str, Callable[[str], BaseException]] = {
    "key": KeyError,
    "value": ValueError,
    "memory": lambda prompt: RuntimeError(f"CUDA out of memory. Tried to encode {prompt}"),
    "cuda": lambda prompt: RuntimeError(f"CUDA error: device-side assert triggered by {prompt}"),
    "file": lambda prompt: FileNotFoundError(2, "No such file", prompt),
    "exit": SystemExit,
    "group": lambda prompt: ExceptionGroup(prompt, [ValueError(prompt)]),
}


class TellingEngine(ScriptedEngine):
    """One whose errors repeat the prompt."""

    def draw(self, shape: Shape, wanted: Sequence[Wanted], *, go_on: Callable[[], bool]) -> list[PIL.Image]:
        for one in wanted:
            if error := ENGINE.get(one.prompt.split()[0]):
                raise error(one.prompt) from ValueError(f"because of {one.prompt}")
        pictures = super().draw(shape, wanted, go_on=go_on)
        for one, picture in zip(wanted, pictures, strict=True):
            picture.info["prompt"] = one.prompt
        return pictures


class TellingChecker:
    def flags(self, picture: PIL.Image) -> bool:
        if picture.info["prompt"].startswith("check"):
            raise OSError(picture.info["prompt"])
        return bool(picture.info["prompt"].startswith("flag"))


class TellingApp(ScriptedApp):
    """An app whose every part says the prompt when it fails."""

    def make_engine(self) -> Engine:
        return TellingEngine()

    def make_checker(self) -> Checker:
        return TellingChecker()

    def wanted(self, body: Input, seed: int) -> list[Wanted]:
        if body.prompt.startswith("invalid"):
            Strict.model_validate({"number": body.prompt})
        wanted = super(ScriptedApp, self).wanted(body, seed)
        self.storing = body.prompt.startswith("store")
        if self.batcher.broken:
            self.batcher = self.make_batcher()
        return wanted

    def hand_out(self, data: bytes, output_format: OutputFormat, size: tuple[int, int], *, inline: bool) -> Image:
        if self.storing:
            raise ConnectionError(f"{CANARY} {data!r}")
        return hand_out(data, output_format, size, inline=True)


class OpenApp(TellingApp):
    """The same, of a package that lets prompts into the log."""

    @cached_property
    def package(self) -> Installed:
        package = super().package
        settings = package.settings.model_copy(update={"logs": Logs(prompts=True)})
        return Installed(folder=package.folder, hash=package.hash, settings=settings)


@pytest.fixture(scope="module")
def ask(package: Installed) -> Iterator[Callable[..., Seen]]:
    """Sends one request to a telling app; `open` to one that may log prompts."""
    with asyncio.Runner() as runner:
        apps = {name: built(app, package.folder) for name, app in (("closed", TellingApp), ("open", OpenApp))}
        lives = [app.router.lifespan_context(app) for app in apps.values()]
        for life in lives:
            runner.run(life.__aenter__())
        yield lambda path="/", to="closed", **request: runner.run(exchange(apps[to], path, **request))
        for life in lives:
            runner.run(life.__aexit__(None, None, None))


WAYS = [
    ("delivered", {"body": {"prompt": CANARY}}, 200),
    *((word, {"body": {"prompt": f"{word} {CANARY}"}}, 503 if word == "cuda" else 500) for word in ENGINE),
    ("checker", {"body": {"prompt": f"check {CANARY}"}}, 500),
    ("withheld", {"body": {"prompt": f"flag {CANARY}"}}, 422),
    ("storage", {"body": {"prompt": f"store {CANARY}"}}, 500),
    ("pydantic in the endpoint", {"body": {"prompt": f"invalid {CANARY}"}}, 500),
    ("policy", {"body": {"prompt": f"a naked child {CANARY}"}}, 422),
    ("validation", {"body": {"prompt": [CANARY], "seed": CANARY, CANARY: PICTURE}}, 422),
    ("no json", {"body": f'{{"prompt": "{CANARY}'.encode()}, 422),
    ("picture", {"body": {"prompt": CANARY, "image_url": PICTURE, "strength": 2}}, 200),
    ("path", {"body": {"prompt": CANARY}, "path": f"/{CANARY}"}, 404),
    ("method", {"body": {"prompt": CANARY}, "method": "PUT"}, 405),
    ("header", {"body": {"prompt": "ok"}, "headers": [(b"authorization", CANARY.encode())]}, 200),
    ("upload policy", {"body": {"prompt": "ok"}, "headers": [(b"x-app-fal-upload-policy", CANARY.encode())]}, 422),
]


@pytest.mark.parametrize(("request_", "status"), [way[1:] for way in WAYS], ids=[way[0] for way in WAYS])
def test_no_word_of_a_request_reaches_the_log(
    ask: Callable[..., Seen], capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture, request_: Any, status: int
) -> None:
    caplog.set_level(logging.INFO)
    assert ask(**request_).status == status
    said = "".join(capfd.readouterr()) + caplog.text
    assert '"event": "request"' in said
    assert [word for word in LOOK_FOR if word in said] == []


@pytest.mark.parametrize("prompt", [CANARY, f"key {CANARY}"])
def test_a_package_may_let_prompts_into_the_log(ask: Callable[..., Seen], capfd: pytest.CaptureFixture[str], prompt: str) -> None:
    ask(to="open", body={"prompt": prompt})
    out, errors = capfd.readouterr()
    (line,) = _lines(out, "request")
    assert line["prompt"] == prompt
    assert (f"KeyError: {prompt!r}"[:-1] in errors) == prompt.startswith("key")


def test_the_line_of_a_request(ask: Callable[..., Seen], capfd: pytest.CaptureFixture[str]) -> None:
    headers = [(b"x-fal-request-id", b"r-1"), (b"x-fal-caller-user-id", b"hash-of-somebody")]
    ask(body={"prompt": "ok", "num_images": 2}, headers=headers)
    (line,) = _lines(capfd.readouterr().out, "request")
    assert set(line.pop("seconds")) == {"total", "queue", "inference", "delivery"}
    assert line == {
        "event": "request",
        "request_id": "r-1",
        "caller": "hash-of-somebody",
        "path": "/",
        "status": 200,
        "units": 2,
        "images": 2,
        "undelivered": [],
        "batch": 2,
    }


def test_an_error_has_its_traceback_and_its_request(ask: Callable[..., Seen], capfd: pytest.CaptureFixture[str]) -> None:
    ask(body={"prompt": "key"}, headers=[(b"x-fal-request-id", b"r-2")])
    (line,) = _lines(capfd.readouterr().err, "undelivered")
    assert (line["request_id"], line["reason"], line["counts_as"]) == ("r-2", "drawing_failed", "RequestFailure")
    assert line["traceback"].index("builtins.ValueError") < line["traceback"].index("builtins.KeyError")  # first cause first
    assert "test_logs.py" in line["traceback"]


def test_health_is_not_logged(ask: Callable[..., Seen], capfd: pytest.CaptureFixture[str]) -> None:
    assert ask("/health").status == 200
    assert _lines(capfd.readouterr().out, "request") == []


@pytest.mark.parametrize("loops", [False, True])
def test_a_chain_of_errors_is_told_to_its_end(capsys: pytest.CaptureFixture[str], loops: bool) -> None:
    first, second = ValueError(), OSError(28, CANARY)
    second.__cause__ = first
    if loops:
        first.__cause__ = second
    logs.failed(second)
    (line,) = _lines(capsys.readouterr().err, "error")
    assert line["traceback"] == "builtins.ValueError\nbuiltins.OSError: No space left on device\n"


def test_ids_are_the_platforms_and_of_bounded_length() -> None:
    scope = {"path": "/x", "headers": [(b"x-fal-request-id", b"r" * 999), (b"x-fal-caller-user-id", b"\xff"), (b"x-other", b"o")]}
    assert logs.asked(scope, frozenset({"/"})) == Asked(request_id="r" * 128, caller="\xff", path="other")


def test_metrics_count_outcomes(ask: Callable[..., Seen]) -> None:
    before = _metrics()
    ask(body={"prompt": "ok", "num_images": 2})
    ask(body={"prompt": f"flag {CANARY}"})
    ask(f"/{CANARY}")
    ask("/health")
    after = _metrics()
    grown = {name: after[name] - before.get(name, 0) for name in after if after[name] != before.get(name, 0)}
    assert grown['lorasmith_requests_total{path="/",status="200"}'] == 1
    assert grown['lorasmith_requests_total{path="/",status="422"}'] == 1
    assert grown['lorasmith_requests_total{path="other",status="404"}'] == 1
    assert grown["lorasmith_units_total"] == grown["lorasmith_images_total"] == 2
    assert grown['lorasmith_undelivered_images_total{reason="content_policy"}'] == 1
    assert grown['lorasmith_seconds_count{part="total"}'] == 3
    assert grown['lorasmith_seconds_count{part="inference"}'] == 2
    assert grown['lorasmith_batch_images_bucket{le="2.0"}'] == 2
    assert grown['lorasmith_batch_images_bucket{le="1.0"}'] == 1
    assert not any(CANARY in name for name in after)


def _metrics() -> dict[str, float]:
    """Samples of the exposition text."""
    lines = [line for line in generate_latest(REGISTRY).decode().splitlines() if line.startswith("lorasmith_")]
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


def _lines(text: str, event: str) -> list[dict[str, Any]]:
    found = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    return [line for line in found if line.get("event") == event]
