"""The database of the registry: SQLite with WAL by default, or PostgreSQL; one writer at a time, and every fault one line.

A write transaction takes the lock on the journal's end at its start, so that what it reads is what it changes and the chain of
hashes can not fork: BEGIN IMMEDIATE in SQLite, LOCK TABLE in PostgreSQL.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import URL, Connection, Engine

from serving.release import migrations
from serving.release.errors import RegistryBusy, RegistryUnreachable, RegistryUnusable, ReleaseError
from serving.release.tables import journal

BUSY_SECONDS: Final = 30.0
CONNECT_SECONDS: Final = 10
# A writer that sleeps (a laptop that was closed) gives the journal back to the others; its own next word is then refused.
ASLEEP_SECONDS: Final = 60
_MIGRATION_LOCK: Final = 0x6C6F7261  # any number that nobody else in this database takes
# SQLSTATE classes and codes: https://www.postgresql.org/docs/current/errcodes-appendix.html
_CONFLICTS: Final = ("40001", "40P01", "55P03", "23505")
_AWAY: Final = ("08", "53", "57P", "25P03", "28", "3D000")


def open_engine(url: str) -> Engine:
    """Engine of the registry, its tables at the newest revision.

    SQLite: full fsync, since an intent must survive a power cut. Raises RegistryUnusable for a URL, a driver or a database that
    can not be a registry, RegistryUnreachable where no server answers.
    """
    engine = _engine(_parsed(url))
    try:
        with telling(engine):
            migrations.bring_up_to_date(engine)
    except BaseException:
        engine.dispose()
        raise
    return engine


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """A connection to read with."""
    with telling(engine), engine.connect() as connection:
        yield connection


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """One write transaction; RegistryBusy where another writer does not end in time."""
    with telling(engine), engine.execution_options(registry_lock="journal").begin() as connection:
        yield connection


@contextmanager
def telling(engine: Engine) -> Iterator[None]:
    """What the database says, as one line of ours; a fault that is none of its moods stays as it is."""
    try:
        yield
    except sa.exc.DBAPIError as error:
        if (line := _line(error, engine.url)) is None:
            raise
        raise line from error


def shown(url: URL) -> str:
    """The URL for messages: without its password, and without its options, which can hold one too."""
    return url.set(query={}).render_as_string(hide_password=True)


def _parsed(url: str) -> URL:
    known = "sqlite:///FILE or postgresql+psycopg://USER:PASSWORD@HOST/DATABASE"
    try:
        parsed = sa.make_url(url)
    except (sa.exc.ArgumentError, ValueError):
        raise RegistryUnusable(f"the registry's URL can not be read; write {known} in LORASMITH_REGISTRY") from None
    if parsed.get_backend_name() not in ("sqlite", "postgresql"):
        raise RegistryUnusable(f"registry {shown(parsed)}: only SQLite and PostgreSQL are known here; write {known}")
    return parsed.set(drivername="postgresql+psycopg") if parsed.drivername == "postgresql" else parsed


def _engine(url: URL) -> Engine:
    try:
        if url.get_backend_name() == "sqlite":
            engine = sa.create_engine(url, poolclass=sa.QueuePool, connect_args={"timeout": BUSY_SECONDS})
            event.listen(engine, "connect", _configure_sqlite)
            event.listen(engine, "begin", _begin_sqlite)
        else:
            limits = {"connect_timeout": CONNECT_SECONDS, "keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 4}
            engine = sa.create_engine(url, pool_pre_ping=True, connect_args=limits)
            event.listen(engine, "begin", _begin_postgresql)
    except (ImportError, sa.exc.NoSuchModuleError) as error:
        raise RegistryUnusable(
            f"registry {shown(url)}: its driver is not installed ({error}); "
            "run `pip install lorasmith[postgresql]` and write postgresql+psycopg://..."
        ) from None
    return engine


def _configure_sqlite(connection: sqlite3.Connection, _record: Any) -> None:
    connection.isolation_level = None  # the driver's own BEGIN is deferred; ours below is not
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}").close()


def _begin_sqlite(connection: Connection) -> None:
    writes = "registry_lock" in connection.get_execution_options()
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _begin_postgresql(connection: Connection) -> None:
    lock = connection.get_execution_options().get("registry_lock")
    if lock is None:
        return
    connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{BUSY_SECONDS:f}s'")
    connection.exec_driver_sql(f"SET LOCAL idle_in_transaction_session_timeout = '{ASLEEP_SECONDS}s'")
    if lock == "journal":
        connection.exec_driver_sql(f"LOCK TABLE {journal.name} IN SHARE ROW EXCLUSIVE MODE")
    else:
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_MIGRATION_LOCK})")


def _line(error: sa.exc.DBAPIError, url: URL) -> ReleaseError | None:
    said = " ".join(str(error.orig).split())
    state = getattr(error.orig, "sqlstate", None) or ""
    postgresql = url.get_backend_name() == "postgresql"
    locked = isinstance(error, sa.exc.OperationalError) and "locked" in said and not postgresql
    if locked or state in _CONFLICTS or (isinstance(error, sa.exc.IntegrityError) and not postgresql):
        return RegistryBusy(
            f"registry {shown(url)} was changed by another process at the same moment "
            f"(waited up to {BUSY_SECONDS:.0f} s: {said}); run again"
        )
    if not postgresql:
        return None
    if error.connection_invalidated or state.startswith(_AWAY) or (not state and isinstance(error, sa.exc.OperationalError)):
        return RegistryUnreachable(
            f"registry {shown(url)} can not be reached: {said}; start its server or mend LORASMITH_REGISTRY, "
            "then run the same command again: it looks first what was written"
        )
    if state == "42501":
        return RegistryUnusable(f"registry {shown(url)}: {said}; its user must be allowed to make and change tables there")
    return None
