"""Prices and revenue of the sandbox of a home, as a command reads and sets them; the daemon need not run."""

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ..accounts import OWNER
from ..errors import NotFound
from ..state import State
from . import overview
from .billing import ZERO, plain, said_units
from .ledger import Ledger
from .prices import Price, Prices, app_of, nano_usd


def set_price(home: Path, app: str, usd: str, *, unit: str = "image") -> Price:
    """What a unit of an app (or `app/route`) costs from now on; BadPrice, or NotFound for an app that is not deployed."""
    nano, endpoint = nano_usd(usd), f"{OWNER}/{app.strip('/')}"
    with _state(home) as state:
        name = app_of(endpoint).partition("/")[2]
        if state is None or state.alias(OWNER, name) is None:
            known = [alias.name for alias in state.aliases(OWNER)] if state is not None else []
            raise NotFound(f"no app '{name}' in this sandbox; deployed: {', '.join(known) or 'none'}")
        return Prices(state.db).set(endpoint, nano, unit=unit)


def prices(home: Path) -> list[Price]:
    """What counts now, by endpoint."""
    with _state(home) as state:
        return Prices(state.db).current() if state is not None else []


def revenue(home: Path, *, days: int = 7) -> list[overview.Revenue]:
    """Gross revenue by day and app."""
    with _state(home) as state:
        if state is None:
            return []
        Ledger(state.db)  # gives a file of an earlier version its columns
        return overview.revenue(state.db, OWNER, days=days)


def units(rows: Iterable[Mapping[str, Any]]) -> str:
    """What the apps of these ledger rows said that they delivered; text that is no number counts as nothing."""
    return plain(sum((said_units(row["units"]) or ZERO for row in rows), ZERO))


@contextlib.contextmanager
def _state(home: Path) -> Iterator[State | None]:
    path = home.resolve() / "sandbox" / "state.db"
    if not path.exists():
        yield None
        return
    state = State(path)
    try:
        yield state
    finally:
        state.close()
