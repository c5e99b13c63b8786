"""A tiny app on the platform, for what it does not tell: may this key deploy, may the account share, do the headers pass.

It lives in the environment `candidate` for as long as the probe runs. What a killed probe left there is found and removed by the
next one.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Final

import tomli_w

from serving.release.errors import DeployFailed, PlatformError, SharedRefused
from serving.release.platform import Called, Caller, Platform
from serving.release.preflight import CANDIDATE, Finding

APP: Final = "lorasmith-probe"
MACHINE: Final = "XS"


def probe(platform: Platform, *, progress: Callable[[str], None]) -> list[Finding]:
    """Deploy the probe, call it, share it, call it as another account, and take it away; what that showed.

    Raises PlatformError where the platform can not be reached, and never leaves the probe behind as long as it can.
    """
    findings = _removed(platform, "an earlier probe was left behind and is gone now")
    began, had = time.time(), CANDIDATE in platform.environments()
    try:
        with _package() as package:
            findings += _deployed(platform, package, progress)
        findings += _cost(platform, began)
    finally:
        progress("probe: removing it")
        left = _left_behind(platform, environment=had)
    return [*findings, *left]


def _deployed(platform: Platform, package: Path, progress: Callable[[str], None]) -> list[Finding]:
    progress(f"probe: deploying {APP!r} to {CANDIDATE} on a machine {MACHINE}")
    try:
        platform.deploy(package, app=APP, environment=CANDIDATE, auth="private")
    except DeployFailed as error:
        return [Finding(check="probe", state="failed", got=str(error), exit_code=error.exit_code)]
    progress("probe: calling it")
    findings = [Finding(check="rights", state="passed", got="this key may deploy, and a runner of it starts")]
    findings += _headers(_call(platform, "owner"))
    try:
        platform.set_auth(APP, "shared", CANDIDATE)
    except SharedRefused as error:
        return [*findings, Finding(check="shared mode", state="failed", got=str(error), exit_code=error.exit_code)]
    findings.append(Finding(check="shared mode", state="passed", got="the account may share: the probe was switched to it"))
    return findings + _others(platform)


def _headers(answer: Called) -> list[Finding]:
    """Whether units arrive at the caller, and what the app hears of the call."""
    if answer.status != 200:
        return [Finding(check="call", state="failed", got=f"the probe answered its owner {answer.status}", exit_code=5)]
    units = Finding(check="units", state="passed", got="the header with the billed units reaches the caller")
    if answer.units != "0":
        do = "ask fal: without it callers pay by machine time"
        units = Finding(check="units", state="failed", got=f"0 units were told, {answer.units!r} arrived", do=do, exit_code=5)
    heard = [name for name in ("request_id", "caller") if answer.body.get(name)]
    return [units, Finding(check="headers", state="passed", got=f"the app hears of a call: {', '.join(heard) or 'nothing'}")]


def _others(platform: Platform) -> list[Finding]:
    """In shared mode any account may call, and nobody without one."""
    stranger = _call(platform, None).status
    closed = Finding(check="strangers", state="passed", got=f"a call without a key is answered {stranger}")
    if stranger != 401:
        closed = Finding(
            check="strangers", state="failed", got=f"a call without a key was answered {stranger}, not 401", exit_code=5
        )
    if not platform.second_caller:
        do = "export LORASMITH_SMOKE_KEY, a key of another account"
        return [closed, Finding(check="other callers", state="unknown", got="there is no key of another account to try", do=do)]
    status = _call(platform, "caller").status
    if status != 200:
        return [closed, Finding(check="other callers", state="failed", got=f"another account was answered {status}", exit_code=5)]
    return [closed, Finding(check="other callers", state="passed", got="another account may call")]


def _cost(platform: Platform, began: float) -> list[Finding]:
    try:
        seen = platform.requests(APP, CANDIDATE, began - 60)
        spent = f"{len(seen)} requests, {sum(one.seconds for one in seen):.1f} s"
    except PlatformError:
        spent = "its requests can not be listed yet"
    do = "https://fal.ai/dashboard/billing has it once it is billed"
    return [Finding(check="cost of the probe", state="unknown", got=f"{spent} on a machine {MACHINE}, its start beside", do=do)]


def _left_behind(platform: Platform, *, environment: bool) -> list[Finding]:
    """Take the probe away, and the environment where it was made for it; a finding where that fails."""
    try:
        _removed(platform, "")
        if not environment and not platform.apps(CANDIDATE):
            platform.delete_environment(CANDIDATE)
    except PlatformError as error:
        do = f"run it again, which removes it first, or: fal apps delete {APP} --env {CANDIDATE}"
        return [Finding(check="removal", state="failed", got=f"the probe is still there: {error}", do=do, exit_code=5)]
    return [Finding(check="removal", state="passed", got="nothing of the probe is left on the platform")]


def _removed(platform: Platform, said: str) -> list[Finding]:
    """Name and revisions of any probe; one finding where there was one and something is to be said of it."""
    if CANDIDATE not in platform.environments():
        return []
    revisions = platform.revisions(APP, CANDIDATE)
    platform.delete(APP, CANDIDATE)
    for revision in revisions:
        platform.delete_revision(revision.revision)
    return [Finding(check="removal", state="passed", got=said)] if revisions and said else []


def _call(platform: Platform, key: Caller | None) -> Called:
    return platform.call(APP, {}, environment=CANDIDATE, key=key)


@contextmanager
def _package() -> Iterator[Path]:
    """The probe as a folder that the SDK deploys; nothing of the user is in it."""
    settings = {
        "python_entry_point": "probe.app:Probe",
        "auth": "private",
        "deployment_strategy": "rolling",
        "app_scale_settings": True,
        "python_version": f"{sys.version_info.major}.{sys.version_info.minor}",
        "requirements": [f"fal=={metadata.version('fal')}"],
        "machine_type": MACHINE,
        "keep_alive": 10,
        "max_concurrency": 1,
        "secrets": [],
        "app_files": ["probe"],
        "health_check": {"path": "/health", "start_period_seconds": 30, "timeout_seconds": 5, "failure_threshold": 3},
    }
    with tempfile.TemporaryDirectory(prefix="lorasmith-probe-") as name:
        folder = Path(name)
        (folder / "probe").mkdir()
        (folder / "probe" / "__init__.py").touch()
        shutil.copyfile(Path(__file__).with_name("probe_app.py"), folder / "probe" / "app.py")
        (folder / "pyproject.toml").write_text(tomli_w.dumps({"tool": {"fal": {"apps": {APP: settings}}}}))
        yield folder
