"""Revisions of the registry's tables, and the one place that brings a database to the newest of them.

alembic runs them, and is imported only where a database is behind. A new revision is a file in versions/, its name the last of
REVISIONS; what it makes must be what tables.py says, and what an older revision made is never edited.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from serving.release.errors import RegistryUnusable
from serving.release.tables import journal, metadata

REVISIONS: Final = ("r0001", "r0002", "r0003")
NEWEST: Final = REVISIONS[-1]
# Not alembic's own name for it: another program in the same database, such as Prefect, may use that.
VERSION_TABLE: Final = "registry_version"
_version: Final = sa.Table(VERSION_TABLE, sa.MetaData(), sa.Column("version_num", sa.String(32), primary_key=True))


def bring_up_to_date(engine: Engine) -> None:
    """Make or upgrade the tables where they are not the newest; of two processes at once, one does and the other finds it done.

    Raises RegistryUnusable for a database that a newer version of this program has written.
    """
    with engine.connect() as connection:
        if revision_of(connection) == NEWEST:
            return
    with engine.execution_options(registry_lock="migration").begin() as connection:
        found = revision_of(connection)
        if found is None:
            metadata.create_all(connection)
            _version.create(connection)
            connection.execute(sa.insert(_version).values(version_num=NEWEST))
        elif found != NEWEST:
            upgrade(connection, found)


def revision_of(connection: Connection) -> str | None:
    """The revision that a database is at; None where it holds no registry. One without a version is of the time before them."""
    tables = sa.inspect(connection)
    if not tables.has_table(VERSION_TABLE):
        return REVISIONS[0] if tables.has_table(journal.name) else None
    found: str = connection.execute(sa.select(_version.c.version_num)).scalar_one()
    if found not in REVISIONS:
        where = connection.engine.url.set(query={}).render_as_string(hide_password=True)
        raise RegistryUnusable(
            f"registry {where} is at revision {found!r}, which a newer lorasmith has made (this one knows up to {NEWEST}): "
            "upgrade lorasmith, or name another LORASMITH_REGISTRY"
        )
    return found


def upgrade(connection: Connection, found: str | None, to: str = "head") -> None:
    """Run the revisions after `found` (None: all of them) inside the caller's transaction."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.attributes["connection"] = connection
    if found is not None:
        command.stamp(config, found)
    command.upgrade(config, to)
