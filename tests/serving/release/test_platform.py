"""The real SDK and the real client in the worker, against the sandbox on loopback."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from serving.release.deploy import publish_package
from serving.release.errors import (
    DeployFailed,
    PlatformError,
    PlatformTimeout,
    PlatformUnreachable,
    SharedRefused,
    SmokeFailed,
    WrongKey,
)
from serving.release.platform import Caller, FalPlatform
from serving.release.registry import Registry, Row, sqlite_url
from serving.release.smoke import SmokePlan, running_package
from serving.release.target import HOST_VARIABLES, sandbox_target
from serving.sandbox import control
from tests.serving.release.conftest import MakeToy

PLAN = SmokePlan(arguments=[{"prompt": "a red fox"}])
ROOT = Path(__file__).resolve().parents[3]


def publish(package: Path, platform: FalPlatform, registry: Registry, progress: Callable[[str], None] = lambda line: None) -> Row:
    return publish_package(package, platform=platform, registry=registry, verdict_hash="v", smoke=PLAN, progress=progress)


def revisions_deployed(home: Path, app: str) -> set[str]:
    return {row["revision"] for row in control.ledger(home) if row["app"] == app}


def test_a_package_goes_live_once_and_every_image_is_a_unit_in_the_ledger(
    sandbox: FalPlatform, sandbox_home: Path, registry: Registry, make_toy: MakeToy
) -> None:
    row = publish(make_toy("once", app="once"), sandbox, registry)
    assert row["state"] == "live"
    found = sandbox.alias("once", None)
    assert found is not None
    assert (found.revision, found.auth_mode) == (row["revision"], "shared")
    assert found.urls == row["urls"]
    ledger = {line["request_id"]: line for line in control.ledger(sandbox_home)}
    for place, revision in (("candidate", row["candidate_revision"]), ("main", row["revision"])):
        evidence = row["evidence"][place]
        assert evidence["images"] == evidence["units"] == 2
        assert evidence["caller"] == "caller"
        for request in evidence["requests"]:
            line = ledger[request["request_id"]]
            assert (float(line["units"]), line["revision"]) == (2.0, revision)
            assert line["caller"] != sandbox.whoami()["nickname"]
    before = len(control.ledger(sandbox_home))
    assert publish(make_toy("once", app="once"), sandbox, registry) == row
    assert len(control.ledger(sandbox_home)) == before


def test_what_fails_leaves_the_old_release_live_and_says_why_in_one_line(
    sandbox: FalPlatform, registry: Registry, make_toy: MakeToy
) -> None:
    old = publish(make_toy("good", app="kept", inline=True), sandbox, registry)
    with pytest.raises(DeployFailed, match="app 'kept' \\(candidate\\): RuntimeError: no weights here; whole log: ") as failed:
        publish(make_toy("no-setup", app="kept", setup="no weights here"), sandbox, registry)
    assert "\n" not in str(failed.value)
    assert "loading the weights of the toy" in failed.value.tail
    with pytest.raises(SmokeFailed, match="delivered 2 images and billed '7' units"):
        publish(make_toy("greedy", app="kept", units=7), sandbox, registry)
    assert sorted(row["state"] for row in registry.releases()) == ["failed", "failed", "live"]
    assert running_package(sandbox, app="kept", environment=None) == old["package"]


def test_interrupted_on_main_it_sets_back_the_old_revision_and_the_next_run_goes_on(
    sandbox: FalPlatform, registry: Registry, make_toy: MakeToy
) -> None:
    old = publish(make_toy("first", app="back"), sandbox, registry)

    def interrupt(line: str) -> None:
        if "in main" in line and "golden" in line:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        publish(make_toy("second", app="back"), sandbox, registry, interrupt)
    found = sandbox.alias("back", None)
    assert found is not None
    assert found.revision == old["revision"]
    assert registry.live("back", "sandbox") == old
    new = publish(make_toy("second", app="back"), sandbox, registry)
    assert registry.live("back", "sandbox") == new
    assert running_package(sandbox, app="back", environment=None) == new["package"]
    registry.verify_journal()


PUBLISH = """
import json, os, pathlib, sys
from serving.release.deploy import publish_package
from serving.release.registry import Registry, sqlite_url
from serving.release.smoke import SmokePlan
from serving.release.target import sandbox_target

package, home, caller_key = sys.argv[1], pathlib.Path(sys.argv[2]), sys.argv[3]
platform = sandbox_target(json.loads(sys.argv[4]), caller_key=caller_key, logs=home / "logs")
plan = SmokePlan(arguments=[{"prompt": "a red fox"}])
publish_package(pathlib.Path(package), platform=platform, registry=Registry(sqlite_url(home)), verdict_hash="v", smoke=plan,
                progress=lambda line: print(line, flush=True))
"""


def test_killed_in_the_deploy_to_main_nothing_stays_behind_and_the_next_run_ends_it(
    sandbox: FalPlatform, sandbox_home: Path, tmp_path: Path, make_toy: MakeToy
) -> None:
    import json

    package, home, running = make_toy("killed", app="killed"), tmp_path / "home", control.up(sandbox_home)
    arguments = [str(package), str(home), running.caller_key, json.dumps(running.env)]
    child = subprocess.Popen([sys.executable, "-c", PUBLISH, *arguments], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    with child.stdout as lines:
        assert any("deploying" in line and "to main" in line for line in lines)
        wait_until(lambda: len(psutil.Process(child.pid).children()) == 2)
        workers = psutil.Process(child.pid).children(recursive=True)
        os.kill(child.pid, signal.SIGKILL)
    assert child.wait(10) == -signal.SIGKILL
    _, alive = psutil.wait_procs(workers, timeout=10)
    assert alive == []
    registry = Registry(sqlite_url(home))
    try:
        assert [row["state"] for row in registry.releases()] == ["candidate"]
        row = publish(package, sandbox, registry)
        assert [row["state"] for row in registry.releases()] == ["live"]
        found = sandbox.alias("killed", None)
        assert found is not None
        assert found.revision == row["revision"]
        registry.verify_journal()
    finally:
        registry.close()


def test_shared_mode_refused_says_whom_to_ask(tmp_path: Path, registry: Registry, make_toy: MakeToy) -> None:
    running = control.up(tmp_path, shared_enabled=False)
    try:
        with sandbox_target(running.env, caller_key=running.caller_key, logs=tmp_path / "logs") as platform:
            with pytest.raises(SharedRefused, match="send the fal team a mail") as refused:
                publish(make_toy("shared"), platform, registry)
            assert "\n" not in str(refused.value)
            assert platform.alias("toy", None) is None
    finally:
        control.down(tmp_path)
    assert [row["state"] for row in registry.releases()] == ["failed"]


def test_a_wrong_key_is_told_and_never_logged(sandbox_home: Path, tmp_path: Path, registry: Registry, make_toy: MakeToy) -> None:
    running = control.up(sandbox_home)
    key = "sandbox-1111111122222222:planted-secret-of-nobody"
    with sandbox_target({**running.env, "FAL_KEY": key}, caller_key=running.caller_key, logs=tmp_path / "logs") as platform:
        for ask in (platform.whoami, lambda: platform.alias("toy", None), lambda: publish(make_toy("key"), platform, registry)):
            with pytest.raises(WrongKey, match="the sandbox accepts only keys that it issued") as wrong:
                ask()
            assert "planted-secret" not in str(wrong.value)
        with pytest.raises(WrongKey):
            platform.deploy(make_toy("key"), app="toy", environment="candidate")
    logs = "".join(path.read_text() for path in (tmp_path / "logs").iterdir())
    assert "Traceback" in logs
    assert "planted-secret" not in logs
    assert [row["state"] for row in registry.releases()] == ["intent"]


def test_a_platform_that_is_not_there_is_told_within_seconds(sandbox_home: Path, tmp_path: Path, make_toy: MakeToy) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: nobody answers here
        nowhere = f"127.0.0.1:{taken.getsockname()[1]}"
        env = dict(control.up(sandbox_home).env)
        env |= dict.fromkeys(HOST_VARIABLES, nowhere)
        began = time.monotonic()
        with sandbox_target(env, caller_key="sandbox-a:b", logs=tmp_path / "logs") as platform:
            for ask in (platform.whoami, lambda: platform.alias("toy", None)):
                with pytest.raises(PlatformUnreachable, match="`lorasmith sandbox up` starts it"):
                    ask()
        assert time.monotonic() - began < 30


def test_a_deploy_that_takes_too_long_is_ended_with_its_process(sandbox_home: Path, tmp_path: Path, make_toy: MakeToy) -> None:
    running = control.up(sandbox_home)
    before = psutil.Process().children()  # other tests may have left multiprocessing's resource tracker
    platform = FalPlatform(name="sandbox", env=running.env, caller_key=None, logs=tmp_path / "logs", deploy_timeout=0.05)
    with pytest.raises(PlatformTimeout, match="did not finish deploy within"):
        platform.deploy(make_toy("slow", app="slow"), app="slow", environment=None)
    assert [child for child in psutil.Process().children() if child not in before] == []


def test_callers_are_told_apart(sandbox: FalPlatform, make_toy: MakeToy) -> None:
    sandbox.deploy(make_toy("callers", app="callers"), app="callers", environment=None)
    refused = sandbox.call("callers", {"prompt": "refuse"})
    assert (refused.status, refused.units, refused.body) == (400, "0", {"detail": "not this prompt"})
    keys: tuple[Caller | None, ...] = ("owner", "caller", "wrong", None)
    statuses = {key: sandbox.call("callers", {"prompt": "x"}, key=key).status for key in keys}
    assert statuses == {"owner": 200, "caller": 200, "wrong": 401, None: 401}
    gone = sandbox.call("no-such-app", {"prompt": "x"})
    assert gone.status == 404


def test_an_app_that_the_package_does_not_define_is_refused_before_the_platform_is_asked(
    sandbox: FalPlatform, make_toy: MakeToy
) -> None:
    with pytest.raises(PlatformError, match=r"other not found in pyproject\.toml"):
        sandbox.deploy(make_toy("other", app="toy"), app="other", environment=None)


def wait_until(condition: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.02)


class Told:
    """A worker that answers with what it was given, or is silent."""

    def __init__(self, reply: dict[str, Any] | None) -> None:
        self.reply = reply
        self.asked: list[str] = []

    def ask(self, request: dict[str, Any], *, timeout: float) -> dict[str, Any]:
        self.asked.append(request["verb"])
        if self.reply is None:
            raise TimeoutError
        return self.reply

    def close(self) -> None:
        return


def test_a_look_that_finds_a_silent_connection_is_made_once_more_and_a_change_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    platform = FalPlatform(name="sandbox", env={}, caller_key=None, logs=tmp_path)
    workers = [Told(None), Told({"value": None}), Told(None)]
    left = iter(workers)
    monkeypatch.setattr(platform, "_start", lambda _: next(left))
    assert platform.alias("toy", None) is None
    platform.close()
    with pytest.raises(PlatformTimeout):
        platform.set_revision("toy", "r", None)
    assert [worker.asked for worker in workers] == [["alias"], ["alias"], ["set_revision"]]


def test_the_worker_keeps_the_threads_of_grpc_from_one_question_to_the_next(sandbox: FalPlatform) -> None:
    """To end them waits for them under Python's lock, which hangs where one of them wants it at that moment."""

    def threads() -> set[str]:
        assert sandbox._kept is not None
        found = set()
        for task in Path(f"/proc/{sandbox._kept._process.pid}/task").iterdir():
            with suppress(OSError):  # a thread that ended meanwhile
                found |= {task.name} if (task / "comm").read_text().startswith("event_engine") else set()
        return found

    sandbox.environments()
    first = threads()
    sandbox.environments()
    sandbox.apps(None)
    assert first
    assert threads() >= first
