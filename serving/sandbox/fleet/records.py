"""What every runner cost: when it started, was ready and ended, and how long it was in each state that fal bills."""

import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

SCHEMA = """
CREATE TABLE IF NOT EXISTS runners (
    id TEXT PRIMARY KEY, revision TEXT, owner TEXT, app TEXT, environment TEXT, machine_type TEXT, started_at REAL, ready_at REAL,
    ended_at REAL, reason TEXT, state TEXT, since REAL, seen_at REAL);
CREATE TABLE IF NOT EXISTS stretches (runner TEXT, state TEXT, began_at REAL, ended_at REAL);
CREATE INDEX IF NOT EXISTS stretches_by_end ON stretches (ended_at);
CREATE INDEX IF NOT EXISTS stretches_by_runner ON stretches (runner);
"""
# fal bills what a runner lives, from setup to the end of teardown.
BILLED = {"SETUP": "setup", "IDLE": "idle", "RUNNING": "running", "DRAINING": "draining", "TERMINATING": "draining"}
SEEN_SECONDS = 5.0
CUT_SHORT = "sandbox ended"


@dataclass(frozen=True, kw_only=True, slots=True)
class RunnerRow:
    """One runner, also one that has ended; times are Unix seconds, `state` as fal names it."""

    id: str
    revision: str
    owner: str
    app: str
    environment: str
    machine_type: str
    started_at: float
    ready_at: float | None
    ended_at: float | None
    reason: str | None
    state: str


@dataclass(frozen=True, kw_only=True, slots=True)
class MachineSeconds:
    """Billed seconds of the runners of one revision on one type of machine."""

    owner: str
    app: str
    environment: str
    revision: str
    machine_type: str
    setup: float
    idle: float
    running: float
    draining: float

    @property
    def total(self) -> float:
        return self.setup + self.idle + self.running + self.draining


class RunnerRecords:
    """Two tables. What changes with every request is held back until flush(), a moment later; reading flushes first."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._open: dict[str, tuple[str, float]] = {}
        self._closed: list[tuple[str, str, float, float]] = []
        self._seen_at = 0.0
        db.executescript(SCHEMA)

    def close_cut_short(self) -> None:
        """End the runners of a sandbox that was killed: at the moment when they were last seen. Only for who starts runners."""
        with self._together():
            self._db.execute(
                "INSERT INTO stretches SELECT id, state, since, seen_at FROM runners WHERE ended_at IS NULL AND seen_at > since"
            )
            self._db.execute(
                "UPDATE runners SET ended_at = max(seen_at, since), reason = ?, state = 'TERMINATED' WHERE ended_at IS NULL",
                (CUT_SHORT,),
            )

    def began(self, row: RunnerRow) -> None:
        """The runner's process starts."""
        values = (row.id, row.revision, row.owner, row.app, row.environment, row.machine_type, row.started_at)
        self._db.execute(
            "INSERT INTO runners VALUES (?,?,?,?,?,?,?,NULL,NULL,NULL,?,?,?)", (*values, row.state, row.started_at, row.started_at)
        )
        self._open[row.id] = (row.state, row.started_at)

    def entered(self, runner: str, state: str, *, at: float) -> None:
        """The runner is in another state from now on."""
        former = self._open.get(runner)
        if former is None:
            return
        self._closed.append((runner, former[0], former[1], at))
        self._open[runner] = (state, at)
        if former[0] == "SETUP" and state in ("IDLE", "RUNNING"):
            self._db.execute("UPDATE runners SET ready_at = ? WHERE id = ?", (at, runner))

    def ended(self, runner: str, reason: str, *, at: float) -> None:
        """Nothing of the runner is left."""
        self.entered(runner, "TERMINATED", at=at)
        self._open.pop(runner, None)
        self._db.execute(
            "UPDATE runners SET ended_at = ?, reason = ?, state = 'TERMINATED', since = ?, seen_at = ? WHERE id = ?",
            (at, reason, at, at, runner),
        )
        self.flush()

    def flush(self, now: float | None = None) -> None:
        """Write what is held back, and every few seconds that the runners are still there."""
        moment = time.time() if now is None else now
        if not self._closed and moment - self._seen_at < SEEN_SECONDS:
            return
        states = [(state, since, moment, runner) for runner, (state, since) in self._open.items()]
        closed, self._closed, self._seen_at = self._closed, [], moment
        with self._together():
            self._db.executemany("INSERT INTO stretches VALUES (?,?,?,?)", closed)
            self._db.executemany("UPDATE runners SET state = ?, since = ?, seen_at = ? WHERE id = ?", states)

    def rows(self, *, owner: str | None = None, since: float = 0.0) -> list[RunnerRow]:
        """Runners that lived at `since` or later, newest first."""
        self.flush()
        found = self._db.execute(
            "SELECT * FROM runners WHERE (? IS NULL OR owner = ?) AND (ended_at IS NULL OR ended_at >= ?) ORDER BY started_at DESC",
            (owner, owner, since),
        )
        return [_row(row) for row in found]

    def seconds(self, *, owner: str | None = None, since: float = 0.0, until: float | None = None) -> list[MachineSeconds]:
        """Billed seconds between two moments, by revision and type of machine; runners that live count up to now."""
        self.flush()
        end = time.time() if until is None else until
        sums: dict[tuple[str, ...], dict[str, float]] = {}
        for row in self._db.execute(_STRETCHES, (end, end, owner, owner, end, since)):
            key = tuple(str(row[name] or "") for name in ("owner", "app", "environment", "revision", "machine_type"))
            kinds = sums.setdefault(key, dict.fromkeys(("setup", "idle", "running", "draining"), 0.0))
            kinds[BILLED[row["state"]]] += max(0.0, min(row["ended_at"], end) - max(row["began_at"], since))
        return [_machine_seconds(key, kinds) for key, kinds in sorted(sums.items())]

    @contextmanager
    def _together(self) -> Iterator[None]:
        """All statements or none, also within a transaction of another room."""
        self._db.execute("SAVEPOINT runner_records")
        try:
            yield
            self._db.execute("RELEASE runner_records")
        except BaseException:
            if self._db.in_transaction:  # left open, as where the disk is full, nothing would be kept from now on
                self._db.execute("ROLLBACK TO runner_records")
                self._db.execute("RELEASE runner_records")
            raise


# Closed stretches, and the one that lasts of every runner that lives.
_STRETCHES = """
SELECT r.owner, r.app, r.environment, r.revision, r.machine_type, s.state, s.began_at, s.ended_at
FROM (SELECT runner, state, began_at, ended_at FROM stretches
      UNION ALL SELECT id, state, since, max(since, ?) FROM runners WHERE ended_at IS NULL AND since < ?) AS s
JOIN runners AS r ON r.id = s.runner
WHERE s.state <> 'TERMINATED' AND (? IS NULL OR r.owner = ?) AND s.began_at < ? AND s.ended_at > ?
"""


def _row(row: Mapping[str, Any]) -> RunnerRow:
    return RunnerRow(**{name: row[name] for name in RunnerRow.__slots__})


def _machine_seconds(key: tuple[str, ...], kinds: Mapping[str, float]) -> MachineSeconds:
    owner, app, environment, revision, machine_type = key
    return MachineSeconds(
        owner=owner, app=app, environment=environment, revision=revision, machine_type=machine_type, **dict(kinds)
    )
