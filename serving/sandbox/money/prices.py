"""What a unit costs: prices of endpoints, set one by one as fal's team does it, and rates of machine types, in nano-USD."""

import sqlite3
import time
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from ..errors import SandboxError

NANO = 10**9
CURRENCY = "USD"
SECOND = "second"
HIGHEST_USD = 1_000_000

# Nano-USD a second and GPU, as transcripts of fal.ai/pricing of May and September 2026 have them: the list rate where one was seen
# (H200, B200), else the lowest ("as low as": A100, H100). What other machine types cost was not seen: unknown, never guessed.
MACHINE_RATES = {"GPU-A100": 275_000, "GPU-H100": 525_000, "GPU-H200": 1_250_000, "GPU-B200": 1_736_000}

SCHEMA = """
CREATE TABLE IF NOT EXISTS prices (endpoint TEXT NOT NULL, unit TEXT NOT NULL, nano INTEGER NOT NULL, set_at REAL NOT NULL);
CREATE INDEX IF NOT EXISTS prices_by_endpoint ON prices (endpoint);
"""


class BadPrice(SandboxError):
    """An amount that is no price in USD."""

    exit_code = 2


@dataclass(frozen=True, kw_only=True, slots=True)
class Price:
    """What one unit of an endpoint costs since `set_at` (Unix seconds)."""

    endpoint: str
    unit: str
    nano: int
    set_at: float


class Prices:
    """Prices by endpoint (`owner/alias`, or a route of it); the newest counts, former ones stay."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        db.executescript(SCHEMA)

    def set(self, endpoint: str, nano: int, *, unit: str = "image", at: float | None = None) -> Price:
        price = Price(endpoint=endpoint, unit=unit, nano=nano, set_at=time.time() if at is None else at)
        self._db.execute("INSERT INTO prices VALUES (?,?,?,?)", (price.endpoint, price.unit, price.nano, price.set_at))
        return price

    def of(self, endpoint: str) -> Price | None:
        """The price of a route, else that of its app; None where none was set."""
        row = self._db.execute(
            "SELECT * FROM prices WHERE endpoint IN (?, ?) ORDER BY length(endpoint) DESC, rowid DESC LIMIT 1",
            (endpoint, app_of(endpoint)),
        ).fetchone()
        return Price(**dict(row)) if row else None

    def current(self) -> list[Price]:
        """The newest price of each endpoint, by name."""
        rows = self._db.execute(
            "SELECT * FROM prices WHERE rowid IN (SELECT max(rowid) FROM prices GROUP BY endpoint) ORDER BY endpoint"
        )
        return [Price(**dict(row)) for row in rows]


def app_of(endpoint: str) -> str:
    """`owner/alias` of an endpoint id, without its route."""
    return "/".join(endpoint.split("/", 2)[:2])


def machine_rate(machine_type: str, gpus: int = 1) -> int | None:
    """Nano-USD a second; None where the machine type's rate is not known."""
    rate = MACHINE_RATES.get(machine_type)
    return None if rate is None else rate * max(1, gpus)


def nano_usd(text: str) -> int:
    """`0.025` as 25000000; BadPrice for what is no amount, and for what is finer than a nano-USD."""
    try:
        amount = Decimal(text)
        nano = amount.scaleb(9)
        exact = amount.is_finite() and 0 <= amount <= HIGHEST_USD and nano == int(nano)
    except InvalidOperation:
        exact = False
    if not exact:
        raise BadPrice(f"price '{text}': give USD from 0 to {HIGHEST_USD} with at most nine decimals, such as 0.025")
    return int(nano)


def usd(nano: int | None) -> str:
    """`25000000` as `0.025`, at least two decimals; `unknown` for None."""
    if nano is None:
        return "unknown"
    whole, rest = divmod(abs(nano), NANO)
    decimals = f"{rest:09d}".rstrip("0").ljust(2, "0")
    return f"{'-' if nano < 0 else ''}{whole}.{decimals}"
