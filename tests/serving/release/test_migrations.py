"""Registries of every age open, on either database: made new, recognised and upgraded, or refused with a line."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.engine import Engine

from serving.release import database, migrations
from serving.release.errors import RegistryBusy, RegistryUnusable
from serving.release.migrations import NEWEST, REVISIONS, VERSION_TABLE
from serving.release.registry import Registry, sqlite_url
from serving.release.tables import approvals, metadata
from tests.postgres import ROOT, Server

MakeUrl = Callable[[], str]
# What every process does that opens a registry at the same moment as another one.
OPENER = """
import sys
from serving.release.registry import Registry
print("ready", flush=True); sys.stdin.readline()
registry = Registry(sys.argv[1])
registry.insert_intent(app=sys.argv[2], package="p1", target="sandbox", verdict_hash="v")
"""


@pytest.fixture(params=["sqlite", "postgresql"])
def make_url(request: pytest.FixtureRequest, tmp_path: Path) -> MakeUrl:
    """URLs of empty databases, each another one."""
    if request.param == "sqlite":
        numbers = iter(range(10))
        return lambda: sqlite_url(tmp_path / f"home-{next(numbers)}")
    server: Server = request.getfixturevalue("postgresql")
    return server.registry


@pytest.fixture
def url(make_url: MakeUrl) -> str:
    return make_url()


@pytest.fixture
def old(url: str) -> str:
    """A registry with one release, as it was before revisions were counted."""
    with opened(url) as engine:
        at_revision(engine, REVISIONS[0])
        with closing(Registry(url)) as registry:
            registry.insert_intent(app="fox", package="p1", target="sandbox", verdict_hash="v")
        with engine.begin() as connection:
            for younger in (VERSION_TABLE, approvals.name):
                connection.exec_driver_sql(f"DROP TABLE {younger}")
            if engine.dialect.name == "postgresql":
                connection.exec_driver_sql("DROP TRIGGER journal_refuses_change ON journal")
                connection.exec_driver_sql("DROP FUNCTION journal_is_append_only")
    return url


@contextmanager
def opened(url: str) -> Iterator[Engine]:
    """An engine on a database that nothing has been made in yet."""
    engine = database._engine(database._parsed(url))
    try:
        yield engine
    finally:
        engine.dispose()


def at_revision(engine: Engine, revision: str) -> None:
    with engine.execution_options(registry_lock="migration").begin() as connection:
        migrations.upgrade(connection, None, revision)


def revision(engine: Engine) -> str | None:
    with engine.connect() as connection:
        return migrations.revision_of(connection)


def differences(engine: Engine) -> list[Any]:
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE, "compare_server_default": True})
        return list(compare_metadata(context, metadata))


def triggers(engine: Engine) -> set[str]:
    catalogue = {
        "sqlite": "SELECT sql FROM sqlite_master WHERE type = 'trigger'",
        "postgresql": "SELECT replace(pg_get_triggerdef(oid), current_schema() || '.', '') FROM pg_trigger "
        "WHERE NOT tgisinternal AND tgrelid = 'journal'::regclass UNION SELECT replace(pg_get_functiondef(oid), "
        "current_schema() || '.', '') FROM pg_proc WHERE oid = 'journal_is_append_only'::regproc",
    }
    with engine.connect() as connection:
        return {sql for (sql,) in connection.exec_driver_sql(catalogue[engine.dialect.name])}


def constraints(engine: Engine) -> dict[str, Any]:
    found = sa.inspect(engine)
    return {
        table: {
            "key": found.get_pk_constraint(table)["constrained_columns"],
            "unique": sorted(tuple(one["column_names"]) for one in found.get_unique_constraints(table)),
            "checks": len(found.get_check_constraints(table)),
            "indexes": sorted((one["name"], tuple(one["column_names"]), one["unique"]) for one in found.get_indexes(table)),
            "columns": [(one["name"], str(one["type"]), one["nullable"]) for one in found.get_columns(table)],
        }
        for table in sorted(found.get_table_names())
    }


def test_the_revisions_are_one_line_that_ends_with_the_newest() -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    walked = [one.revision for one in ScriptDirectory.from_config(config).walk_revisions()]
    assert tuple(reversed(walked)) == REVISIONS
    assert walked[0] == NEWEST


def test_what_the_revisions_make_is_what_the_tables_say(make_url: MakeUrl) -> None:
    with opened(make_url()) as walked, opened(make_url()) as fresh:
        at_revision(walked, "head")
        migrations.bring_up_to_date(fresh)
        assert differences(walked) == differences(fresh) == []
        assert constraints(walked) == constraints(fresh)
        assert triggers(walked) == triggers(fresh) != set()
        assert revision(walked) == revision(fresh) == NEWEST


def test_a_difference_would_be_found(url: str) -> None:
    with opened(url) as engine:
        at_revision(engine, "head")
        with engine.begin() as connection:
            connection.exec_driver_sql("ALTER TABLE releases ADD COLUMN colour VARCHAR(8)")
        assert [step[0] for step in differences(engine)] == ["remove_column"]


def test_an_old_registry_is_recognised_and_upgraded_with_what_it_holds(old: str) -> None:
    with opened(old) as engine:
        assert revision(engine) == REVISIONS[0]
    for _ in range(2):
        with closing(Registry(old)) as registry:
            assert [row["package"] for row in registry.releases()] == ["p1"]
            assert registry.verify_journal() == 1
            assert revision(registry.engine) == NEWEST
            with pytest.raises(sa.exc.IntegrityError, match="append-only"), registry.engine.begin() as connection:
                connection.exec_driver_sql("DELETE FROM journal")
            assert differences(registry.engine) == []


def test_two_processes_that_open_an_empty_one_at_once_make_it_once(url: str) -> None:
    assert chain_after_two_processes(url) == 2


def test_two_processes_that_open_an_old_one_at_once_upgrade_it_once(old: str) -> None:
    assert chain_after_two_processes(old) == 3


def chain_after_two_processes(url: str) -> int:
    """Lines of the journal once two processes have opened the registry at the same moment and written one each."""
    command = [sys.executable, "-c", OPENER, url]
    children = [
        subprocess.Popen(
            [*command, app], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for app in ("owl", "elk")
    ]
    try:
        for child in children:
            assert child.stdout is not None
            assert child.stdout.readline() == "ready\n"
        said = [child.communicate("go\n", timeout=60)[1] for child in children]
    finally:
        for child in children:
            child.kill()
            child.wait()
    assert ([child.returncode for child in children], said) == ([0, 0], ["", ""])
    with closing(Registry(url)) as registry:
        assert differences(registry.engine) == []
        return registry.verify_journal()


def test_while_one_process_upgrades_another_one_waits(old: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with opened(old) as engine:
        with engine.execution_options(registry_lock="migration").begin(), monkeypatch.context() as patch:
            patch.setattr(database, "BUSY_SECONDS", 0.1)
            with pytest.raises(RegistryBusy, match="another process"):
                Registry(old)
        assert revision(engine) == REVISIONS[0]
        Registry(old).close()
        assert revision(engine) == NEWEST


def test_a_registry_of_a_newer_version_is_refused_and_left_alone(url: str) -> None:
    Registry(url).close()
    with opened(url) as engine:
        with engine.begin() as connection:
            connection.exec_driver_sql(f"UPDATE {VERSION_TABLE} SET version_num = 'r9999'")
        with pytest.raises(RegistryUnusable, match="'r9999', which a newer lorasmith has made") as caught:
            Registry(url)
        assert "\n" not in str(caught.value)
        with engine.connect() as connection:
            assert connection.exec_driver_sql(f"SELECT version_num FROM {VERSION_TABLE}").scalar() == "r9999"


def test_alembic_is_not_loaded_where_nothing_is_to_be_done(url: str) -> None:
    code = (
        "import sys; from serving.release.registry import Registry\n"
        "for _ in range(2): Registry(sys.argv[1]).close()\n"
        "print('alembic' in sys.modules)"
    )
    ended = subprocess.run([sys.executable, "-c", code, url], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ended.stdout == "False\n"
