"""What a run leaves behind for `lorasmith status`: one JSON file a run, and the last one."""

import json
import os
import re
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from flows.home import home
from flows.job import Job
from flows.orchestration.keeping import is_alive
from flows.store import Artefact

SWEPT = ("runs", "jobs", "listings", "decisions", "evidence")
PART = re.compile(r"\.(\d+)\.part$")
WRITING_SECONDS = 2.0


class Stopwatch:
    """Seconds of wall time by step."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, step: str) -> Iterator[None]:
        begun = time.monotonic()
        try:
            yield
        finally:
            self.seconds[step] = round(time.monotonic() - begun, 2)


def record_run(
    job: Job,
    release: Mapping[str, Any],
    bundle: Artefact,
    licences: Artefact,
    listing: Artefact,
    seconds: Mapping[str, float],
    *,
    run: str | None = None,
) -> dict[str, Any]:
    """Write and return `last_run` as contracts have it: found work counts too. run: its id, where the book has it already."""
    identity = run or f"{job.name}-{uuid.uuid4().hex[:8]}"
    evaluation = json.loads((bundle.path / "evaluation.json").read_text())
    gallery = json.loads((listing.path / "summary.json").read_text())
    called = calls_of(release["evidence"])
    done = {
        "run": identity,
        "app": release["app"],
        "revision": release["revision"],
        "unit": job.serving.billing_unit,
        "images": sum(part["images"] for part in called) + gallery["images"],
        "units": sum(part["units"] for part in called) + gallery["units"],
        "loss": {"base": evaluation["loss"]["base"], "adapter": evaluation["loss"]["adapter"]},
        "verdict": json.loads((licences.path / "verdict.json").read_text())["verdict"],
        "package": release["package"],
        "urls": release["urls"],
        "target": release["target"],
        "seconds": dict(seconds),
        "grid": str(bundle.path / "samples" / "grid.png"),
        "bundle": str(bundle.path),
        "listing": str(listing.path),
        "license_report": str(licences.path / "report.html"),
    }
    folder = home() / "runs"
    folder.mkdir(exist_ok=True)
    path = folder / f"{identity}.json"
    write_json(path, (json.loads(path.read_text()) if path.is_file() else {}) | done)
    write_json(folder / "last.json", done)
    return done


def calls_of(evidence: Mapping[str, Any]) -> list[Mapping[str, int]]:
    """Images and units of a release's rollout: smoke tests, golden prompts, and the same ones asked of what was live."""
    found = [evidence.get(part) or {} for part in ("candidate", "main", "golden", "after_rollback")]
    found.append((evidence.get("budget") or {}).get("live") or {})
    return [part for part in found if "units" in part]


def last_run() -> dict[str, Any] | None:
    path = home() / "runs" / "last.json"
    return json.loads(path.read_text()) if path.is_file() else None


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Atomically."""
    write_text(path, json.dumps(value, indent=2) + "\n")


def write_text(path: Path, text: str) -> None:
    """Atomically; a device or a pipe is written to as it is."""
    if path.exists() and not path.is_file():
        path.write_text(text, encoding="utf-8")
        return
    scratch = path.with_suffix(f".{os.getpid()}.part")
    try:
        scratch.write_text(text, encoding="utf-8")
        os.replace(scratch, path)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from None  # the file that was asked for, not the one beside it
    finally:
        scratch.unlink(missing_ok=True)


def sweep(home: Path) -> None:
    """Remove files that processes which are gone were about to put in their places; another machine's are older when they are."""
    for folder in SWEPT:
        for left in (home / folder).rglob("*.part"):
            owner = PART.search(left.name)
            with suppress(FileNotFoundError):  # another run sweeps too
                if owner and not is_alive(int(owner[1])) and time.time() - left.stat().st_mtime > WRITING_SECONDS:
                    left.unlink()
