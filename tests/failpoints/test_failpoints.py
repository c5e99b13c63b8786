"""A kill -9 at any effect leaves one live release and is mended by the next run; docs/reliability.md shows what was found."""

import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from serving.release.registry import Registry, sqlite_url
from serving.sandbox import control
from tests.failpoints import scenarios
from tests.failpoints.driver import Forks, chained, drilled, forks, quick_folder
from tests.failpoints.effects import Effects
from tests.failpoints.on_sandbox import BOUNDARIES, OnSandbox, calling
from tests.failpoints.page import DRILLS, boundaries, shown, tables


@pytest.fixture(scope="module")
def server() -> Iterator[Forks]:
    with forks() as started:
        yield started


@pytest.mark.parametrize("drill", DRILLS)
def test_a_kill_at_any_effect_is_mended_by_the_next_run(drill: str, server: Forks) -> None:
    with quick_folder() as folder:
        outcomes = drilled(getattr(scenarios, drill), server, folder / drill)
    assert tables({drill: outcomes})[drill] == shown(drill), "run python -m tests.failpoints --write and read what changed"


def test_a_kill_at_the_boundaries_of_a_deploy_on_the_sandbox_fails_no_request(server: Forks, tmp_path: Path) -> None:
    running = control.up(tmp_path)
    try:
        server.ended("tests.failpoints.on_sandbox:OnSandbox", "prepare", tmp_path, tmp_path / "prepare")
        with calling(running) as statuses:
            found = list(chained(OnSandbox, server, tmp_path, BOUNDARIES))
    finally:
        control.down(tmp_path)
    assert set(statuses) == {200}
    assert boundaries(found, 0) == shown("OnSandbox"), "run python -m tests.failpoints --write and read what changed"


class Careless:
    """Writes that it has paid before it pays, and does not look the next time: what a drill is there to find."""

    asking = True

    def prepare(self, home: Path) -> None:
        (home / "paid").write_text("")

    def run(self, home: Path, effects: Effects) -> None:
        if (home / "noted").exists():
            return
        with effects.around("note"):
            (home / "noted").touch()
        with effects.around("pay"):
            (home / "paid").write_text("1")

    def struck(self, home: Path) -> str:
        return "struck"

    def ended(self, home: Path) -> str:
        assert (home / "paid").read_text() == "1", "nothing was paid"
        return "paid"


def test_a_drill_finds_what_is_not_mended_and_names_the_point(server: Forks, tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="killed after effect 1, note: nothing was paid"):
        drilled(Careless, server, tmp_path / "drill")


@pytest.fixture
def struck_home(server: Forks, tmp_path: Path) -> Path:
    """A registry whose writer was killed: what it wrote last is in the write-ahead log alone."""
    name, home = "tests.failpoints.scenarios:Publish", tmp_path / "home"
    home.mkdir()
    server.ended(name, "prepare", home, tmp_path / "prepare")
    server.killed(name, home, tmp_path / "run", ("platform: ask main for health", "before"))
    return home


def test_a_power_cut_that_tears_the_write_ahead_log_loses_whole_transactions_only(struck_home: Path, tmp_path: Path) -> None:
    """fsync at each commit keeps what was committed; should a disk lie about that, what is lost is the end, never the middle."""
    log = (struck_home / "registry.db-wal").read_bytes()
    lengths, whole = set(), lines_of(struck_home, tmp_path / "whole", len(log))
    assert len(log) > 0
    for cut in range(0, len(log), max(1, len(log) // 40)):
        lines = lines_of(struck_home, tmp_path / f"cut-{cut}", cut)
        assert lines == whole[: len(lines)]
        lengths.add(len(lines))
    assert len(lengths) > 3, "the cuts met too few transactions to say anything"


def lines_of(home: Path, copy: Path, cut: int) -> list[str]:
    """Hashes of the journal in a copy of the registry whose write-ahead log ends at `cut`; the copy must verify."""
    copy.mkdir()
    shutil.copyfile(home / "registry.db", copy / "registry.db")
    (copy / "registry.db-wal").write_bytes((home / "registry.db-wal").read_bytes()[:cut])
    with closing(Registry(sqlite_url(copy))) as registry:
        registry.verify_journal()
        return [line["hash"] for line in registry.journal()]


def test_commits_reach_the_disk_before_they_are_answered(tmp_path: Path) -> None:
    with closing(Registry(sqlite_url(tmp_path))) as registry, registry.engine.connect() as connection:
        settings = {name: connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in ("journal_mode", "synchronous")}
    assert settings == {"journal_mode": "wal", "synchronous": 2}  # 2 is FULL: the log is synced at each commit
