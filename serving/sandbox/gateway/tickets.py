"""Queued requests in SQLite: what was submitted, how far it came, what came of it. They outlive the daemon."""

import json
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from ..accounts import Account
from ..state import Alias, State, split_name
from .admission import Call
from .replies import Pairs, Reply

KEPT_TICKETS = 2000  # that are done
KEPT_BYTES = 512 * 1024 * 1024  # of their replies
PRUNED_EVERY = 50

SCHEMA = """
CREATE TABLE IF NOT EXISTS tickets (
    number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT UNIQUE, owner TEXT, alias TEXT, caller TEXT, webhook TEXT,
    call TEXT, query BLOB, body BLOB, created_at REAL,
    state TEXT, attempts INTEGER NOT NULL DEFAULT 0, used TEXT NOT NULL DEFAULT '{}', cancelled INTEGER NOT NULL DEFAULT 0,
    status INTEGER, headers TEXT, reply BLOB, error_type TEXT, seconds REAL, lines TEXT, ended_at REAL);
CREATE INDEX IF NOT EXISTS tickets_by_state ON tickets (state, number);
"""
ADD = "INSERT INTO tickets (id, owner, alias, caller, webhook, call, query, body, created_at, state) VALUES (?,?,?,?,?,?,?,?,?,?)"
FINISH = (
    "UPDATE tickets SET state = 'done', status = ?, headers = ?, reply = ?, error_type = ?, seconds = ?, lines = ?, cancelled = ?,"
    " ended_at = ?, attempts = ?, body = NULL WHERE id = ?"
)
# The newest are kept, as many as both bounds allow.
PRUNE = """
DELETE FROM tickets WHERE number IN (
    SELECT number FROM (
        SELECT number, row_number() OVER newest AS place, sum(length(reply)) OVER newest AS bytes
        FROM tickets WHERE state = 'done' WINDOW newest AS (ORDER BY number DESC))
    WHERE place > ? OR (bytes > ? AND place > 1))
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Stored:
    """A request that was open when the daemon ended; `begun` where a runner had it then."""

    call: Call
    webhook: str | None
    attempts: int
    used: Counter[str]
    begun: bool
    cancelled: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """A request that is done; `seconds` on runners, `lines` as the status shows them."""

    reply: Reply
    owner: str
    alias: str
    caller: str | None
    seconds: float
    lines: list[dict[str, str]]
    cancelled: bool


class Tickets:
    """Every method is one transaction, or part of the one that together() opens."""

    def __init__(self, db: sqlite3.Connection, *, kept: int = KEPT_TICKETS, kept_bytes: int = KEPT_BYTES) -> None:
        self._db = db
        self._kept = (kept, kept_bytes)
        self._finished = 0
        db.executescript(SCHEMA)

    @contextmanager
    def together(self) -> Iterator[None]:
        """All that is written inside holds, or nothing of it; there may be no await inside."""
        self._db.execute("SAVEPOINT tickets")
        try:
            yield
            self._db.execute("RELEASE tickets")
        except BaseException:
            if self._db.in_transaction:  # left open, as where the disk is full, nothing would be kept from now on
                self._db.execute("ROLLBACK")
            raise

    def add(self, call: Call, *, webhook: str | None) -> None:
        caller = call.caller.nickname if call.caller else None
        said = json.dumps(_said(call))
        row = (call.request_id, call.alias.owner, call.alias.name, caller, webhook, said, call.query, call.body, call.created_at)
        self._db.execute(ADD, (*row, "queued"))

    def begin(self, request_id: str, *, attempts: int, used: Mapping[str, int]) -> None:
        """A runner has it."""
        self._db.execute(
            "UPDATE tickets SET state = 'begun', attempts = ?, used = ? WHERE id = ?", (attempts, json.dumps(used), request_id)
        )

    def cancel(self, request_id: str) -> None:
        """Its submitter wants it no more: it is not tried again."""
        self._db.execute("UPDATE tickets SET cancelled = 1 WHERE id = ?", (request_id,))

    def finish(
        self, request_id: str, reply: Reply, *, attempts: int, seconds: float, lines: list[dict[str, str]], cancelled: bool
    ) -> None:
        answer = (reply.status, json.dumps(reply.headers), reply.body, reply.error_type, seconds, json.dumps(lines), cancelled)
        self._db.execute(FINISH, (*answer, time.time(), attempts, request_id))
        self._finished += 1
        if self._finished % PRUNED_EVERY == 0:
            self.prune()

    def prune(self) -> None:
        self._db.execute(PRUNE, self._kept)

    def outcome(self, request_id: str) -> Outcome | None:
        row = self._db.execute("SELECT * FROM tickets WHERE id = ? AND state = 'done'", (request_id,)).fetchone()
        if row is None:
            return None
        headers = tuple((name, value) for name, value in json.loads(row["headers"]))
        return Outcome(
            reply=Reply(status=row["status"], headers=headers, body=row["reply"], error_type=row["error_type"]),
            owner=row["owner"],
            alias=row["alias"],
            caller=row["caller"],
            seconds=row["seconds"],
            lines=json.loads(row["lines"]),
            cancelled=bool(row["cancelled"]),
        )

    def open(self, state: State) -> list[Stored]:
        """What is not done, in order of arrival."""
        rows = self._db.execute("SELECT * FROM tickets WHERE state != 'done' ORDER BY number").fetchall()
        return [
            Stored(
                call=_call(row, state),
                webhook=row["webhook"],
                attempts=row["attempts"],
                used=Counter(json.loads(row["used"])),
                begun=row["state"] == "begun",
                cancelled=bool(row["cancelled"]),
            )
            for row in rows
        ]


def _said(call: Call) -> dict[str, Any]:
    names = ("method", "path", "headers", "low", "start_by", "hint", "no_retry", "retries")
    return {name: getattr(call, name) for name in names}


def _call(row: sqlite3.Row, state: State) -> Call:
    owner, name = row["owner"], row["alias"]
    gone = Alias(owner=owner, name=name, environment=split_name(name)[1], revision="", auth_mode="private", settings={})
    said = json.loads(row["call"])
    headers: Pairs = tuple((key, value) for key, value in said.pop("headers"))
    return Call(
        alias=state.alias(owner, name) or gone,
        caller=Account(nickname=row["caller"]) if row["caller"] else None,
        query=row["query"],
        headers=headers,
        body=row["body"],
        request_id=row["id"],
        created_at=row["created_at"],
        queued=True,
        **said,
    )
