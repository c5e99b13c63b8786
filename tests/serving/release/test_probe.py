"""The probe on the sandbox: it finds out what no question answers, and nothing of it stays."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from serving.release.errors import PlatformUnreachable
from serving.release.platform import FalPlatform
from serving.release.preflight import CANDIDATE, Finding
from serving.release.probe import APP, probe
from serving.release.target import sandbox_target
from serving.sandbox import control

ROOT = Path(__file__).resolve().parents[3]


def states(findings: list[Finding]) -> dict[str, str]:
    return {finding.check: finding.state for finding in findings}


def nothing_left(platform: FalPlatform) -> bool:
    return APP not in platform.apps(CANDIDATE) and APP not in platform.apps(None) and platform.revisions(APP, CANDIDATE) == []


def test_it_finds_out_and_leaves_nothing(sandbox: FalPlatform) -> None:
    environments = sandbox.environments()
    said: list[str] = []
    found = states(probe(sandbox, progress=said.append))
    assert found == {
        **dict.fromkeys(("rights", "units", "headers", "shared mode", "strangers", "other callers", "removal"), "passed"),
        "cost of the probe": "unknown",
    }
    assert nothing_left(sandbox)
    assert sandbox.environments() == environments
    assert said[0].startswith("probe: deploying")


def test_shared_mode_refused_is_a_finding_and_the_probe_is_gone(tmp_path: Path) -> None:
    running = control.up(tmp_path, shared_enabled=False)
    try:
        with sandbox_target(running.env, caller_key=running.caller_key, logs=tmp_path / "logs") as platform:
            found = probe(platform, progress=lambda line: None)
            assert nothing_left(platform)
            assert platform.environments() == []
    finally:
        control.down(tmp_path)
    assert (states(found)["rights"], states(found)["shared mode"]) == ("passed", "failed")
    (refused,) = [finding for finding in found if finding.check == "shared mode"]
    assert refused.exit_code == 5
    assert "\n" not in refused.got


PROBE = """
import json, os, pathlib, signal, sys
from serving.release import probe
from serving.release.target import sandbox_target

def killed(line):
    if "calling" in line:
        os.kill(os.getpid(), signal.SIGKILL)

with sandbox_target(json.loads(sys.argv[1]), caller_key=sys.argv[2], logs=pathlib.Path(sys.argv[3])) as platform:
    probe.probe(platform, progress=killed)
"""


def test_what_a_killed_probe_left_is_removed_by_the_next(sandbox: FalPlatform, sandbox_home: Path, tmp_path: Path) -> None:
    running = control.up(sandbox_home)
    arguments = [json.dumps(running.env), running.caller_key, str(tmp_path)]
    child = subprocess.run([sys.executable, "-c", PROBE, *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    assert child.returncode == -9, child.stderr
    assert not nothing_left(sandbox)
    found = probe(sandbox, progress=lambda line: None)
    assert found[0].got == "an earlier probe was left behind and is gone now"
    assert nothing_left(sandbox)


def test_a_probe_that_can_not_be_removed_says_how(sandbox: FalPlatform, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(app: str, environment: str | None) -> None:
        raise PlatformUnreachable("sandbox can not be reached")

    with monkeypatch.context() as patch:
        taken = iter([sandbox.delete])
        patch.setattr(sandbox, "delete", lambda app, environment: next(taken, unreachable)(app, environment))
        (removal,) = [one for one in probe(sandbox, progress=lambda line: None) if one.check == "removal"]
    assert removal.state == "failed"
    assert f"fal apps delete {APP} --env {CANDIDATE}" in removal.do
    probe(sandbox, progress=lambda line: None)
    assert nothing_left(sandbox)
