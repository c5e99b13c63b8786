"""The registry on a real PostgreSQL server: processes that race, die and sleep, and a server that goes away and comes back."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg
import pytest

from serving.release import database
from serving.release.deploy import publish_package
from serving.release.errors import DeployBusy, RegistryBusy, RegistryUnreachable, RegistryUnusable
from serving.release.lease import deploy_lease
from serving.release.registry import Registry, Row
from serving.release.smoke import SmokePlan
from tests.postgres import ROOT, Server
from tests.serving.release.conftest import Clock, MakePackage
from tests.serving.release.memory_platform import MemoryPlatform, When

WRITER = """
import sys
from serving.release.registry import Registry
registry = Registry(sys.argv[1])
print("ready", flush=True); sys.stdin.readline()
for number in range(15):
    registry.insert_intent(app=sys.argv[2], package=f"p{number}", target="sandbox", verdict_hash="v")
"""
HOLDER = """
import sys
from serving.release.registry import Registry
with Registry(sys.argv[1]).writing():
    print("ready", flush=True); sys.stdin.read()
"""
RACER = """
import sys
from serving.release.errors import DeployBusy
from serving.release.lease import deploy_lease
from serving.release.registry import Registry
registry = Registry(sys.argv[1])
print("ready", flush=True); sys.stdin.readline()
try:
    with deploy_lease(registry, target="sandbox", app="fox"):
        print("holds it", flush=True); sys.stdin.readline()
except DeployBusy:
    print("busy", flush=True)
"""


@contextmanager
def process(code: str, *arguments: str) -> Iterator["subprocess.Popen[str]"]:
    """A process of its own that has said that it is ready; killed at the end."""
    command = [sys.executable, "-c", code, *arguments]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        try:
            assert child.stdout is not None
            assert child.stdout.readline() == "ready\n"
            yield child
        finally:
            child.kill()


def intent(registry: Registry, package: str = "p1", app: str = "fox") -> Row:
    return registry.insert_intent(app=app, package=package, target="sandbox", verdict_hash="v")


@pytest.fixture
def registry(postgresql: Server) -> Iterator[Registry]:
    with closing(Registry(postgresql.registry(), clock=Clock())) as registry:
        yield registry


def url_of(registry: Registry) -> str:
    return registry.engine.url.render_as_string(hide_password=False)


def test_two_processes_that_write_at_once_leave_one_chain(registry: Registry) -> None:
    with process(WRITER, url_of(registry), "fox") as one, process(WRITER, url_of(registry), "owl") as other:
        for child in (one, other):
            assert child.stdin is not None
            child.stdin.write("go\n")
            child.stdin.flush()
        assert [child.wait(60) for child in (one, other)] == [0, 0]
    assert registry.verify_journal() == 30
    apps = [line["row"]["app"] for line in registry.journal()]
    assert len({*apps}) == 2


def test_of_two_processes_that_want_a_lease_at_once_one_holds_it_and_its_death_frees_it(registry: Registry) -> None:
    with process(RACER, url_of(registry)) as one, process(RACER, url_of(registry)) as other:
        said = {}
        for child in (one, other):
            assert child.stdin is not None
            child.stdin.write("go\n")
            child.stdin.flush()
        for child in (one, other):
            assert child.stdout is not None
            said[child.stdout.readline()] = child
        assert set(said) == {"holds it\n", "busy\n"}
        holder = said["holds it\n"]
        with pytest.raises(DeployBusy, match=f"process {holder.pid} "), deploy_lease(registry, target="sandbox", app="fox"):
            pass
        holder.send_signal(signal.SIGKILL)
        holder.wait(10)
        with deploy_lease(registry, target="sandbox", app="fox") as lease:
            registry.insert_intent(app="fox", package="p", target="sandbox", verdict_hash="v", lease=lease)


def test_a_writer_that_is_killed_leaves_the_journal_to_the_next(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    with process(HOLDER, url_of(registry)) as holder:
        with monkeypatch.context() as patch:
            patch.setattr(database, "BUSY_SECONDS", 0.1)
            with pytest.raises(RegistryBusy, match="run again"):
                intent(registry)
        holder.send_signal(signal.SIGKILL)
        holder.wait(10)
        intent(registry)
    assert registry.verify_journal() == 1


def test_a_writer_that_sleeps_loses_the_journal_and_is_told(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "ASLEEP_SECONDS", 1)
    with closing(Registry(url_of(registry))) as sleeper, pytest.raises(RegistryUnreachable):
        sleep_over(sleeper, meanwhile=registry)
    assert registry.verify_journal() == 1


def sleep_over(sleeper: Registry, *, meanwhile: Registry) -> None:
    with sleeper.writing() as connection:
        intent(meanwhile)  # waits until the server has given up on the sleeper
        connection.exec_driver_sql("SELECT 1")


def test_nobody_can_empty_the_journal(registry: Registry) -> None:
    intent(registry)
    with psycopg.connect(url_of(registry).replace("+psycopg", "")) as connection, pytest.raises(psycopg.Error, match="append-only"):
        connection.execute("TRUNCATE journal")


def test_a_server_that_stops_in_a_deploy_is_one_line_and_the_next_run_goes_on(
    registry: Registry, postgresql: Server, make_package: MakePackage
) -> None:
    platform = MemoryPlatform()
    plan = SmokePlan(arguments=[{"prompt": "a red fox"}])

    def publish(content: str) -> Row:
        return publish_package(
            make_package(content), platform=platform, registry=registry, verdict_hash="v", smoke=plan, progress=lambda line: None
        )

    def stop(number: int, verb: str, when: When) -> None:
        if verb == "deploy" and when == "after":
            postgresql.stop()

    publish("a")
    platform.on_call = stop
    try:
        with pytest.raises(RegistryUnreachable) as caught:
            publish("b")
        assert "start its server" in str(caught.value)
        assert "\n" not in str(caught.value)
        assert postgresql.password not in str(caught.value)
    finally:
        postgresql.start()
    platform.on_call = lambda number, verb, when: None
    live = publish("b")
    assert registry.live("toy", "memory") == live
    assert platform.aliases["toy", "main"] == live["revision"]
    assert [content for _, place, content in platform.deploys if place == "candidate"] == ["a", "b"]
    registry.verify_journal()


def test_a_registry_that_can_not_be_used_says_why_and_never_its_password(postgresql: Server) -> None:
    url = postgresql.database()
    with postgresql.connected() as connection:
        connection.execute("CREATE ROLE guest LOGIN PASSWORD 'secret-of-guest'")
    cases = [
        (url.replace(postgresql.password, "wrong-password"), RegistryUnreachable, "password authentication failed"),
        (url.replace("/registry_", "/nowhere_"), RegistryUnreachable, "does not exist"),
        (url.replace("lorasmith:" + postgresql.password, "guest:secret-of-guest"), RegistryUnusable, "must be allowed to make"),
        ("postgresql://u:hidden-word@127.0.0.1:1/x?password=hidden-too", RegistryUnreachable, "can not be reached"),
        ("mysql://u:hidden-word@127.0.0.1/x", RegistryUnusable, "only SQLite and PostgreSQL"),
        ("postgresql+nodriver://u:hidden-word@h/x", RegistryUnusable, r"pip install lorasmith\[postgresql\]"),
        ("hidden-word", RegistryUnusable, "LORASMITH_REGISTRY"),
    ]
    for wrong, kind, words in cases:
        with pytest.raises(kind, match=words) as caught:
            Registry(wrong)
        said = str(caught.value)
        assert "\n" not in said
        assert not any(word in said for word in ("hidden", "wrong-password", "secret-of-guest", postgresql.password)), said


def test_without_its_driver_the_line_says_what_to_install() -> None:
    code = "import sys; sys.modules['psycopg'] = None; from serving.release.registry import Registry; Registry(sys.argv[1])"
    command = [sys.executable, "-c", code, "postgresql+psycopg://user:hidden-word@127.0.0.1/registry"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    last = ended.stderr.splitlines()[-1]
    assert "pip install lorasmith[postgresql]" in last
    assert "hidden-word" not in last


def test_the_command_line_reads_it_and_ends_with_5_where_it_is_away(registry: Registry, postgresql: Server, tmp_path: Path) -> None:
    intent(registry)
    environment = {**os.environ, "LORASMITH_HOME": str(tmp_path), "LORASMITH_REGISTRY": url_of(registry)}

    def status() -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "flows.cli.main", "status"]
        return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)

    assert "intent     fox - (sandbox) package p1" in status().stdout
    postgresql.stop()
    try:
        away = status()
    finally:
        postgresql.start()
    assert (away.returncode, len(away.stderr.splitlines())) == (5, 1)
    assert postgresql.password not in away.stderr
    assert not (tmp_path / "registry.db").exists()
