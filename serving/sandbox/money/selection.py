"""Which rows of the ledger a question is about, as SQL conditions with their values."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from .windows import Span

STATUSES = {"success": (200, 300), "user_error": (400, 500), "error": (500, 1000)}


@dataclass(frozen=True, kw_only=True, slots=True)
class Selection:
    """Conditions that all hold; what is None or empty asks for nothing. `upto`: the newest row of the list.

    billed: callers pay for it: a runner answered it, and not with 5xx.
    """

    span: Span
    upto: int
    owner: str | None = None
    caller: str | None = None
    payer: str | None = None
    endpoints: Sequence[str] = ()
    request_ids: Sequence[str] = ()
    status: str | None = None
    billed: bool = False

    def where(self) -> tuple[str, list[Any]]:
        """The condition, and a value for each of its marks."""
        free = "+" if self.request_ids else ""  # a plus keeps SQLite from any index but that of the few ids
        parts: list[tuple[str, Sequence[Any]]] = [
            (f"{free}ended_at >= ? AND {free}ended_at < ?", (self.span.start, self.span.end)),
            (f"{free}rowid <= ?", (self.upto,)),
        ]
        for column, value in (("owner", self.owner), ("caller", self.caller), ("payer", self.payer)):
            if value is not None:
                parts.append((f"{free}{column} = ?", (value,)))
        if self.endpoints:
            named = [_named(endpoint, f"{free}endpoint") for endpoint in self.endpoints]
            parts.append((_any(condition for condition, _ in named), [value for _, values in named for value in values]))
        if self.request_ids:
            parts.append((f"request_id IN ({', '.join('?' * len(self.request_ids))})", self.request_ids))
        if self.billed:
            parts.append(("payer IS NOT NULL AND status < 500 AND runner IS NOT NULL", ()))
        if self.status is not None:
            parts.append(("status >= ? AND status < ?", STATUSES[self.status]))
        return " AND ".join(part for part, _ in parts), [value for _, values in parts for value in values]


def _named(endpoint: str, column: str) -> tuple[str, tuple[str, ...]]:
    """`owner/alias` stands for all of the app's routes, a longer id for one; '0' is what follows '/' in ASCII."""
    if endpoint.count("/") == 1:
        return f"({column} = ? OR ({column} > ? AND {column} < ?))", (endpoint, f"{endpoint}/", f"{endpoint}0")
    return f"{column} = ?", (endpoint,)


def _any(conditions: Iterable[str]) -> str:
    return f"({' OR '.join(conditions)})"
