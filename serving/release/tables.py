"""Tables of the registry and the engine they live in: any SQLAlchemy URL, SQLite with WAL by default."""

from __future__ import annotations

import sqlite3
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import Connection, Engine

SQLITE_BUSY_SECONDS: Final = 30.0

metadata = sa.MetaData()

releases = sa.Table(
    "releases",
    metadata,
    sa.Column("id", sa.String(16), primary_key=True),
    sa.Column("app", sa.String(128), nullable=False),
    sa.Column("package", sa.String(64), nullable=False),
    sa.Column("verdict_hash", sa.String(64), nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("candidate_revision", sa.String(128)),
    sa.Column("revision", sa.String(128)),
    sa.Column("target", sa.String(32), nullable=False),
    sa.Column("urls", sa.JSON, nullable=False),
    sa.Column("evidence", sa.JSON, nullable=False),
    sa.Column("created_at", sa.String(40), nullable=False),
    sa.Column("updated_at", sa.String(40), nullable=False),
    sa.UniqueConstraint("target", "app", "package"),
    sa.CheckConstraint("state IN ('intent', 'candidate', 'live', 'retired', 'failed')"),
)
one_live_release = sa.Index(
    "one_live_release",
    releases.c.target,
    releases.c.app,
    unique=True,
    sqlite_where=releases.c.state == "live",
    postgresql_where=releases.c.state == "live",
)

journal = sa.Table(
    "journal",
    metadata,
    sa.Column("seq", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("at", sa.String(40), nullable=False),
    sa.Column("event", sa.String(16), nullable=False),
    sa.Column("release", sa.String(16), nullable=False),
    sa.Column("row", sa.JSON, nullable=False),
    sa.Column("previous", sa.String(64), nullable=False, unique=True),
    sa.Column("hash", sa.String(64), nullable=False, unique=True),
)

leases = sa.Table(
    "leases",
    metadata,
    sa.Column("target", sa.String(32), primary_key=True),
    sa.Column("app", sa.String(128), primary_key=True),
    sa.Column("token", sa.String(32), nullable=False),
    sa.Column("host", sa.String(255), nullable=False),
    sa.Column("pid", sa.Integer, nullable=False),
    sa.Column("pid_started", sa.Float, nullable=False),
    sa.Column("taken_at", sa.String(40), nullable=False),
    sa.Column("renewed_at", sa.String(40), nullable=False),
)

_APPEND_ONLY: Final = """CREATE TRIGGER journal_refuses_{verb} BEFORE {verb} ON journal
BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END"""


def open_engine(url: str) -> Engine:
    """Engine of the registry with its tables made.

    SQLite: WAL, full fsync (an intent must survive a power cut), 30 s of patience with another writer, and transactions that say
    so (`execution_options(registry_write=True)`) take the write lock at their start, so that what they read is what they change.
    """
    if sa.make_url(url).get_backend_name() != "sqlite":
        engine = sa.create_engine(url, pool_pre_ping=True)
    else:
        engine = sa.create_engine(url, poolclass=sa.QueuePool, connect_args={"timeout": SQLITE_BUSY_SECONDS})
        event.listen(engine, "connect", _configure_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    with engine.execution_options(registry_write=True).begin() as connection:
        fresh = not sa.inspect(connection).has_table(journal.name)
        metadata.create_all(connection)
        if fresh and engine.dialect.name == "sqlite":
            for verb in ("UPDATE", "DELETE"):
                connection.execute(sa.text(_APPEND_ONLY.format(verb=verb)))
    return engine


def _configure_sqlite(connection: sqlite3.Connection, _record: Any) -> None:
    connection.isolation_level = None  # the driver's own BEGIN is deferred; ours below is not
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}").close()


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get("registry_write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
