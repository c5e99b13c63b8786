"""The ledger: one row for every request that reached the gateway, written when it ends, with what it cost at that moment."""

import sqlite3
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from ..state import add_columns, full_name
from .billing import Served, bill, billable_units, plain
from .prices import Prices, machine_rate

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
    "auth_mode": "TEXT NOT NULL DEFAULT ''",
    "served_seconds": "REAL",
    "endpoint": "TEXT",
    "billable_units": "TEXT",
    "payer": "TEXT",
    "unit": "TEXT NOT NULL DEFAULT ''",
    "quantity": "TEXT",
    "unit_price_nano": "INTEGER",
    "cost_nano": "INTEGER",
}
INDEXES = """
CREATE INDEX IF NOT EXISTS ledger_by_owner ON ledger (owner, ended_at);
CREATE INDEX IF NOT EXISTS ledger_by_app ON ledger (endpoint, ended_at);
CREATE INDEX IF NOT EXISTS ledger_by_caller ON ledger (caller, ended_at);
CREATE INDEX IF NOT EXISTS ledger_by_request ON ledger (request_id);
"""
# Rows of a file of an earlier version: whose app it was is told by the revision, what they cost stays unknown.
BACKFILL = """
UPDATE ledger SET owner = coalesce((SELECT owner FROM revisions WHERE id = ledger.revision), '') WHERE owner = '';
UPDATE ledger SET ended_at = created_at WHERE ended_at IS NULL;
UPDATE ledger SET endpoint = owner || '/' || app || CASE WHEN environment IN ('', 'main') THEN '' ELSE '--' || environment END
    || rtrim(path, '/') WHERE endpoint IS NULL;
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One request; `units` is what the app said, None where it said nothing. Times are Unix seconds, durations seconds.

    created_at: when it came in. wait_seconds: until a runner had it. seconds: on runners, all attempts together.
    served_seconds: of the attempt that was answered, None where there was one. auth_mode: of the app when it was let in.
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
    auth_mode: str = "private"
    served_seconds: float | None = None


class Ledger:
    """Rows of one database; every method is one transaction."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._prices = Prices(db)
        self._gpus: dict[str | None, int] = {}
        db.executescript(SCHEMA)
        add_columns(db, "ledger", LATER)
        db.executescript(INDEXES)
        if db.execute("SELECT 1 FROM ledger WHERE endpoint IS NULL LIMIT 1").fetchone():
            db.executescript(f"BEGIN; {BACKFILL} COMMIT;")

    def record(self, entry: Entry) -> None:
        """One row; its price is that of this moment, and stays."""
        endpoint = endpoint_of(entry)
        given = ((name, getattr(entry, name)) for name in ENTRY)
        row = {name: round(value, 6) if isinstance(value, float) else value for name, value in given}
        self._db.execute(INSERT, row | {"endpoint": endpoint} | self._billed(entry, endpoint))

    def rows(self) -> list[dict[str, Any]]:
        """Oldest first."""
        return [dict(row) for row in self._db.execute("SELECT * FROM ledger ORDER BY rowid")]

    def last(self) -> int:
        """The number of the newest row, which bounds what the later pages of a list show."""
        return int(self._db.execute("SELECT coalesce(max(rowid), 0) FROM ledger").fetchone()[0])

    def find(
        self, where: str, values: Sequence[Any], *, limit: int = -1, offset: int = 0, order: str = "ended_at", columns: str = "*"
    ) -> list[dict[str, Any]]:
        """Rows that `where` (SQL with marks for `values`) lets through, the highest first; those that are equal by number."""
        query = f"SELECT {columns} FROM ledger WHERE {where} ORDER BY {order} DESC, rowid DESC LIMIT ? OFFSET ?"
        return [dict(row) for row in self._db.execute(query, (*values, limit, offset))]

    def paid_by(self, account: str) -> int:
        """Nano-USD of all requests that the account pays for, as far as their prices are known."""
        found = self._db.execute("SELECT coalesce(sum(cost_nano), 0) FROM ledger WHERE caller = ? AND payer = caller", (account,))
        return int(found.fetchone()[0])

    def knows(self, endpoint: str) -> bool:
        """Whether a runner ever had a request for the endpoint."""
        query = "SELECT 1 FROM ledger WHERE endpoint = ? AND runner IS NOT NULL LIMIT 1"
        return self._db.execute(query, (endpoint,)).fetchone() is not None

    def _billed(self, entry: Entry, endpoint: str) -> dict[str, Any]:
        served = Served(
            status=entry.status,
            units=entry.units,
            seconds=entry.seconds if entry.served_seconds is None else entry.served_seconds,
            ran=entry.runner is not None,
            auth_mode=entry.auth_mode,
            caller=entry.caller,
        )
        rate = machine_rate(entry.machine_type, self._gpus_of(entry.revision))
        billed = bill(served, self._prices.of(endpoint), rate)
        return {
            "billable_units": plain(billable_units(served)),
            "payer": billed.payer,
            "unit": billed.unit,
            "quantity": plain(billed.quantity),
            "unit_price_nano": billed.unit_price_nano,
            "cost_nano": billed.cost_nano,
        }

    def _gpus_of(self, revision: str | None) -> int:
        """GPUs of the revision's machine; a revision does not change."""
        if revision not in self._gpus:
            self._gpus[revision] = gpus_of(self._db, revision)
        return self._gpus[revision]


def endpoint_of(entry: Entry) -> str:
    """`owner/alias`, and the route where it is not the app's first: how fal's platform API names what was called."""
    return f"{entry.owner}/{full_name(entry.app, entry.environment)}{entry.path.rstrip('/')}"


def gpus_of(db: sqlite3.Connection, revision: str | None) -> int:
    """GPUs of a revision's machine; 1 where it asked for none."""
    row = db.execute("SELECT json_extract(settings, '$.num_gpus') FROM revisions WHERE id = ?", (revision,)).fetchone()
    return int(row[0] or 1) if row else 1


BILLED = ("endpoint", "billable_units", "payer", "unit", "quantity", "unit_price_nano", "cost_nano")
ENTRY = tuple(column.name for column in fields(Entry))
_NAMES = (*ENTRY, *BILLED)
INSERT = f"INSERT INTO ledger ({', '.join(_NAMES)}) VALUES ({', '.join(f':{name}' for name in _NAMES)})"
