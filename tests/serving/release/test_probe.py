"""The probe on the sandbox: it finds out what no question answers, and nothing of it stays."""

import json
import subprocess
import sys
from pathlib import Path

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


def test_it_finds_out_removes_what_a_killed_one_left_and_leaves_nothing(
    sandbox: FalPlatform, sandbox_home: Path, tmp_path: Path
) -> None:
    environments, running = sandbox.environments(), control.up(sandbox_home)
    arguments = [json.dumps(running.env), running.caller_key, str(tmp_path)]
    child = subprocess.run([sys.executable, "-c", PROBE, *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    assert child.returncode == -9, child.stderr
    assert not nothing_left(sandbox)
    said: list[str] = []
    found = probe(sandbox, progress=said.append)
    assert found[0].got == "an earlier probe was left behind and is gone now"
    assert states(found[1:]) == {
        **dict.fromkeys(("rights", "units", "headers", "shared mode", "strangers", "other callers", "removal"), "passed"),
        "cost of the probe": "unknown",
    }
    assert said[0].startswith("probe: deploying")
    assert nothing_left(sandbox)
    assert set(sandbox.environments()) <= {*environments, CANDIDATE}


def test_a_probe_that_can_not_be_removed_says_how(tmp_path: Path) -> None:
    running = control.up(tmp_path)

    def cut_off(line: str) -> None:
        if "removing" in line:
            control.down(tmp_path)

    with sandbox_target(running.env, caller_key=running.caller_key, logs=tmp_path / "logs") as platform:
        (removal,) = [one for one in probe(platform, progress=cut_off) if one.check == "removal"]
    assert removal.state == "failed"
    assert f"fal apps delete {APP} --env {CANDIDATE}" in removal.do
