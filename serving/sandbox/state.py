"""What the sandbox remembers of apps, environments, secrets and files, in one SQLite file that survives a restart."""

import hashlib
import json
import sqlite3
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

MAIN = "main"
SEPARATOR = "--"

SCHEMA = """
CREATE TABLE IF NOT EXISTS environments (owner TEXT, name TEXT, description TEXT, created_at REAL, PRIMARY KEY (owner, name));
CREATE TABLE IF NOT EXISTS revisions (
    id TEXT PRIMARY KEY, owner TEXT, alias TEXT, environment TEXT, entrypoint TEXT, files TEXT, settings TEXT, health TEXT,
    metadata TEXT, created_at REAL);
CREATE TABLE IF NOT EXISTS aliases (
    owner TEXT, name TEXT, environment TEXT, revision TEXT, auth_mode TEXT, settings TEXT, updated_at REAL,
    PRIMARY KEY (owner, name));
CREATE TABLE IF NOT EXISTS secrets (owner TEXT, environment TEXT, name TEXT, value TEXT, PRIMARY KEY (owner, environment, name));
CREATE TABLE IF NOT EXISTS objects (id TEXT PRIMARY KEY, owner TEXT, name TEXT, content_type TEXT, created_at REAL);
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Revision:
    """One registered version of an app; `entrypoint` is empty where the callable is a pickle beside the database."""

    id: str
    owner: str
    alias: str
    environment: str
    entrypoint: str
    files: tuple[tuple[str, str], ...]
    settings: dict[str, Any]
    health: dict[str, Any] | None
    metadata: dict[str, Any]
    created_at: float = field(default_factory=time.time)


@dataclass(frozen=True, kw_only=True, slots=True)
class Alias:
    """The name that callers use, with its environment as suffix, and the revision that answers for it."""

    owner: str
    name: str
    environment: str
    revision: str
    auth_mode: str
    settings: dict[str, Any]


def full_name(app: str, environment: str) -> str:
    """`app` in the main environment, else `app--environment`."""
    return app if environment in ("", MAIN) else f"{app}{SEPARATOR}{environment}"


def split_name(alias: str) -> tuple[str, str]:
    """The app and the environment that an alias names."""
    app, _, environment = alias.partition(SEPARATOR)
    return app, environment or MAIN


class State:
    """The tables; every method is one transaction."""

    def __init__(self, path: Path) -> None:
        self._db = sqlite3.connect(path, isolation_level=None)
        self._db.row_factory = sqlite3.Row
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = NORMAL")
        self._db.execute("PRAGMA busy_timeout = 5000")
        self._db.executescript(SCHEMA)
        add_columns(self._db, "secrets", {"created_at": "REAL NOT NULL DEFAULT 0", "default_exposed": "INTEGER"})

    @property
    def db(self) -> sqlite3.Connection:
        """The connection, in autocommit, for the rooms that keep tables of their own beside these."""
        return self._db

    def close(self) -> None:
        self._db.close()

    def add_revision(self, revision: Revision) -> None:
        r = revision
        row = (
            r.id,
            r.owner,
            r.alias,
            r.environment,
            r.entrypoint,
            json.dumps(r.files),
            json.dumps(r.settings),
            json.dumps(r.health),
        )
        self._db.execute("INSERT INTO revisions VALUES (?,?,?,?,?,?,?,?,?,?)", (*row, json.dumps(r.metadata), r.created_at))

    def revision(self, revision_id: str) -> Revision | None:
        row = self._db.execute("SELECT * FROM revisions WHERE id = ?", (revision_id,)).fetchone()
        return _revision(row) if row else None

    def revisions(self, owner: str | None = None, *, alias: str | None = None, environment: str | None = None) -> list[Revision]:
        """Newest first."""
        rows = self._db.execute(
            "SELECT * FROM revisions WHERE (? IS NULL OR owner = ?) AND (? IS NULL OR alias = ?) AND (? IS NULL OR environment = ?)"
            " ORDER BY rowid DESC",
            (owner, owner, alias, alias, environment, environment),
        )
        return [_revision(row) for row in rows]

    def delete_revision(self, revision_id: str) -> None:
        self._db.execute("DELETE FROM revisions WHERE id = ?", (revision_id,))

    def put_alias(self, alias: Alias) -> None:
        row = (alias.owner, alias.name, alias.environment, alias.revision, alias.auth_mode, json.dumps(alias.settings), time.time())
        self._db.execute("INSERT OR REPLACE INTO aliases VALUES (?,?,?,?,?,?,?)", row)

    def alias(self, owner: str, name: str) -> Alias | None:
        row = self._db.execute("SELECT * FROM aliases WHERE owner = ? AND name = ?", (owner, name)).fetchone()
        return _alias(row) if row else None

    def aliases(self, owner: str | None = None, *, environment: str | None = None) -> list[Alias]:
        rows = self._db.execute(
            "SELECT * FROM aliases WHERE (? IS NULL OR owner = ?) AND (? IS NULL OR environment = ?) ORDER BY name",
            (owner, owner, environment, environment),
        )
        return [_alias(row) for row in rows]

    def delete_alias(self, owner: str, name: str) -> None:
        self._db.execute("DELETE FROM aliases WHERE owner = ? AND name = ?", (owner, name))

    def put_environment(self, owner: str, name: str, description: str) -> None:
        self._db.execute("INSERT INTO environments VALUES (?,?,?,?)", (owner, name, description, time.time()))

    def environments(self, owner: str) -> list[dict[str, Any]]:
        rows = self._db.execute("SELECT name, description, created_at FROM environments WHERE owner = ? ORDER BY name", (owner,))
        return [dict(row) for row in rows]

    def delete_environment(self, owner: str, name: str) -> None:
        """With its secrets; its apps are deleted by who stops their runners."""
        with self._db:
            self._db.execute("BEGIN")
            self._db.execute("DELETE FROM secrets WHERE owner = ? AND environment = ?", (owner, name))
            self._db.execute("DELETE FROM environments WHERE owner = ? AND name = ?", (owner, name))

    def put_secret(
        self, owner: str, environment: str, name: str, value: str | None, *, default_exposed: bool | None = None
    ) -> None:
        """A value of None takes it away; `default_exposed` of None keeps what was said before, or the account's default."""
        key = (owner, environment, name)
        if value is None:
            self._db.execute("DELETE FROM secrets WHERE owner = ? AND environment = ? AND name = ?", key)
            return
        exposed = None if default_exposed is None else int(default_exposed)
        self._db.execute(
            "INSERT INTO secrets (owner, environment, name, value, created_at, default_exposed) VALUES (?,?,?,?,?,?)"
            " ON CONFLICT DO UPDATE SET value = excluded.value,"
            " default_exposed = coalesce(excluded.default_exposed, default_exposed)",
            (*key, value, time.time(), exposed),
        )

    def secrets(self, owner: str, environment: str, names: Iterable[str] | None = None) -> dict[str, str]:
        """Values by name, for an app that lists them; without `names` all that are not kept from apps that list none."""
        rows = self._db.execute(
            "SELECT name, value, default_exposed FROM secrets WHERE owner = ? AND environment = ?", (owner, environment)
        )
        wanted = None if names is None else set(names)
        return {
            row["name"]: row["value"] for row in rows if (row["default_exposed"] != 0 if wanted is None else row["name"] in wanted)
        }

    def secret_names(self, owner: str, environment: str) -> list[dict[str, Any]]:
        """Name, created_at and default_exposed (0, 1 or None) of each secret, never its value."""
        rows = self._db.execute(
            "SELECT name, created_at, default_exposed FROM secrets WHERE owner = ? AND environment = ? ORDER BY name",
            (owner, environment),
        )
        return [dict(row) for row in rows]

    def put_object(self, object_id: str, *, owner: str, name: str, content_type: str) -> None:
        self._db.execute("INSERT INTO objects VALUES (?,?,?,?,?)", (object_id, owner, name, content_type, time.time()))

    def object(self, object_id: str) -> dict[str, Any] | None:
        row = self._db.execute("SELECT * FROM objects WHERE id = ?", (object_id,)).fetchone()
        return dict(row) if row else None


def add_columns(db: sqlite3.Connection, table: str, columns: Mapping[str, str]) -> None:
    """Give a table the columns that a file of an earlier version lacks: name -> SQL type with default."""
    have = {row[1] for row in db.execute(f"PRAGMA table_info({table})")}
    for name, kind in columns.items():
        if name not in have:
            db.execute(f"ALTER TABLE {table} ADD COLUMN {name} {kind}")


def stage_key(files: Iterable[tuple[str, str]]) -> str:
    """The name of a set of staged files: their (hash, path) pairs, in order of path."""
    return hashlib.sha256(json.dumps(sorted(files, key=lambda item: item[1])).encode()).hexdigest()[:24]


def _revision(row: sqlite3.Row) -> Revision:
    return Revision(
        id=row["id"],
        owner=row["owner"],
        alias=row["alias"],
        environment=row["environment"],
        entrypoint=row["entrypoint"],
        files=tuple((digest, path) for digest, path in json.loads(row["files"])),
        settings=json.loads(row["settings"]),
        health=json.loads(row["health"]),
        metadata=json.loads(row["metadata"]),
        created_at=row["created_at"],
    )


def _alias(row: sqlite3.Row) -> Alias:
    return Alias(
        owner=row["owner"],
        name=row["name"],
        environment=row["environment"],
        revision=row["revision"],
        auth_mode=row["auth_mode"],
        settings=json.loads(row["settings"]),
    )
