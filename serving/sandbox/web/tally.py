"""What the ledger adds up to for each app, kept as it grows: a look costs the new rows only."""

import sqlite3
import time
from dataclasses import asdict, dataclass
from typing import Any

SHOWN = (
    *("request_id", "owner", "app", "environment", "revision", "caller", "path", "status", "created_at", "attempts", "runner"),
    *("wait_seconds", "seconds", "error_type", "machine_type", "payer", "unit", "unit_price_nano", "quantity", "cost_nano"),
)
Name = tuple[str, str, str]  # owner, app, environment


@dataclass(kw_only=True, slots=True)
class Sum:
    """Of one app: requests by how they ended, billed units, what their callers would have paid (nano-USD), seconds on runners."""

    requests: int = 0
    succeeded: int = 0
    refused: int = 0
    failed: int = 0
    units: float = 0.0
    revenue_nano: int = 0
    seconds: float = 0.0

    def add(self, row: sqlite3.Row) -> None:
        self.requests += 1
        self.succeeded += row["status"] < 400
        self.refused += 400 <= row["status"] < 500
        self.failed += row["status"] >= 500
        self.units += units_of(row)
        self.revenue_nano += (row["cost_nano"] or 0) if row["payer"] not in (None, row["owner"]) else 0  # its own calls are none
        self.seconds += row["seconds"] or 0.0


class Tally:
    """Sums by app, and the latest rows."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._seen = 0
        self._sums: dict[Name, Sum] = {}
        self._arrivals: list[tuple[float, bool]] = []

    def sums(self) -> dict[Name, Sum]:
        self._read()
        return self._sums

    def recent(self, bars: int = 60, every: int = 2) -> dict[str, Any]:
        """Requests that came in, and those of them that failed (5xx), in each of the last spans of `every` s; oldest first."""
        self._read()
        last = int(time.time() // every)
        since = (last - bars + 1) * every
        self._arrivals = [arrival for arrival in self._arrivals if arrival[0] >= since]
        found = [{"requests": 0, "failed": 0} for _ in range(bars)]
        for at, failed in self._arrivals:
            bar = found[min(bars - 1, int((at - since) // every))]
            bar["requests"] += 1
            bar["failed"] += failed
        return {"every": every, "bars": found}

    def latest(self, count: int) -> list[dict[str, Any]]:
        """Newest first, as the page shows them."""
        return [seen(row) for row in self._db.execute("SELECT * FROM ledger ORDER BY rowid DESC LIMIT ?", (count,))]

    def request(self, request_id: str) -> dict[str, Any] | None:
        row = self._db.execute("SELECT * FROM ledger WHERE request_id = ? ORDER BY rowid DESC LIMIT 1", (request_id,)).fetchone()
        return seen(row) if row else None

    def _read(self) -> None:
        for row in self._db.execute("SELECT rowid, * FROM ledger WHERE rowid > ? ORDER BY rowid", (self._seen,)):
            self._sums.setdefault((row["owner"], row["app"], row["environment"]), Sum()).add(row)
            self._arrivals.append((row["created_at"], row["status"] >= 500))
            self._seen = row["rowid"]


def as_json(found: Sum) -> dict[str, Any]:
    return asdict(found) | {"seconds": round(found.seconds, 3)}


def seen(row: sqlite3.Row) -> dict[str, Any]:
    """One request, with what its caller would have paid (nano-USD; None where it is not known)."""
    return {name: row[name] for name in SHOWN} | {
        "queued": bool(row["queued"]),
        "units": None if row["units"] is None else units_of(row),
    }


def units_of(row: sqlite3.Row) -> float:
    """What the app said and the ledger counts; 0 where the app said nothing."""
    return float(row["billable_units"] or 0) if row["units"] is not None else 0.0
