"""The platform that a run talks to: the sandbox on loopback, or fal. They differ by environment variables only."""

import json
import os
from contextlib import closing
from pathlib import Path
from typing import Any, Literal

from flows.home import home
from flows.job import Job, parse_job
from serving.release.platform import FalPlatform

Target = Literal["sandbox", "fal"]


def open_platform(target: Target) -> FalPlatform:
    """A platform ready to be called; the sandbox is started where it is not running."""
    from serving.release.target import fal_target, sandbox_target

    if target == "fal":
        return fal_target(os.environ, logs=logs())
    from serving.sandbox.control import up

    running = up(home())
    return sandbox_target(running.env, caller_key=running.caller_key, logs=logs())


def logs() -> Path:
    folder = home() / "logs"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def registry_url() -> str:
    """LORASMITH_REGISTRY (any SQLAlchemy URL), or the SQLite file in LORASMITH_HOME."""
    return os.environ.get("LORASMITH_REGISTRY") or f"sqlite:///{home() / 'registry.db'}"


def job_file(app: str) -> Path:
    """Where the job of a live release is kept, for the scheduled flows."""
    folder = home() / "jobs"
    folder.mkdir(exist_ok=True)
    return folder / f"{app}.json"


def live_releases(target: Target) -> list[dict[str, Any]]:
    """The registry's live rows on `target`."""
    from serving.release.registry import Registry

    with closing(Registry(registry_url())) as registry:
        return [row for row in registry.releases(target=target) if row["state"] == "live"]


def live_release(app: str, target: Target) -> dict[str, Any] | None:
    return next((row for row in live_releases(target) if row["app"] == app), None)


def live_jobs(target: Target) -> list[Job]:
    """The stored jobs of live releases, for flows that were started without one."""
    files = [job_file(row["app"]) for row in live_releases(target)]
    return [parse_job(json.loads(file.read_text()), source=str(file)) for file in files if file.is_file()]
