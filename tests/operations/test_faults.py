"""What is no kill: a database that is locked, a disk that is full, two of the same run at once, a clock that was set."""

import os
import resource
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from flows.books.records import write_json
from flows.store import make
from serving.release.errors import DeployBusy
from serving.release.lease import deploy_lease
from serving.release.registry import Registry, sqlite_url
from serving.release.rollback import roll_back
from tests.failpoints.kept_platform import KeptPlatform
from tests.failpoints.scenarios import content_of, publish
from tests.operations.prefect import ROOT

DAY = timedelta(days=1)


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    with closing(Registry(sqlite_url(tmp_path))) as opened:
        yield opened


@pytest.fixture
def platform(tmp_path: Path) -> KeptPlatform:
    return KeptPlatform(tmp_path / "platform.json")


def test_a_deploy_waits_for_a_registry_that_is_locked(tmp_path: Path, registry: Registry, platform: KeptPlatform) -> None:
    publish(tmp_path, "a", platform, registry)
    with closing(sqlite3.connect(tmp_path / "registry.db", isolation_level=None, check_same_thread=False)) as other:
        other.execute("BEGIN EXCLUSIVE")
        release = threading.Timer(2.0, lambda: other.execute("COMMIT"))
        release.start()
        publish(tmp_path, "b", platform, registry)
        release.join()
    registry.verify_journal()
    assert platform.on_main("toy") == "b"
    assert [(place, content) for _, place, content in platform.deploys].count(("main", "b")) == 1


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """No file of this process can grow beyond that: what a full disk does to whoever writes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_leaves_no_half_an_artefact_and_room_is_all_that_it_needs(tmp_path: Path) -> None:
    def build(out: Path) -> None:
        for name in ("small", "large"):
            (out / name).write_bytes(bytes(10_000 if name == "small" else 1_000_000))

    with files_of_at_most(100_000), pytest.raises(OSError, match="File too large"):
        make(tmp_path, "thing", {"of": 1}, build)
    assert [path.name for path in (tmp_path / "store" / "thing").iterdir() if path.is_dir()] == []
    assert not make(tmp_path, "thing", {"of": 1}, build).found
    assert make(tmp_path, "thing", {"of": 1}, build).found


def test_a_full_disk_keeps_the_record_that_was_there(tmp_path: Path) -> None:
    file = tmp_path / "last.json"
    write_json(file, {"run": "one"})
    with files_of_at_most(1_000), pytest.raises(OSError, match=r"last\.json"):
        write_json(file, {"run": "x" * 5_000})
    assert file.read_text() == '{\n  "run": "one"\n}\n'
    assert [path.name for path in tmp_path.iterdir()] == ["last.json"]


def test_the_same_event_twice_deploys_once(tmp_path: Path, registry: Registry, platform: KeptPlatform) -> None:
    """Two processes at the same moment: one deploys, the other waits and finds it."""
    publish(tmp_path, "a", platform, registry)
    program = "import sys; from tests.operations.test_faults import deploy; deploy(sys.argv[1])"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    both = [subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], env=environment, cwd=ROOT) for _ in range(2)]
    assert [process.wait(120) for process in both] == [0, 0]
    registry.verify_journal()
    platform.load()
    assert sorted(place for _, place, content in platform.deploys if content == "b") == ["candidate", "main"]
    assert [content_of(row) for row in registry.releases() if row["state"] == "live"] == ["b"]


def deploy(home: str) -> None:
    """In a process of its own: publish `b`, waiting for its turn."""
    from serving.release.deploy import publish_package
    from tests.failpoints.scenarios import SMOKE, package

    folder = Path(home)
    with closing(Registry(sqlite_url(folder))) as registry:
        platform = KeptPlatform(folder / "platform.json")
        publish_package(
            package(folder, "b"),
            platform=platform,
            registry=registry,
            verdict_hash="v" * 64,
            smoke=SMOKE,
            wait=60.0,
            progress=lambda line: None,
        )


Moved = Callable[[timedelta], Registry]


@pytest.fixture
def moved(tmp_path: Path) -> Iterator[Moved]:
    """The registry of a machine whose clock is off by so much."""
    opened: list[Registry] = []

    def by(much: timedelta) -> Registry:
        opened.append(Registry(sqlite_url(tmp_path), clock=lambda: datetime.now(UTC) + much))
        return opened[-1]

    yield by
    for each in opened:
        each.close()


@pytest.mark.parametrize("jumps", [(timedelta(), -DAY, timedelta()), (timedelta(), DAY, timedelta()), (DAY, timedelta(), -DAY)])
def test_a_clock_that_is_set_changes_no_order(
    tmp_path: Path, moved: Moved, platform: KeptPlatform, jumps: tuple[timedelta, timedelta, timedelta]
) -> None:
    for content, jump in zip("abc", jumps, strict=True):
        publish(tmp_path, content, platform, moved(jump))
    registry = moved(-2 * DAY)
    registry.verify_journal()
    assert contents(registry) == ["a", "b", "c"]
    roll_back("toy", platform=platform, registry=registry, reason="it is worse", progress=lambda line: None)
    assert platform.on_main("toy") == "b", "the one that was live before, not the one of the day before"
    registry.verify_journal()


def contents(registry: Registry) -> list[str]:
    return [content_of(row) for row in registry.releases(app="toy")]


@pytest.mark.parametrize("jump", [DAY, -DAY])
def test_a_clock_that_is_set_takes_no_lease_from_a_holder_that_lives(moved: Moved, jump: timedelta) -> None:
    now = moved(timedelta())
    with (
        deploy_lease(now, target="memory", app="toy"),
        pytest.raises(DeployBusy),
        deploy_lease(moved(jump), target="memory", app="toy"),
    ):
        pass
    with deploy_lease(moved(-jump), target="memory", app="toy"):
        pass
