"""Two processes deploy one app at the same moment: one wins, the other waits for its turn or says for whom it would have to."""

import os
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from serving.release.registry import Registry, sqlite_url
from tests.failpoints.kept_platform import KeptPlatform
from tests.failpoints.scenarios import content_of

ROOT = Path(__file__).resolve().parents[3]
DEPLOY = """
import pathlib, sys, time
from serving.release.deploy import publish_package
from serving.release.registry import Registry, sqlite_url
from tests.failpoints.kept_platform import KeptPlatform
from tests.failpoints.scenarios import SMOKE, package
home, content, wait = pathlib.Path(sys.argv[1]), sys.argv[2], float(sys.argv[3])
platform, registry = KeptPlatform(home / "platform.json"), Registry(sqlite_url(home))
def slowly(number, verb, when):
    if verb == "deploy" and when == "before" and wait == 0:
        (home / "inside").touch()
        while not (home / "go on").exists():
            time.sleep(0.01)
platform.on_call = slowly
def told(line):
    print(line)
    if line.startswith("waiting"):
        (home / "go on").touch()
arguments = dict(platform=platform, registry=registry, verdict_hash="v", smoke=SMOKE, wait=wait, progress=told)
publish_package(package(home, content), **arguments)
registry.close()
"""


def start(home: Path, content: str, wait: float) -> "subprocess.Popen[str]":
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", DEPLOY, str(home), content, str(wait)]
    return subprocess.Popen(command, env=environment, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.fixture
def first(tmp_path: Path) -> "subprocess.Popen[str]":
    """A deploy of `a` that is in the middle of its work."""
    process = start(tmp_path, "a", 0)
    deadline = time.monotonic() + 60
    while not (tmp_path / "inside").exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return process


def live(home: Path) -> list[str]:
    with closing(Registry(sqlite_url(home))) as registry:
        registry.verify_journal()
        return [f"{content_of(row)} {row['state']}" for row in registry.releases()]


def test_the_second_ends_and_names_the_process_that_it_would_have_to_wait_for(
    first: "subprocess.Popen[str]", tmp_path: Path
) -> None:
    second = start(tmp_path, "b", 0)
    _, said = second.communicate(timeout=60)
    assert second.returncode == 1
    assert f"DeployBusy: app 'toy' is being deployed to memory by process {first.pid}" in said
    (tmp_path / "go on").touch()
    first.communicate(timeout=60)
    assert live(tmp_path) == ["a live"]


def test_the_second_waits_for_its_turn_and_follows(first: "subprocess.Popen[str]", tmp_path: Path) -> None:
    second = start(tmp_path, "b", 60)
    said, fault = second.communicate(timeout=60)
    first.communicate(timeout=60)
    assert (first.returncode, second.returncode) == (0, 0), fault
    assert said.startswith(f"waiting up to 60 s: app 'toy' is being deployed to memory by process {first.pid}")
    assert live(tmp_path) == ["a retired", "b live"]
    assert KeptPlatform(tmp_path / "platform.json").on_main("toy") == "b"


def test_a_deploy_that_was_killed_keeps_nobody_out(first: "subprocess.Popen[str]", tmp_path: Path) -> None:
    first.kill()
    first.communicate(timeout=60)
    (tmp_path / "go on").touch()
    second = start(tmp_path, "b", 0)
    _, fault = second.communicate(timeout=60)
    assert second.returncode == 0, fault
    assert live(tmp_path) == ["a failed", "b live"]
