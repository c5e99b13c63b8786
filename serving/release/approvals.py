"""What a person was asked before something goes live, and what was said: rows of the registry, each change with its journal line.

An approval is named by the hash of what it is about (app, target, package, price, gate's decision): it counts for exactly that, and
whoever asks the same again finds it. Who said it is what somebody wrote there: a claim, not an identity.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from serving.release.database import reading
from serving.release.errors import UnknownApproval
from serving.release.registry import Registry, Row
from serving.release.tables import approvals

Way = Literal["command", "form", "timeout"]
NOBODY: Final = "nobody"


def approval_id(subject: Mapping[str, Any]) -> str:
    """The name of an approval: the hash of what it is about."""
    written = json.dumps(["approval", subject], sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(written.encode()).hexdigest()[:16]


def ask(
    registry: Registry,
    subject: Mapping[str, Any],
    *,
    reasons: Sequence[str],
    evidence: Mapping[str, Any],
    hours: float,
    flow_run: str | None = None,
) -> Row:
    """The row of this question as it stands; a new one is open for `hours` from now, and so is one that ran out on another run.

    subject: {"app", "target", "package", "price_usd", "gate"}. flow_run: the Prefect run that waits for the answer.
    """
    with registry.writing() as connection:
        known = _row(connection, approval_id(subject))
        if known is not None and known["state"] == "pending" and _is_over(known, registry.clock()):
            known = _expired(registry, connection, known)
        row = _question(registry, subject, reasons, evidence, hours) | {"flow_run": flow_run}
        if known is not None and known["state"] == "pending":  # another run asks the same: its time does not begin anew
            row = known | {"flow_run": flow_run or known["flow_run"]}
        elif known is not None and not (known["state"] == "expired" and (flow_run is None or known["flow_run"] != flow_run)):
            row = known
        if row != known:
            registry.store(connection, row, known, event="asked", table=approvals)
        return row


def decide(registry: Registry, identity: str, *, approve: bool, by: str, why: str, way: Way) -> Row:
    """Write down what was said, with its journal line. What was said before stays in the journal. Raises UnknownApproval."""
    with registry.writing() as connection:
        known = _known(connection, identity)
        state = "approved" if approve else "denied"
        row = known | {"state": state, "by": by, "why": why, "way": way, "decided_at": registry.now()}
        registry.store(connection, row, known, event=state, table=approvals)
        return row


def expire(registry: Registry) -> list[Row]:
    """Write a no under every question whose time is over; those rows."""
    if not any(_is_over(row, registry.clock()) for row in listed(registry, state="pending")):
        return []
    with registry.writing() as connection:
        pending = [dict(row) for row in connection.execute(sa.select(approvals).filter_by(state="pending")).mappings()]
        return [_expired(registry, connection, row) for row in pending if _is_over(row, registry.clock())]


def listed(registry: Registry, *, state: str | None = None) -> list[Row]:
    """Approvals, the newest question first."""
    query = sa.select(approvals).order_by(approvals.c.asked_at.desc(), approvals.c.id)
    if state:
        query = query.filter_by(state=state)
    with reading(registry.engine) as connection:
        return [dict(row) for row in connection.execute(query).mappings()]


def found(registry: Registry, identity: str) -> Row:
    """The approval of this id, or of the only id that begins so. Raises UnknownApproval."""
    rows = [row for row in listed(registry) if identity and row["id"].startswith(identity)]
    if len(rows) != 1:
        said = f"begins {len(rows)} ids" if rows else "is no approval here"
        raise UnknownApproval(f"approval {identity!r} {said}; `lorasmith approvals list` shows them")
    return rows[0]


def _question(
    registry: Registry, subject: Mapping[str, Any], reasons: Sequence[str], evidence: Mapping[str, Any], hours: float
) -> Row:
    until = registry.clock().astimezone(UTC) + timedelta(hours=hours)
    return {
        "id": approval_id(subject),
        "app": subject["app"],
        "target": subject["target"],
        "subject": dict(subject),
        "reasons": list(reasons),
        "evidence": dict(evidence),
        "state": "pending",
        "flow_run": None,
        "by": None,
        "why": None,
        "way": None,
        "asked_at": registry.now(),
        "until": until.isoformat(timespec="microseconds"),
        "decided_at": None,
    }


def _expired(registry: Registry, connection: Connection, known: Row) -> Row:
    why = f"no answer until {known['until'][:16]} UTC, which counts as no"
    row = known | {"state": "expired", "by": NOBODY, "why": why, "way": "timeout", "decided_at": registry.now()}
    registry.store(connection, row, known, event="expired", table=approvals)
    return row


def _is_over(row: Mapping[str, Any], now: datetime) -> bool:
    return now >= datetime.fromisoformat(row["until"])


def _row(connection: Connection, identity: str) -> Row | None:
    known = connection.execute(sa.select(approvals).where(approvals.c.id == identity)).mappings().first()
    return dict(known) if known is not None else None


def _known(connection: Connection, identity: str) -> Row:
    row = _row(connection, identity)
    if row is None:
        raise UnknownApproval(f"approval {identity!r} is not in the registry; `lorasmith approvals list` shows those that are")
    return row
