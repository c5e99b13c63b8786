"""What an owner wants to see at a glance: gross revenue by app and day."""

import sqlite3
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

from .billing import ZERO, said_units
from .windows import DAY

ROWS = """
SELECT app, environment, ended_at, payer, cost_nano, units FROM ledger
WHERE owner = ? AND ended_at >= ? AND runner IS NOT NULL ORDER BY ended_at
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Revenue:
    """What others paid for an app on one day (UTC). Gross: what share of it the owner gets is agreed with fal, and not public.

    units: what the app said. unknown: requests whose price is not known; they are in no sum of money.
    """

    day: str
    app: str
    environment: str
    requests: int
    units: Decimal
    gross_nano: int
    unknown: int


def revenue(db: sqlite3.Connection, owner: str, *, days: int = 7) -> list[Revenue]:
    """Oldest day first, then by app; an owner's own calls are among the requests, but no revenue."""
    sums: dict[tuple[str, str, str], tuple[int, Decimal, int, int]] = {}
    for row in db.execute(ROWS, (owner, time.time() - days * DAY)):
        day = datetime.fromtimestamp(row["ended_at"], UTC).date().isoformat()
        key = (day, row["app"], row["environment"])
        requests, units, gross, unknown = sums.get(key, (0, ZERO, 0, 0))
        sold = row["payer"] not in (None, owner)
        gross += (row["cost_nano"] or 0) if sold else 0
        unknown += sold and row["cost_nano"] is None
        sums[key] = (requests + 1, units + (said_units(row["units"]) or ZERO), gross, unknown)
    return [
        Revenue(day=day, app=app, environment=environment, requests=requests, units=units, gross_nano=gross, unknown=unknown)
        for (day, app, environment), (requests, units, gross, unknown) in sorted(sums.items())
    ]
