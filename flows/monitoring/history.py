"""What the monitor saw before: a row a look in HOME/monitor/history.jsonl, bounded, and which findings were told already."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from flows.books.records import write_json, write_text
from flows.home import home
from flows.monitoring.findings import RANK, Finding, Level
from flows.store import locked

KEPT = 3000  # rows: a month of one release, looked at every quarter of an hour
TOLD = "told.json"


def folder() -> Path:
    place = home() / "monitor"
    place.mkdir(mode=0o700, exist_ok=True)
    return place


@contextmanager
def turn() -> Iterator[None]:
    """One monitor at a time in this home: a second waits, so that nothing is drawn or told twice."""
    with locked(folder() / ".lock"):
        yield


def rows() -> list[dict[str, Any]]:
    """Oldest first; a last line that a kill left half-written is none."""
    file = folder() / "history.jsonl"
    lines = file.read_text(encoding="utf-8").split("\n")[:-1] if file.is_file() else []
    return [json.loads(line) for line in lines]


def keep(new: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Add rows and forget the oldest; all that is kept now."""
    kept = [*rows(), *(json.loads(json.dumps(row, default=str)) for row in new)][-KEPT:]
    write_text(folder() / "history.jsonl", "".join(json.dumps(row, separators=(",", ":")) + "\n" for row in kept))
    return kept


def drawn_on(day: date, app: str, target: str, seen: Sequence[Mapping[str, Any]]) -> int:
    """Golden prompts that a release's looks of this day (UTC) have drawn."""
    of_app = [row for row in seen if (row["app"], row["target"]) == (app, target) and row["golden"]]
    return sum(row["golden"]["asked"] for row in of_app if datetime.fromisoformat(row["at"]).astimezone(UTC).date() == day)


def changed(app: str, target: str, findings: Iterable[Finding], told: Mapping[str, Mapping[str, Level]]) -> list[Finding]:
    """Findings that are at another level than when they were told last; what was never told begins at ok."""
    before = told.get(f"{target}/{app}", {})
    return [one for one in findings if one.level != before.get(one.code, "ok")]


def told_last() -> dict[str, dict[str, Level]]:
    file = folder() / TOLD
    found: dict[str, dict[str, Level]] = json.loads(file.read_text()) if file.is_file() else {}
    return found


def remember(app: str, target: str, findings: Iterable[Finding]) -> None:
    """What has been told of a release. A code that was not looked at this time keeps its level."""
    told = told_last()
    levels = told.get(f"{target}/{app}", {}) | {one.code: one.level for one in findings}
    told[f"{target}/{app}"] = {code: level for code, level in levels.items() if RANK[level]}
    write_json(folder() / TOLD, told)
