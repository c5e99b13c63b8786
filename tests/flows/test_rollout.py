"""Rollout as the flows see it: the job's numbers, the job that goes back with its release, one look at what is on probation."""

import json
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from flows import rollback, rollout
from flows.cli.main import app
from flows.cli.status import remarks
from flows.errors import FlowError, JobError, LicenceBlocked
from flows.job import Job
from flows.job_file import parse_job
from flows.licensing import rights
from flows.targets import job_file, job_of, keep_job, registry_url, restore_job
from flows.watch import watch
from flows.way_back import rollback as way_back
from serving.release import probation
from serving.release.platform import Seen
from serving.release.registry import Registry
from tests.failpoints.scenarios import package
from tests.flows.test_job import SMALL
from tests.serving.release.memory_platform import MemoryPlatform


class Sandbox(MemoryPlatform):
    name = "sandbox"


@pytest.fixture
def platform(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    monkeypatch.setenv("LORASMITH_HOME", str(tmp_path))
    found = Sandbox()

    @contextmanager
    def opened(target: str) -> Iterator[Sandbox]:
        yield found

    monkeypatch.setattr(rollback, "open_platform", opened)
    return found


def job(**changes: Any) -> Job:
    return parse_job(SMALL | {"serving": {"app": "toy"}} | changes, source="test")


def publish(platform: Sandbox, home: Path, content: str, **changes: Any) -> dict[str, Any]:
    from serving.release.deploy import publish_package
    from serving.release.smoke import SmokePlan

    plan = SmokePlan(arguments=[{"prompt": "a red fox"}])
    with closing(Registry(registry_url())) as registry:
        row = publish_package(
            package(home, content),
            platform=platform,
            registry=registry,
            verdict_hash="v",
            smoke=plan,
            budget=rollout.budget_of(job()),
            progress=lambda line: None,
        )
    keep_job(job(**changes), row)
    return row


def test_the_numbers_of_a_job_are_those_of_its_budget() -> None:
    asked = {"latency_factor": 3, "latency_seconds": 9, "error_budget": 0.2, "watch_minutes": 5, "min_requests": 7}
    budget = rollout.budget_of(job(rollout=asked))
    assert {name: getattr(budget, name) for name in asked} == asked


@pytest.mark.parametrize(("field", "value"), [("golden", -1), ("likeness_db", 0), ("error_budget", 2), ("watch", 1)])
def test_a_number_that_makes_no_sense_is_refused_by_its_name(field: str, value: float) -> None:
    with pytest.raises(JobError, match=f"rollout.{field}"):
        job(rollout={field: value})


def test_a_rollback_brings_the_job_of_its_release_back(platform: Sandbox, tmp_path: Path) -> None:
    publish(platform, tmp_path, "a", name="first")
    publish(platform, tmp_path, "b", name="second")
    row = rollback.rolled_back("toy", "sandbox", to=None, reason="too green", progress=lambda line: None)
    assert job_of(row).name == "first"
    assert platform.on_main("toy") == "a"


def test_a_job_that_is_not_kept_is_said_and_the_other_stays(platform: Sandbox, tmp_path: Path) -> None:
    first = publish(platform, tmp_path, "a", name="first")
    publish(platform, tmp_path, "b", name="second")
    (job_file("toy", "sandbox").parent / "releases" / f"toy-{first['id']}.json").unlink()
    lines: list[str] = []
    rollback.rolled_back("toy", "sandbox", to=None, reason="too green", progress=lines.append)
    assert any("is not kept here" in line for line in lines)
    assert json.loads(job_file("toy", "sandbox").read_text())["name"] == "second"
    assert not restore_job(first)


@pytest.mark.parametrize(("answer", "runs"), [("n\n", "b"), ("", "b"), ("y\n", "a")])
def test_the_command_asks_before_it_moves_callers(platform: Sandbox, tmp_path: Path, answer: str, runs: str) -> None:
    publish(platform, tmp_path, "a")
    publish(platform, tmp_path, "b")
    for file in (job_file("toy", "sandbox").parent / "releases").iterdir():
        file.unlink()  # their base is nowhere, so their licences can not be asked
    result = CliRunner().invoke(app, ["rollback", "toy"], input=answer)
    assert platform.on_main("toy") == runs
    assert "Go on?" in result.output
    assert (result.exit_code == 0) is (runs == "a")
    if runs == "b":
        assert isinstance(result.exception, JobError)


def test_the_command_watches_until_nothing_is_left_to_watch(platform: Sandbox, tmp_path: Path) -> None:
    publish(platform, tmp_path, "a", name="first")
    publish(platform, tmp_path, "b")
    once = CliRunner().invoke(app, ["watch", "toy", "--once"])
    assert (once.exit_code, once.output) == (0, "toy on sandbox: watched (0 of 0 requests failed; judged from 20 requests on)\n")
    now = time.time()
    platform.seen["toy", "main"] = [Seen(request_id="r", status=503, seconds=1.0, units=None, ended_at=now) for _ in range(20)]
    ended = CliRunner().invoke(app, ["watch", "toy"])
    assert ended.exit_code == 5
    assert "toy on sandbox: rolled back (20 of 20 requests failed (100.0%), the error budget is 5.0%)" in ended.output
    assert CliRunner().invoke(app, ["watch", "other"]).output == "no release is on probation\n"


@pytest.mark.parametrize(
    ("reasons", "barred"),
    [(["hub_unreachable"], False), (["hub_offline", "license_unproven"], True), (["non_commercial"], True), ([], False)],
)
def test_a_barred_licence_bars_the_way_back_and_a_silent_hub_does_not(
    platform: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reasons: list[str], barred: bool
) -> None:
    use = {"verdict": "block" if reasons else "allow", "reasons": [{"code": code, "text": code} for code in reasons]}
    verdict = {"base": "base", "verdict": use["verdict"], "uses": dict.fromkeys(("train_adapter", "host_paid_inference"), use)}
    publish(platform, tmp_path, "a")
    publish(platform, tmp_path, "b")
    monkeypatch.setattr(rights, "verdict_of", lambda job: verdict)
    monkeypatch.setattr(rights, "require_allowed", lambda found: blocked(reasons) if reasons else None)
    if barred:
        with pytest.raises(LicenceBlocked, match="may not come back"):
            rollback.planned("toy", "sandbox", None)
    else:
        live, wanted = rollback.planned("toy", "sandbox", None)
        assert live["evidence"]["former"] == wanted["id"]


def blocked(reasons: list[str]) -> None:
    raise LicenceBlocked(f"barred: {reasons}")


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the events that the flow sends."""
    events: list[str] = []
    monkeypatch.setattr("flows.watch.emit", lambda name, resource, payload: events.append(name))
    monkeypatch.setattr("flows.views.page", lambda text, key: events.append(key))
    return events


def test_what_fails_its_callers_is_rolled_back_and_told(platform: Sandbox, tmp_path: Path, told: list[str]) -> None:
    publish(platform, tmp_path, "a", name="first")
    row = publish(platform, tmp_path, "b", name="second")
    since = time.time()
    failed = [Seen(request_id="r", status=503, seconds=1.0, units=None, ended_at=since) for _ in range(20)]
    platform.seen["toy", "main"] = failed
    (found,) = watch.fn()
    assert (found["state"], found["watched"]) == ("rolled back", row["revision"])
    assert told == ["lorasmith.release.rolled-back", "watch"]
    assert json.loads(job_file("toy", "sandbox").read_text())["name"] == "first"
    assert watch.fn() == []


def test_a_first_release_that_fails_is_a_fault_of_the_run(
    platform: Sandbox, tmp_path: Path, told: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(platform, tmp_path, "a")
    platform.broken["a", "main"] = {"health_status": 503}
    monkeypatch.setattr(rollback, "watch", partial(probation.watch, pause=0.0))
    with pytest.raises(FlowError, match="not rolled back"):
        watch.fn()
    with pytest.raises(FlowError, match="not rolled back"):
        watch.fn()  # every run fails, and the event is sent once
    assert told == ["lorasmith.release.failed", "watch"]


@pytest.mark.parametrize(
    ("state", "evidence", "said"),
    [
        (
            "live",
            {"probation": {"state": "watched", "until": "2026-01-01T10:00:00+00:00"}},
            "on probation until 2026-01-01 10:00 UTC",
        ),
        ("live", {"probation": {"state": "failed", "text": "5 of 5 failed"}}, "failed on probation: 5 of 5 failed"),
        ("live", {"probation": {"state": "passed"}, "rolled_back": None}, ""),
        ("failed", {"probation": {"state": "watched"}, "rolled_back": {"reason": "green faces"}}, "rolled back: green faces"),
    ],
)
def test_status_tells_of_probation_and_of_what_was_rolled_back(state: str, evidence: dict[str, Any], said: str) -> None:
    assert ", ".join(remarks({"state": state, "evidence": evidence})).removesuffix(" (lorasmith watch looks)") == said


def test_an_automation_rolls_back_what_its_alert_was_about_and_nothing_else(
    platform: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(platform, tmp_path, "a", name="first")
    row = publish(platform, tmp_path, "b", name="second")
    monkeypatch.setattr("flows.rollback.require_allowed", lambda release: None)  # its base is nowhere
    asked: dict[str, Any] = {"app": "toy", "target": "sandbox", "reason": "monitor: errors: 30 of 60 failed"}
    said = way_back.fn(**asked, revision="a revision that was live before")
    assert (said["done"], platform.on_main("toy")) == (False, "b")
    done = way_back.fn(**asked, revision=row["revision"])
    assert (done["done"], platform.on_main("toy")) == (True, "a")
    again = way_back.fn(**asked, revision=row["revision"])
    assert (again["done"], platform.on_main("toy")) == (False, "a"), "an event that comes twice moves nobody twice"
    assert way_back.fn(**(asked | {"app": "other"}), revision="r") == {
        "app": "other",
        "target": "sandbox",
        "done": False,
        "live": None,
    }
