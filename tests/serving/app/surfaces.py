"""Two packages as far as their HTTP surface goes: one that offers everything, and the smallest; and a real server for either.

`python -m tests.serving.app.surfaces` writes openapi.json anew, the snapshot that test_openapi.py compares with.
"""

import hashlib
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import uvicorn

from serving.app.app import LoraApp
from serving.app.settings import Settings
from tests.serving.app.packages import LIMITS, ScriptedApp, built

SNAPSHOT = Path(__file__).with_name("openapi.json")
SMALLEST: dict[str, Any] = {
    "schema": "lorasmith/app-settings/1",
    "name": "smallest",
    "family": "z-image",
    "base": {"kind": "folder", "ref": "base"},
    "adapter": {"sha256": "0" * 64, "scale": 1.0},
    "inference": {"steps": 2, "guidance_scale": 1.0},
    "limits": LIMITS.model_dump(),
    "default_size": {"width": 32, "height": 32},
    "request_timeout": 30,
}
WHOLE: dict[str, Any] = SMALLEST | {
    "name": "whole",
    "trigger": "tiny-style",
    "challenger": {"sha256": "1" * 64, "scale": 0.5},
    "pipeline": {"negative_prompt": True, "image_to_image": "ZImageImg2ImgPipeline"},
    "limits": {
        "min_side": 256,
        "max_side": 1536,
        "multiple": 16,
        "max_area": 1024 * 1024,
        "max_steps": 50,
        "max_images": 4,
        "max_prompt_bytes": 4096,
        "max_work": 1024 * 1024 * 50 * 4,
    },
    "default_size": {"width": 1024, "height": 768},
    "safety": {"enabled": True, "optional": True},
    "marking": {"enabled": True, "publisher": "a publisher"},
}


def write_surface(folder: Path, settings: dict[str, Any]) -> Path:
    """The part of a package that an app reads before it loads anything."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "settings.json").write_text(Settings.model_validate(settings).model_dump_json(by_alias=True))
    (folder / "package.json").write_text(json.dumps({"hash": hashlib.sha256(settings["name"].encode()).hexdigest()}))
    return folder


def openapi(folder: Path, settings: dict[str, Any]) -> dict[str, Any]:
    """What the app of such a package publishes; no engine is needed for it."""
    schema: dict[str, Any] = built(LoraApp, write_surface(folder / settings["name"], settings)).openapi()
    return schema


def snapshot() -> str:
    """The text of openapi.json: both packages, in the order in which they are published."""
    with TemporaryDirectory() as folder:
        published = {settings["name"]: openapi(Path(folder), settings) for settings in (SMALLEST, WHOLE)}
    return json.dumps(published, indent=1, ensure_ascii=False) + "\n"


@contextmanager
def served(folder: Path, settings: dict[str, Any], *, app: type[LoraApp] = ScriptedApp) -> Iterator[str]:
    """The URL of an app that draws what its prompts say, behind the server that fal's runners use."""
    whole = _logged_before_it_ends(built(app, write_surface(folder, settings)))
    config = uvicorn.Config(whole, host="127.0.0.1", port=0, lifespan="on", http="h11", log_level="error")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        deadline = time.monotonic() + 30
        while not server.started:
            if not thread.is_alive() or time.monotonic() > deadline:
                raise RuntimeError("the app did not start")
            time.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(30)


def _logged_before_it_ends(app: Any) -> Any:
    """The app, whose callers see an answer when its log line is out: in a test's own output, not between two tests."""

    async def ordered(scope: Any, receive: Any, send: Any) -> None:
        answer: list[Any] = []

        async def held(message: Any) -> None:
            if message["type"].startswith("http.response"):
                answer.append(message)
            else:
                await send(message)

        await app(scope, receive, held)
        for message in answer:
            await send(message)

    return ordered


if __name__ == "__main__":
    SNAPSHOT.write_text(snapshot(), encoding="utf-8")
