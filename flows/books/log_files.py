"""The log files of a home: of runs, of trainers, of the platform's calls, of the sandbox, of Prefect's server and workers."""

import json
import time
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from flows.books import run_book
from flows.home import home

PLACES: Final = (
    "runs/*.log",
    "logs/*.log",
    "logs/*.jsonl",
    "work/*/*.log",
    "work/*/*.jsonl",
    "sandbox/logs/**/*.log",
    "prefect/*.log",
)
STEP_SECONDS: Final = 0.5
MOST_BYTES: Final = 1 << 20  # of a file's end that is looked at for its last lines


def all_of_them() -> list[Path]:
    """Every log with something in it, the one that was written last at the end."""
    found = {path for place in PLACES for path in home().glob(place) if path.is_file() and path.stat().st_size}
    return sorted(found, key=lambda path: (path.stat().st_mtime, path))


def of_run(run: Mapping[str, Any]) -> list[Path]:
    """The run's own lines, and what its trainers wrote while it ran."""
    own = run_book.lines_of(run["run"])
    begun, ended = (datetime.fromisoformat(run[name]).timestamp() if run.get(name) else None for name in ("begun_at", "ended_at"))
    work = [path for path in all_of_them() if path.is_relative_to(home() / "work")]
    meanwhile = [path for path in work if begun is not None and begun <= path.stat().st_mtime <= (ended or time.time()) + 1]
    return [path for path in (*meanwhile, own) if path.is_file()]


def tail(path: Path, number: int) -> tuple[int, list[str]]:
    """Where the file is read up to, and its last lines as a person reads them; half a line waits for its end."""
    with path.open("rb") as file:
        size = file.seek(0, 2)
    place, lines = new_lines(path, max(0, size - MOST_BYTES))
    return place, [shown(path, line) for line in lines[-number:]] if number else []


def followed(places: dict[Path, int], run: str | None = None) -> Iterator[tuple[Path, str]]:
    """Whole lines from these places on, of files that come later too; of one run, until it has ended. Never ends otherwise."""
    while True:
        over = run is not None and run_book.found(run).get("state") != "running"
        for path in of_run(run_book.found(run)) if run else all_of_them():
            places[path], lines = new_lines(path, places.get(path, 0))
            yield from ((path, shown(path, line)) for line in lines)
        if over:
            return
        time.sleep(STEP_SECONDS)


def new_lines(path: Path, place: int) -> tuple[int, list[str]]:
    """Where the next look begins, and the whole lines since `place`; a file that became shorter is read from its beginning."""
    with path.open("rb") as file:
        place = place if place <= file.seek(0, 2) else 0
        file.seek(place)
        whole, _, half = file.read().rpartition(b"\n")
        return file.tell() - len(half), whole.decode(errors="replace").splitlines()


def shown(path: Path, line: str) -> str:
    """A trainer's event in words; any other line as it stands."""
    if path.suffix != ".jsonl" or not path.is_relative_to(home() / "work"):
        return line
    try:
        event = json.loads(line)
    except ValueError:
        return line
    if not isinstance(event, dict):
        return line
    of = f" of {event['total']}" if event.get("total") else ""
    loss = f", loss {event['loss']:.4f}" if event.get("loss") is not None else ""
    speed = f", {event['steps_per_second']:.3g} steps/s" if event.get("steps_per_second") else ""
    step = f" {event['step']}{of}" if "step" in event else of
    said = f": {event['message']}" if event.get("message") else ""
    return f"{event.get('event', '')} {event.get('stage', '')}{step}{loss}{speed}{said}".strip()


def name_of(path: Path) -> str:
    return str(path.relative_to(home()))
