"""The record of what was released: releases and their journal, changed together in one transaction.

The journal is append-only and hash-chained; every line carries the whole release row as it stood after the change, so that
`verify_journal` sees a changed line, a missing line and a row that was edited behind the journal's back.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from serving.release.database import open_engine, reading, writing
from serving.release.errors import IllegalTransition, JournalBroken, UnknownRelease
from serving.release.lease import Lease, check_lease
from serving.release.tables import approvals, journal, releases

GENESIS: Final = "0" * 64
TRANSITIONS: Final[dict[str, frozenset[str]]] = {
    "intent": frozenset({"intent", "candidate", "failed"}),
    "candidate": frozenset({"candidate", "live", "failed"}),
    "live": frozenset({"live", "retired", "failed"}),
    "retired": frozenset({"retired", "intent", "live"}),
    "failed": frozenset({"failed", "intent"}),
}
_COLUMNS: Final = ("candidate_revision", "revision", "urls")

Row = dict[str, Any]


def utc_now() -> datetime:
    return datetime.now(UTC)


def sqlite_url(home: Path) -> str:
    """URL of the default registry: one file in LORASMITH_HOME, whose folder is made (0700) when it is missing."""
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    return f"sqlite:///{home / 'registry.db'}"


def release_id(target: str, app: str, package: str) -> str:
    """A release is its content: the same package for the same app on the same target is the same release."""
    return hashlib.sha256(_canonical([target, app, package])).hexdigest()[:16]


class Registry:
    """Releases of one database; `clock` gives the time in rows and journal (order comes from `seq`, never from time)."""

    def __init__(self, url: str, *, clock: Callable[[], datetime] = utc_now) -> None:
        self.engine = open_engine(url)
        self.clock = clock

    def close(self) -> None:
        self.engine.dispose()

    def releases(self, *, app: str | None = None, target: str | None = None) -> list[Row]:
        """Release rows, oldest first: in the order that the journal has them in, whatever the clock said then."""
        wanted = {name: value for name, value in (("app", app), ("target", target)) if value is not None}
        first = sa.select(sa.func.min(journal.c.seq)).where(journal.c.release == releases.c.id).scalar_subquery()
        query = sa.select(releases).filter_by(**wanted).order_by(first, releases.c.id)
        with reading(self.engine) as connection:
            return [dict(row) for row in connection.execute(query).mappings()]

    def live(self, app: str, target: str) -> Row | None:
        with reading(self.engine) as connection:
            return _live(connection, app, target)

    def last_changed(self, app: str, target: str) -> str | None:
        """Id of the release of an app that the journal speaks of last, whatever the clock said then; None where there is none."""
        lines = (
            sa.select(releases.c.id)
            .join(journal, journal.c.release == releases.c.id)
            .filter(releases.c.app == app, releases.c.target == target)
        )
        with reading(self.engine) as connection:
            found: str | None = connection.execute(lines.order_by(journal.c.seq.desc()).limit(1)).scalar()
            return found

    def by_package(self, app: str, package: str, target: str) -> Row | None:
        with reading(self.engine) as connection:
            return _row(connection, release_id(target, app, package))

    def insert_intent(
        self, *, app: str, package: str, target: str, verdict_hash: str, lease: Lease | None = None, **evidence: Any
    ) -> Row:
        """Write down that this package is about to be deployed; an unfinished release of it is returned as it stands.

        A failed or retired release of the same package starts again (its past stays in the journal).
        """
        identity = release_id(target, app, package)
        with self.writing(lease) as connection:
            known = _row(connection, identity)
            if known is not None and known["state"] in ("intent", "candidate"):
                return known
            if known is not None:
                _check_transition(known, "intent")
            now = self.now()
            row: Row = {
                "id": identity,
                "app": app,
                "package": package,
                "verdict_hash": verdict_hash,
                "state": "intent",
                "candidate_revision": None,
                "revision": None,
                "target": target,
                "urls": {},
                "evidence": evidence,
                "created_at": known["created_at"] if known else now,
                "updated_at": now,
            }
            self.store(connection, row, known, event="intent")
            return row

    def advance(self, identity: str, state: str, *, lease: Lease | None = None, **changes: Any) -> Row:
        """Move a release to `state` with its evidence; a move to its own state only adds evidence.

        `candidate_revision`, `revision` and `urls` fill their columns, all else is merged into `evidence`. The release that was
        live is retired in the same transaction, and remembered as `former`. Raises UnknownRelease, IllegalTransition, LeaseLost.
        """
        with self.writing(lease) as connection:
            row = _known(connection, identity)
            _check_transition(row, state)
            former = _live(connection, row["app"], row["target"]) if state == "live" else None
            if former is not None and former["id"] != identity:
                self.store(connection, {**former, "state": "retired", "updated_at": self.now()}, former, event="retired")
                changes["former"] = former["id"]
            after = self._changed(row, state, changes)
            self.store(connection, after, row, event=state if state != row["state"] else "note")
            return after

    def roll_back(
        self, live: str, to: str, *, state: str, reason: str, lease: Lease | None = None, urls: Row | None = None, **evidence: Any
    ) -> Row:
        """In one transaction: release `live` ends as `state` (failed or retired), and release `to` is live again.

        The first remembers that it was rolled back and why; the second, whose row is returned, where it comes from, with its
        `evidence`. Raises UnknownRelease, IllegalTransition, LeaseLost.
        """
        with self.writing(lease) as connection:
            ends, returns = _known(connection, live), _known(connection, to)
            _check_transition(ends, state)
            _check_transition(returns, "live")
            ended = self._changed(ends, state, {"rolled_back": {"to": to, "reason": reason}, "rollback": None})
            self.store(connection, ended, ends, event=state)
            restored = {"restored": {"from": live, "reason": reason}, "rolled_back": None, "probation": None, **evidence}
            again = self._changed(returns, "live", restored | ({"urls": urls} if urls else {}))
            self.store(connection, again, returns, event="live")
            return again

    def journal(self) -> list[Row]:
        """Journal lines in order: {"seq", "at", "event", "release", "row", "previous", "hash"}."""
        with reading(self.engine) as connection:
            return [dict(line) for line in connection.execute(sa.select(journal).order_by(journal.c.seq)).mappings()]

    def verify_journal(self) -> int:
        """Number of journal lines, all proven; JournalBroken names the first line, or the release row, that does not hold."""
        lines = self.journal()
        previous = GENESIS
        for number, line in enumerate(lines, start=1):
            if line["seq"] != number:
                raise JournalBroken(
                    f"journal line {number} is missing (line {line['seq']} stands in its place); restore the registry from a copy"
                )
            if line["previous"] != previous or line["hash"] != line_hash(line):
                raise JournalBroken(
                    f"journal line {number} ({line['event']} of release {line['release']} at {line['at']}) "
                    "is not what was written; restore the registry from a copy"
                )
            previous = line["hash"]
        _check_rows(self._rows(), {line["release"]: line for line in lines})
        return len(lines)

    def export_jsonl(self, path: Path) -> int:
        """Write the journal as one JSON object a line, in order, and return how many; the file appears whole or not at all."""
        lines = self.journal()
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(handle, "wb") as stream:
            stream.writelines(_canonical(line) + b"\n" for line in lines)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, path)
        return len(lines)

    @contextmanager
    def writing(self, lease: Lease | None = None) -> Iterator[Connection]:
        """One write transaction, refused when the deploy that asks for it has lost its lease."""
        with writing(self.engine) as connection:
            if lease is not None:
                check_lease(connection, lease)
            yield connection

    def _rows(self) -> dict[str, Row]:
        """Every row that the journal tells of: releases and approvals; no id is of both."""
        with reading(self.engine) as connection:
            found = [connection.execute(sa.select(table)).mappings() for table in (releases, approvals)]
            return {row["id"]: dict(row) for rows in found for row in rows}

    def _changed(self, row: Row, state: str, changes: Mapping[str, Any]) -> Row:
        columns = {name: value for name, value in changes.items() if name in _COLUMNS}
        evidence = {name: value for name, value in changes.items() if name not in _COLUMNS}
        return {**row, **columns, "state": state, "evidence": {**row["evidence"], **evidence}, "updated_at": self.now()}

    def store(self, connection: Connection, row: Row, before: Row | None, *, event: str, table: sa.Table | None = None) -> None:
        """Put a row in the place of `before`, and a line into the journal; JournalBroken where `before` is not what was written."""
        _check_before(connection, row["id"], before)
        table = releases if table is None else table
        if before is None:
            connection.execute(sa.insert(table).values(**row))
        else:
            connection.execute(sa.update(table).where(table.c.id == row["id"]).values(**row))
        last = connection.execute(sa.select(journal.c.seq, journal.c.hash).order_by(journal.c.seq.desc()).limit(1)).first()
        line: Row = {
            "seq": last.seq + 1 if last else 1,
            "at": self.now(),
            "event": event,
            "release": row["id"],
            "row": row,
            "previous": last.hash if last else GENESIS,
        }
        connection.execute(sa.insert(journal).values(**line, hash=line_hash(line)))

    def now(self) -> str:
        return self.clock().astimezone(UTC).isoformat(timespec="microseconds")


def line_hash(line: Mapping[str, Any]) -> str:
    """sha256 of the previous line's hash followed by this line's canonical JSON (without either hash)."""
    content = {name: value for name, value in line.items() if name not in ("previous", "hash")}
    return hashlib.sha256(str(line["previous"]).encode() + _canonical(content)).hexdigest()


def _canonical(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def _row(connection: Connection, identity: str) -> Row | None:
    found = connection.execute(sa.select(releases).where(releases.c.id == identity)).mappings().first()
    return dict(found) if found is not None else None


def _known(connection: Connection, identity: str) -> Row:
    row = _row(connection, identity)
    if row is None:
        raise UnknownRelease(f"release {identity!r} is not in the registry; `lorasmith status` lists those that are")
    return row


def _live(connection: Connection, app: str, target: str) -> Row | None:
    found = connection.execute(sa.select(releases).filter_by(app=app, target=target, state="live")).mappings().first()
    return dict(found) if found is not None else None


def _check_before(connection: Connection, identity: str, before: Row | None) -> None:
    """JournalBroken where a row is not what its last line says: written on, the journal would take over what somebody changed."""
    lines = sa.select(journal.c.seq, journal.c.row).where(journal.c.release == identity).order_by(journal.c.seq.desc()).limit(1)
    last = connection.execute(lines).mappings().first()
    _check_rows({identity: before} if before else {}, {identity: dict(last)} if last else {})


def _check_transition(row: Row, state: str) -> None:
    if state not in TRANSITIONS[row["state"]]:
        allowed = ", ".join(sorted(TRANSITIONS[row["state"]] - {row["state"]}))
        raise IllegalTransition(
            f"release {row['id']} of {row['app']!r} is {row['state']} and can not become {state!r}; "
            f"from here it may become: {allowed}"
        )


def _check_rows(rows: Mapping[str, Row], latest: Mapping[str, Row]) -> None:
    """Every release row must be exactly what its last journal line says, and no line may lack its row."""
    for identity in sorted(rows.keys() | latest.keys()):
        if identity not in latest:
            raise JournalBroken(
                f"{_noun(rows[identity])} {identity} has no journal line: the row was written past the journal; "
                "restore the registry from a copy"
            )
        if rows.get(identity) != latest[identity]["row"]:
            raise JournalBroken(
                f"{_noun(latest[identity]['row'])} {identity} is not what journal line {latest[identity]['seq']} says: "
                "the row was changed past the journal, or the journal's end was cut off; restore the registry from a copy"
            )


def _noun(row: Mapping[str, Any]) -> str:
    return "approval" if "asked_at" in row else "release"
