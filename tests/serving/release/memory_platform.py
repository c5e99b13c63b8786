"""A second implementation of the Platform Protocol: in this process, deterministic, and able to fail before or after any effect."""

import base64
import io
import itertools
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

from PIL import Image

from serving.release.platform import Alias, Called, Caller, Deployed

When = Literal["before", "after"]


class PowerCut(BaseException):
    """The process is gone at this point: nothing that comes after may run."""


class MemoryPlatform:
    """Apps, environments and revisions in dictionaries; `broken` changes what (content, place) does when called.

    `on_call(number, verb, when)` is asked before and after every verb and may raise.
    """

    name = "memory"
    second_caller = True

    def __init__(self) -> None:
        self.aliases: dict[tuple[str, str], str] = {}
        self.packages: dict[str, tuple[str, str]] = {}
        self.deploys: list[tuple[str, str, str]] = []
        self.calls = 0
        self.on_call: Callable[[int, str, When], None] = lambda number, verb, when: None
        self.broken: dict[tuple[str, str], dict[str, Any]] = {}
        self.requests = itertools.count(1)

    def whoami(self) -> dict[str, str]:
        return {"user_id": "memory", "nickname": "memory"}

    def deploy(self, package: Path, *, app: str, environment: str | None) -> Deployed:
        number = self._enter("deploy")
        content = (package / "content.txt").read_text()
        package_hash = json.loads((package / "package.json").read_text())["hash"]
        place = environment or "main"
        revision = f"revision-{len(self.packages) + 1}"
        self.packages[revision] = (content, package_hash)
        self.aliases[app, place] = revision
        self.deploys.append((app, place, content))
        self._leave(number, "deploy")
        return Deployed(revision=revision, urls=self._urls(app, place))

    def alias(self, app: str, environment: str | None) -> Alias | None:
        number = self._enter("alias")
        place = environment or "main"
        revision = self.aliases.get((app, place))
        self._leave(number, "alias")
        return Alias(revision=revision, auth_mode="shared", urls=self._urls(app, place)) if revision else None

    def set_revision(self, app: str, revision: str, environment: str | None) -> None:
        number = self._enter("set_revision")
        assert revision in self.packages
        self.aliases[app, environment or "main"] = revision
        self._leave(number, "set_revision")

    def call(
        self,
        app: str,
        arguments: Mapping[str, Any],
        *,
        environment: str | None = None,
        path: str = "",
        key: Caller | None = "caller",
    ) -> Called:
        number = self._enter("call")
        place = environment or "main"
        content, package = self.packages[self.aliases[app, place]]
        faults = self.broken.get((content, place), {})
        status, units, body = answer(package, arguments, path=path, key=key, faults=faults)
        self._leave(number, "call")
        return Called(status=status, units=units, body=body, seconds=0.25, request_id=f"request-{next(self.requests)}")

    def fetch(self, url: str) -> bytes:
        number = self._enter("fetch")
        self._leave(number, "fetch")
        return png()

    def on_main(self, app: str) -> str:
        """What the package that main runs was made of."""
        return self.packages[self.aliases[app, "main"]][0]

    def _enter(self, verb: str) -> int:
        self.calls += 1
        self.on_call(self.calls, verb, "before")
        return self.calls

    def _leave(self, number: int, verb: str) -> None:
        self.on_call(number, verb, "after")

    def _urls(self, app: str, place: str) -> dict[str, str]:
        name = app if place == "main" else f"{app}--{place}"
        return {kind: f"https://{kind}.example.org/memory/{name}" for kind in ("playground", "run", "queue")}


def answer(
    package: str, arguments: Mapping[str, Any], *, path: str, key: Caller | None, faults: Mapping[str, Any]
) -> tuple[int, str | None, dict[str, Any]]:
    """What a faithful app would answer, changed by `faults`."""
    if key in (None, "wrong"):
        return faults.get("stranger", 401), None, {"detail": "Authentication is required"}
    if path == "health":
        return faults.get("health_status", 200), "0", {"status": "ok", "package": faults.get("health_package", package)}
    count = arguments["num_images"]
    if count < 1:
        return faults.get("invalid_status", 422), faults.get("invalid_units", "0"), {"detail": [{"loc": ["body", "num_images"]}]}
    images = [{"url": faults.get("url", data_uri())} for _ in range(faults.get("images", count))]
    return faults.get("status", 200), faults.get("units", str(count)), {"images": images, "undelivered": []}


def png() -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (8, 8), (200, 30, 30)).save(stream, "PNG")
    return stream.getvalue()


def data_uri() -> str:
    return "data:image/png;base64," + base64.b64encode(png()).decode()
