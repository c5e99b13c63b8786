"""The record, on SQLite and on PostgreSQL: legal moves only, one live release, and a journal that shows every hand on it."""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.release import database, tables
from serving.release import lease as leases
from serving.release.errors import (
    DeployBusy,
    IllegalTransition,
    JournalBroken,
    LeaseLost,
    RegistryBusy,
    UnknownRelease,
)
from serving.release.lease import deploy_lease
from serving.release.registry import GENESIS, TRANSITIONS, Registry, Row, line_hash, release_id, sqlite_url
from tests.postgres import Server
from tests.serving.release.conftest import Clock

PATHS = {
    "intent": (),
    "candidate": ("candidate",),
    "live": ("candidate", "live"),
    "failed": ("failed",),
    "retired": ("candidate", "live", "retired"),
}


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty registry on either database."""
    if request.param == "sqlite":
        return sqlite_url(tmp_path / "home")
    server: Server = request.getfixturevalue("postgresql")
    return server.registry()


@pytest.fixture
def registry(url: str) -> Iterator[Registry]:
    with closing(Registry(url, clock=Clock())) as registry:
        yield registry


def past_the_journal(registry: Registry, statement: str, values: tuple[str, ...] = ()) -> None:
    """What somebody does who owns the database: take the triggers away, then write."""
    sqlite = registry.engine.dialect.name == "sqlite"
    names = ("journal_refuses_UPDATE", "journal_refuses_DELETE") if sqlite else ("journal_refuses_change ON journal",)
    with registry.engine.begin() as connection:
        for name in names:
            connection.exec_driver_sql(f"DROP TRIGGER {name}")
        connection.exec_driver_sql(statement if sqlite else statement.replace("?", "%s"), values)


def intent(registry: Registry, package: str = "p1", *, app: str = "fox", target: str = "sandbox") -> Row:
    return registry.insert_intent(app=app, package=package, target=target, verdict_hash="v", attempt=1)


def in_state(registry: Registry, state: str, package: str = "p1") -> Row:
    row = intent(registry, package)
    for step in PATHS[state]:
        row = registry.advance(row["id"], step)
    return row


@pytest.mark.parametrize("before", sorted(TRANSITIONS))
@pytest.mark.parametrize("after", sorted(TRANSITIONS))
def test_only_legal_moves_are_made(registry: Registry, before: str, after: str) -> None:
    row = in_state(registry, before)
    lines = len(registry.journal())
    if after in TRANSITIONS[before]:
        assert registry.advance(row["id"], after)["state"] == after
        assert len(registry.journal()) == lines + 1
    else:
        with pytest.raises(IllegalTransition, match=f"is {before} and can not become '{after}'"):
            registry.advance(row["id"], after)
        assert len(registry.journal()) == lines
    registry.verify_journal()


def test_columns_are_filled_and_all_else_is_evidence(registry: Registry) -> None:
    row = registry.advance(intent(registry)["id"], "candidate", candidate_revision="r1", candidate={"units": 2})
    row = registry.advance(row["id"], "live", revision="r2", urls={"run": "https://x"}, main={"units": 2})
    assert (row["candidate_revision"], row["revision"], row["urls"]) == ("r1", "r2", {"run": "https://x"})
    assert row["evidence"] == {"attempt": 1, "candidate": {"units": 2}, "main": {"units": 2}}
    assert row == registry.live("fox", "sandbox") == registry.by_package("fox", "p1", "sandbox")
    assert row["created_at"] < row["updated_at"]


def test_an_unfinished_intent_is_found_and_a_failed_one_starts_anew(registry: Registry) -> None:
    first = registry.advance(intent(registry)["id"], "candidate", candidate_revision="r1")
    assert intent(registry) == first
    registry.advance(first["id"], "failed", reason="smoke")
    again = intent(registry)
    assert (again["state"], again["candidate_revision"], again["evidence"]) == ("intent", None, {"attempt": 1})
    assert (again["id"], again["created_at"]) == (first["id"], first["created_at"])
    assert [line["event"] for line in registry.journal()] == ["intent", "candidate", "failed", "intent"]


def test_going_live_retires_the_former_in_the_same_step(registry: Registry) -> None:
    in_state(registry, "live", "p1")
    in_state(registry, "live", "p2")
    assert [(row["package"], row["state"]) for row in registry.releases()] == [("p1", "retired"), ("p2", "live")]
    assert [line["event"] for line in registry.journal()][-2:] == ["retired", "live"]
    intent(registry, "p3", app="owl")
    assert [row["app"] for row in registry.releases(app="owl")] == ["owl"]
    assert registry.live("owl", "sandbox") is None
    assert registry.live("fox", "fal") is None


def test_what_changed_last_is_by_the_journal_and_not_by_the_clock(url: str) -> None:
    moments = iter(datetime(2026, 1, 1, tzinfo=UTC) - timedelta(hours=hour) for hour in range(100))
    with closing(Registry(url, clock=lambda: next(moments))) as registry:  # set back between any two writes
        assert registry.last_changed("fox", "sandbox") is None
        first, second = in_state(registry, "live", "p1"), in_state(registry, "failed", "p2")
        intent(registry, "p3", app="owl")
        assert registry.last_changed("fox", "sandbox") == second["id"]
        registry.advance(first["id"], "live", looked=True)
        assert registry.last_changed("fox", "sandbox") == first["id"]
        assert first["updated_at"] > registry.releases(app="fox")[0]["updated_at"]


def test_the_same_package_on_another_target_is_another_release(registry: Registry) -> None:
    assert intent(registry)["id"] != intent(registry, target="fal")["id"]
    assert intent(registry)["id"] == release_id("sandbox", "fox", "p1")


def test_the_database_itself_refuses_a_second_live_release(registry: Registry) -> None:
    in_state(registry, "live", "p1")
    second = in_state(registry, "candidate", "p2")
    with pytest.raises(sa.exc.IntegrityError), registry.engine.begin() as connection:
        connection.execute(sa.update(tables.releases).where(tables.releases.c.id == second["id"]).values(state="live"))


def test_an_unknown_release_is_named(registry: Registry) -> None:
    with pytest.raises(UnknownRelease, match="'nobody' is not in the registry"):
        registry.advance("nobody", "live")


def test_each_line_is_chained_to_the_one_before(registry: Registry) -> None:
    in_state(registry, "retired")
    lines = registry.journal()
    assert [line["seq"] for line in lines] == [1, 2, 3, 4]
    assert [line["previous"] for line in lines] == [GENESIS, *(line["hash"] for line in lines[:-1])]
    assert all(line["hash"] == line_hash(line) for line in lines)
    assert registry.verify_journal() == 4


TAMPERINGS = [
    ("a changed line", "UPDATE journal SET at = '2020' WHERE seq = 3", "journal line 3 "),
    ("a changed row in a line", """UPDATE journal SET "row" = '{"package": "p9"}' WHERE seq = 2""", "journal line 2 "),
    ("a changed hash", "UPDATE journal SET hash = 'x' WHERE seq = 1", "journal line 1 "),
    ("a line taken out", "DELETE FROM journal WHERE seq = 2", "journal line 2 is missing"),
    ("the end cut off", "DELETE FROM journal WHERE seq = 4", "is not what journal line 3 says"),
    ("all cut off", "DELETE FROM journal", "has no journal line"),
    ("a row changed past the journal", "UPDATE releases SET state = 'failed'", "is not what journal line 4 says"),
    ("a row taken out", "DELETE FROM releases", "is not what journal line 4 says"),
]


@pytest.mark.parametrize(("statement", "message"), [row[1:] for row in TAMPERINGS], ids=[row[0] for row in TAMPERINGS])
def test_the_first_broken_line_is_named(registry: Registry, statement: str, message: str) -> None:
    in_state(registry, "retired")
    past_the_journal(registry, statement)
    with pytest.raises(JournalBroken, match=message):
        registry.verify_journal()


def test_a_row_that_was_changed_past_the_journal_is_not_written_on(registry: Registry) -> None:
    row = in_state(registry, "live")
    past_the_journal(registry, "UPDATE releases SET revision = 'x'")
    lines = registry.journal()
    with pytest.raises(JournalBroken, match="is not what journal line 3 says") as broken:
        registry.advance(row["id"], "retired")
    assert broken.value.exit_code == 2
    assert registry.journal() == lines


def test_a_forged_line_with_a_fitting_hash_breaks_the_next_one(registry: Registry) -> None:
    in_state(registry, "retired")
    forged = {**registry.journal()[1], "at": "2020"}
    past_the_journal(registry, "UPDATE journal SET at = ?, hash = ? WHERE seq = 2", (forged["at"], line_hash(forged)))
    with pytest.raises(JournalBroken, match="journal line 3 "):
        registry.verify_journal()


@pytest.mark.parametrize("statement", ["UPDATE journal SET event = 'x'", "DELETE FROM journal"])
def test_the_database_refuses_to_change_the_journal(registry: Registry, statement: str) -> None:
    intent(registry)
    with pytest.raises(sa.exc.IntegrityError, match="append-only"), registry.engine.begin() as connection:
        connection.exec_driver_sql(statement)


def test_the_export_can_be_verified_by_anybody(registry: Registry, tmp_path: Path) -> None:
    in_state(registry, "live")
    assert registry.export_jsonl(tmp_path / "out" / "journal.jsonl") == 3
    lines = [json.loads(line) for line in (tmp_path / "out" / "journal.jsonl").read_text().splitlines()]
    assert lines == registry.journal()
    assert all(line["hash"] == line_hash(line) for line in lines)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["journal.jsonl"]


moves = st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["start", *sorted(TRANSITIONS)])), max_size=25)


@settings(max_examples=25, deadline=None)
@given(moves=moves)
def test_any_walk_leaves_one_live_release_and_a_whole_journal(moves: list[tuple[str, str]]) -> None:
    walk("sqlite:///file:walk?mode=memory&cache=shared&uri=true", moves)


@settings(max_examples=10, deadline=None)
@given(moves=moves)
def test_any_walk_does_so_on_postgresql(postgresql: Server, moves: list[tuple[str, str]]) -> None:
    walk(postgresql.registry(), moves)


def walk(url: str, moves: list[tuple[str, str]]) -> None:
    with closing(Registry(url)) as registry:
        for package, move in moves:
            with suppress(IllegalTransition, UnknownRelease):
                if move == "start":
                    intent(registry, package)
                else:
                    registry.advance(release_id("sandbox", "fox", package), move)
        assert sum(row["state"] == "live" for row in registry.releases()) <= 1
        assert registry.verify_journal() == len(registry.journal())


def test_writers_at_the_same_time_leave_one_chain(url: str) -> None:
    def write(number: int) -> None:
        own = Registry(url)
        for package in range(5):
            intent(own, f"p{package}", app=f"app-{number}")
        own.close()

    writers = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    registry = Registry(url)
    assert registry.verify_journal() == 20
    registry.close()


def test_a_locked_registry_is_one_clear_line(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "BUSY_SECONDS", 0.1)
    with closing(Registry(url)) as registry, closing(Registry(url)) as other:
        with other.writing():
            with pytest.raises(RegistryBusy, match="another process") as busy:
                intent(registry)
            assert busy.value.exit_code == 5
            assert registry.releases() == []  # reading goes on
        intent(registry)


def test_one_lease_an_app_and_target(registry: Registry) -> None:
    with deploy_lease(registry, target="sandbox", app="fox") as lease:
        with pytest.raises(DeployBusy, match="wait until it ends"), deploy_lease(registry, target="sandbox", app="fox"):
            pass
        with deploy_lease(registry, target="fal", app="fox"), deploy_lease(registry, target="sandbox", app="owl"):
            pass
        registry.insert_intent(app="fox", package="p1", target="sandbox", verdict_hash="v", lease=lease)
    with deploy_lease(registry, target="sandbox", app="fox"):
        pass


def test_the_lease_of_a_dead_process_is_taken_over_at_once(url: str) -> None:
    holder = (
        "import sys\n"
        "from serving.release.registry import Registry\n"
        "from serving.release.lease import deploy_lease\n"
        "context = deploy_lease(Registry(sys.argv[1]), target='sandbox', app='fox')\n"
        "context.__enter__(); print('held', flush=True); sys.stdin.read()"
    )
    root = Path(__file__).resolve().parents[3]
    child = subprocess.Popen(
        [sys.executable, "-c", holder, url], cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert child.stdin is not None
    assert child.stdout is not None
    with child.stdin, child.stdout as said:
        assert said.readline() == "held\n"
        registry = Registry(url)
        with pytest.raises(DeployBusy, match=f"by process {child.pid} "), deploy_lease(registry, target="sandbox", app="fox"):
            pass
        child.kill()
        child.wait(10)
    with deploy_lease(registry, target="sandbox", app="fox"):
        pass
    registry.close()


def test_a_silent_holder_on_another_machine_loses_its_lease_and_can_not_write(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    registry = Registry(url, clock=lambda: now)
    with monkeypatch.context() as patch:
        patch.setattr("socket.gethostname", lambda: "elsewhere")
        away = deploy_lease(registry, target="sandbox", app="fox")
        lost = away.__enter__()
    with pytest.raises(DeployBusy, match="on elsewhere since"), deploy_lease(registry, target="sandbox", app="fox"):
        pass
    now += timedelta(seconds=leases.LEASE_SECONDS)
    with deploy_lease(registry, target="sandbox", app="fox"):
        with pytest.raises(LeaseLost, match="took over"):
            registry.insert_intent(app="fox", package="p1", target="sandbox", verdict_hash="v", lease=lost)
        away.__exit__(None, None, None)
        with pytest.raises(DeployBusy), deploy_lease(registry, target="sandbox", app="fox"):
            pass  # its end did not give the successor's lease away
    assert registry.releases() == []
    registry.close()
