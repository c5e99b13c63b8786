"""The platform that a run talks to: the sandbox on loopback, or fal. They differ by environment variables only."""

import json
import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, Literal, TypeVar
from urllib.parse import urlsplit

from flows.books.records import write_json
from flows.errors import FlowError, JobError
from flows.home import home
from flows.job import Job
from flows.job_file import parse_job
from flows.secret_blocks import platform_environment
from serving.release.platform import FalPlatform

Target = Literal["sandbox", "fal"]
Result = TypeVar("Result")


def open_platform(target: Target) -> FalPlatform:
    """A platform ready to be called, which notes what it called; the sandbox is started where it is not running."""
    from flows.own_calls import NotedPlatform
    from serving.release.target import fal_target, sandbox_target

    if target == "fal":
        return fal_target(platform_environment(), logs=logs(), kind=NotedPlatform)
    from serving.sandbox.control import up

    running = up(home())
    return sandbox_target(running.env, caller_key=running.caller_key, logs=logs(), kind=NotedPlatform)


def logs() -> Path:
    folder = home() / "logs"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def registry_url() -> str:
    """LORASMITH_REGISTRY (any SQLAlchemy URL), or the SQLite file in LORASMITH_HOME."""
    return os.environ.get("LORASMITH_REGISTRY") or f"sqlite:///{home() / 'registry.db'}"


def job_file(app: str, target: str) -> Path:
    """Where the job of a live release is kept, for the scheduled flows."""
    folder = home() / "jobs" / target
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{app}.json"


def keep_job(job: Job, release: Mapping[str, Any]) -> None:
    """Keep the job of a release, which is what the scheduled flows publish again while it is live."""
    kept = job.model_dump(mode="json")
    write_json(_released_with(release), kept)
    write_json(job_file(release["app"], release["target"]), kept)


def restore_job(release: Mapping[str, Any]) -> bool:
    """Make the job that a release was published with that of its app again; False where it is not kept."""
    file = _released_with(release)
    if file.is_file():
        write_json(job_file(release["app"], release["target"]), json.loads(file.read_text()))
    return file.is_file()


def job_released_with(release: Mapping[str, Any]) -> Job | None:
    """The job that a release was published with, None where it is not kept here."""
    file = _released_with(release)
    return parse_job(json.loads(file.read_text()), source=str(file)) if file.is_file() else None


def kept_job(release: Mapping[str, Any]) -> dict[str, Any] | None:
    """The same as it was written then, fields that came since left out; that of the app where none of the release is kept."""
    for file in (_released_with(release), job_file(release["app"], release["target"])):
        if file.is_file():
            kept: dict[str, Any] = json.loads(file.read_text())
            return kept
    return None


def _released_with(release: Mapping[str, Any]) -> Path:
    folder = job_file(release["app"], release["target"]).parent / "releases"
    folder.mkdir(exist_ok=True)
    return folder / f"{release['app']}-{release['id']}.json"


def live_releases(target: Target | None = None) -> list[dict[str, Any]]:
    """The registry's live rows, on `target` or on both."""
    from serving.release.registry import Registry

    with closing(Registry(registry_url())) as registry:
        return at_present([row for row in registry.releases(target=target) if row["state"] == "live"])


def at_present(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Rows (with `target` and `urls`) whose addresses are those of now: a sandbox started again may have another port."""
    from serving.sandbox.control import status

    running = status(home())
    return [
        {**row, "urls": {name: moved(url, running.address) for name, url in row["urls"].items()}}
        if running and row["target"] == "sandbox"
        else dict(row)
        for row in rows
    ]


def moved(url: str, address: str) -> str:
    """The same place on another host and port."""
    return urlsplit(url)._replace(netloc=address).geturl()


def job_of(release: Mapping[str, Any]) -> Job:
    """The stored job of a live release, for flows that were started without one."""
    file = job_file(release["app"], release["target"])
    if not file.is_file():
        raise JobError(f"{release['app']} on {release['target']}: its job is not stored here ({file}); publish it once from here")
    return parse_job(json.loads(file.read_text()), source=str(file))


def each(rows: Iterable[Mapping[str, Any]], action: Callable[[Mapping[str, Any]], Result]) -> list[Result]:
    """`action` on every release; one that fails does not keep the others from theirs, and is told at the end."""
    results, faults = [], []
    for row in rows:
        try:
            results.append(action(row))
        except Exception as error:
            faults.append(f"{row['app']} on {row['target']}: {error}")
    if faults:
        raise FlowError(f"{len(faults)} of {len(faults) + len(results)} releases: {'; '.join(faults)}")
    return results
