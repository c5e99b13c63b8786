"""Requests that are ours and no customer's: smoke tests, golden prompts, galleries, questions after health.

The platform's record of an app's requests does not say who called. What lorasmith calls is noted here by its request id, whatever
key it used, and what the owner's key called from anywhere else the platform tells that key.
"""

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

from flows.home import home
from serving.release.errors import PlatformError, PlatformTimeout, PlatformUnreachable, WrongKey
from serving.release.platform import Called, Caller, FalPlatform, Platform


class AskedPlatform(Platform, Protocol):
    """A platform that can be asked what the Protocol of releases has no verb for."""

    def ask(self, verb: str, *, timeout: float = 120.0, **arguments: Any) -> Any: ...


class NotedPlatform(FalPlatform):
    """fal with a note of each request that it was given an id for."""

    def call(
        self,
        app: str,
        arguments: Mapping[str, Any],
        *,
        environment: str | None = None,
        path: str = "",
        key: Caller | None = "caller",
    ) -> Called:
        called = super().call(app, arguments, environment=environment, path=path, key=key)
        if called.request_id is not None:
            with suppress(OSError):  # the answer is paid for: a full disk does not lose it
                note(self.name, app, called.request_id)
        return called


def note(target: str, app: str, request_id: str) -> None:
    """One line, by one write; it begins with the line's end, so that half a line of a full disk spoils no other."""
    at = datetime.now(UTC)
    file = _file(target, at)
    file.parent.mkdir(mode=0o700, exist_ok=True)
    line = "\n" + json.dumps({"at": at.isoformat(timespec="seconds"), "app": app, "request_id": request_id})
    handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        os.write(handle, line.encode())
    finally:
        os.close(handle)


def noted(target: str, app: str, since: datetime) -> frozenset[str]:
    """Ids that were noted from the month of `since` on; half a line is passed over."""
    now, files = datetime.now(UTC), set()
    day = since.astimezone(UTC)
    while day < now + timedelta(days=1):
        files.add(_file(target, min(day, now)))
        day += timedelta(days=1)
    lines = [
        line for file in files if file.is_file() for line in file.read_text(encoding="utf-8").split("\n") if line.endswith("}")
    ]
    return frozenset(row["request_id"] for row in map(json.loads, lines) if row["app"] == app)


def own_requests(platform: AskedPlatform, app: str, since: datetime) -> frozenset[str]:
    """Ids of our own requests since a moment: those noted here, and those that the platform tells the owner's key it made."""
    return noted(platform.name, app, since) | frozenset(_told(platform, app, since.timestamp()))


def _told(platform: AskedPlatform, app: str, since: float) -> list[str]:
    """Empty where the platform does not tell."""
    try:
        owner = platform.whoami()["nickname"]
        found: list[str] = platform.ask("own_requests", owner=owner, app=app, environment=None, since=since) or []
    except (PlatformTimeout, PlatformUnreachable, WrongKey):
        raise
    except PlatformError:
        return []
    return found


def _file(target: str, at: datetime) -> Path:
    return home() / "calls" / f"{target}-{at:%Y-%m}.jsonl"
