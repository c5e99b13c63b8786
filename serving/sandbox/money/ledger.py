"""The ledger: one row for every request that reached the gateway, written when it ends."""

import sqlite3
import time
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from ..state import add_columns

SCHEMA = """
CREATE TABLE IF NOT EXISTS ledger (
    request_id TEXT, app TEXT, environment TEXT, revision TEXT, caller TEXT, path TEXT, status INTEGER, units TEXT, seconds REAL,
    created_at REAL)
"""
LATER = {
    "owner": "TEXT NOT NULL DEFAULT ''",
    "method": "TEXT NOT NULL DEFAULT 'POST'",
    "ended_at": "REAL",
    "queued": "INTEGER NOT NULL DEFAULT 0",
    "wait_seconds": "REAL NOT NULL DEFAULT 0",
    "attempts": "INTEGER NOT NULL DEFAULT 1",
    "runner": "TEXT",
    "machine_type": "TEXT NOT NULL DEFAULT ''",
    "error_type": "TEXT",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One request; `units` is what the app said, None where it said nothing. Times are Unix seconds, durations seconds.

    created_at: when it came in. wait_seconds: until a runner had it. seconds: on runners, all attempts together.
    """

    request_id: str
    app: str
    environment: str
    revision: str | None
    caller: str | None
    path: str
    status: int
    units: str | None
    seconds: float
    created_at: float = field(default_factory=time.time)
    owner: str = ""
    method: str = "POST"
    ended_at: float = field(default_factory=time.time)
    queued: bool = False
    wait_seconds: float = 0.0
    attempts: int = 1
    runner: str | None = None
    machine_type: str = ""
    error_type: str | None = None


class Ledger:
    """Rows of one database; every method is one transaction."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        db.executescript(SCHEMA)
        add_columns(db, "ledger", LATER)

    def record(self, entry: Entry) -> None:
        row = {name: round(value, 6) if isinstance(value, float) else value for name, value in asdict(entry).items()}
        names = [column.name for column in fields(Entry)]
        marks = ", ".join(f":{name}" for name in names)
        self._db.execute(f"INSERT INTO ledger ({', '.join(names)}) VALUES ({marks})", row)

    def rows(self) -> list[dict[str, Any]]:
        """Oldest first."""
        return [dict(row) for row in self._db.execute("SELECT * FROM ledger ORDER BY rowid")]
