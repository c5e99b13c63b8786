"""A second implementation of the Platform Protocol: in this process, deterministic, and able to fail before or after any effect."""

import base64
import io
import itertools
import json
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from PIL import Image

from serving.release.errors import PlatformError
from serving.release.platform import Alias, Auth, Books, Called, Caller, Deployed, Revision, Seen, Strategy

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
        self.auth: dict[tuple[str, str], str] = {}
        self.packages: dict[str, tuple[str, str]] = {}
        self.places: dict[str, tuple[str, str]] = {}
        self.deploys: list[tuple[str, str, str]] = []
        self.account_secrets: dict[str, list[str]] = {}
        self.seen: dict[tuple[str, str], list[Seen]] = {}
        self.accounts = Books()
        self.data: dict[str, dict[str, Any]] = {}
        self.own: list[str] | None = None
        self.now = 1_767_225_600.0
        self.calls = 0
        self.on_call: Callable[[int, str, When], None] = lambda number, verb, when: None
        self.broken: dict[tuple[str, str], dict[str, Any]] = {}
        self.numbers = itertools.count(1)

    def whoami(self) -> dict[str, str]:
        return {"user_id": "memory", "nickname": "memory"}

    def clock(self) -> float | None:
        return self.now

    def deploy(
        self, package: Path, *, app: str, environment: str | None, strategy: Strategy = "rolling", auth: Auth | None = None
    ) -> Deployed:
        number = self._enter("deploy")
        content = self.content(package)
        package_hash = json.loads((package / "package.json").read_text())["hash"]
        place = environment or "main"
        revision = f"revision-{len(self.places) + 1}"
        self.packages[revision] = (content, package_hash)
        self.places[revision] = (app, place)
        self.aliases[app, place] = revision
        self.auth[app, place] = auth or "shared"
        self.deploys.append((app, place, content))
        self._leave(number, "deploy")
        return Deployed(revision=revision, urls=self._urls(app, place))

    def content(self, package: Path) -> str:
        """What a package is called here."""
        return (package / "content.txt").read_text()

    def alias(self, app: str, environment: str | None) -> Alias | None:
        number = self._enter("alias")
        found = self._apps(environment).get(app)
        self._leave(number, "alias")
        return found

    def apps(self, environment: str | None) -> dict[str, Alias]:
        number = self._enter("apps")
        found = self._apps(environment)
        self._leave(number, "apps")
        return found

    def revisions(self, app: str, environment: str | None) -> list[Revision]:
        number = self._enter("revisions")
        here = (app, environment or "main")
        found = [
            Revision(revision=revision, created_at=self.now + order, runners=int(self.aliases.get(here) == revision))
            for order, (revision, place) in enumerate(self.places.items())
            if place == here and revision in self.packages
        ]
        self._leave(number, "revisions")
        return found[::-1]

    def set_revision(self, app: str, revision: str, environment: str | None) -> None:
        number = self._enter("set_revision")
        if revision not in self.packages:
            raise PlatformError(f"there is no revision {revision!r}")
        self.aliases[app, environment or "main"] = revision
        self._leave(number, "set_revision")

    def set_auth(self, app: str, mode: Auth, environment: str | None) -> None:
        number = self._enter("set_auth")
        assert (app, environment or "main") in self.aliases
        self.auth[app, environment or "main"] = mode
        self._leave(number, "set_auth")

    def delete(self, app: str, environment: str | None) -> None:
        number = self._enter("delete")
        self.aliases.pop((app, environment or "main"), None)
        self._leave(number, "delete")

    def delete_revision(self, revision: str) -> None:
        number = self._enter("delete_revision")
        assert revision not in self.aliases.values(), "the platform refuses to delete what a name points to"
        self.packages.pop(revision, None)
        self._leave(number, "delete_revision")

    def environments(self) -> list[str]:
        number = self._enter("environments")
        names = sorted({place for _, place in self.aliases} - {"main"})
        self._leave(number, "environments")
        return names

    def delete_environment(self, name: str) -> None:
        number = self._enter("delete_environment")
        self.aliases = {key: revision for key, revision in self.aliases.items() if key[1] != name}
        self._leave(number, "delete_environment")

    def secrets(self, environment: str | None) -> list[str]:
        number = self._enter("secrets")
        names = sorted(self.account_secrets.get(environment or "main", []))
        self._leave(number, "secrets")
        return names

    def requests(self, app: str, environment: str | None, since: float) -> list[Seen]:
        number = self._enter("requests")
        found = [seen for seen in self.seen.get((app, environment or "main"), []) if seen.ended_at >= since]
        self._leave(number, "requests")
        return found[::-1]

    def books(self, app: str, environment: str | None, since: float) -> Books:
        number = self._enter("books")
        self._leave(number, "books")
        return self.accounts

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
        request_id = f"request-{next(self.numbers)}"
        self.now += 0.25
        billed = None if units is None else float(units)
        row = Seen(request_id=request_id, status=status, seconds=0.25, units=billed, ended_at=self.now)
        self.seen.setdefault((app, place), []).append(row)
        self._leave(number, "call")
        return Called(status=status, units=units, body=body, seconds=0.25, request_id=request_id)

    def fetch(self, url: str) -> bytes:
        number = self._enter("fetch")
        self._leave(number, "fetch")
        return png()

    def ask(self, verb: str, *, timeout: float = 0.0, path: str = "", **arguments: Any) -> Any:
        """Verbs beside the Protocol: `data` has bytes and last change of folders by their paths, `own` ids of the owner's calls."""
        number = self._enter(verb)
        found = [{"name": PurePosixPath(at).name, **one} for at, one in self.data.items() if str(PurePosixPath(at).parent) == path]
        if verb == "remove_file":
            self.data.pop(path, None)
        self._leave(number, verb)
        return {"folders": found, "own_requests": self.own}.get(verb)

    def on_main(self, app: str) -> str:
        """What the package that main runs was made of."""
        return self.packages[self.aliases[app, "main"]][0]

    def _apps(self, environment: str | None) -> dict[str, Alias]:
        place = environment or "main"
        here = {app: revision for (app, at), revision in self.aliases.items() if at == place}
        return {
            app: Alias(revision=revision, auth_mode=self.auth.get((app, place), "shared"), urls=self._urls(app, place))
            for app, revision in here.items()
        }

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
