"""Live releases and bases that are waited for, asked again: what changed marks them, stops a retraining, and a person lifts it."""

import json
import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import yaml

from flows.books.records import write_json
from flows.errors import JobError, LicenceBlocked
from flows.job_file import load_job
from flows.licensing import recheck, rights
from flows.targets import job_file, live_releases, registry_url
from serving.release.registry import Registry
from tests.licenses.conftest import APACHE, _hub, hub  # noqa: F401  (fixtures)
from tests.licenses.loopback_hub import LoopbackHub
from tests.licenses.test_folder import GOOD, card

ROOT = Path(__file__).parents[2]
REPO = "somebody/small-model"
CLAUSE = "You may not offer the Work as a paid service."


def serve(hub: LoopbackHub, files: dict[str, Any] | None = None, **fields: Any) -> None:  # noqa: F811
    hub.add(REPO, dict(GOOD) | (files or {}), **({"card_data": {"license": "apache-2.0"}} | fields))


@pytest.fixture
def live(hub: LoopbackHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:  # noqa: F811
    """A live release, in a registry of its own, of a job whose base the loopback Hub has."""
    monkeypatch.setenv("LORASMITH_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("LORASMITH_REGISTRY", raising=False)
    serve(hub)
    raw = yaml.safe_load((ROOT / "examples" / "emoji" / "job.yaml").read_text())
    raw["base"]["ref"] = f"hf://{REPO}"
    raw["dataset"] = {"path": str(ROOT / "examples" / "emoji" / "pictures")}
    file = tmp_path / "job.yaml"
    file.write_text(yaml.safe_dump(raw))
    job = load_job(file)
    verdict = rights.verdict_of(job)
    rights.keep_report(verdict)
    write_json(job_file("emoji-3d", "fal"), job.model_dump(mode="json"))
    with closing(Registry(registry_url())) as registry:
        row = registry.insert_intent(app="emoji-3d", package="p" * 64, target="fal", verdict_hash=verdict["hash"])
        registry.advance(row["id"], "candidate")
        registry.advance(row["id"], "live", revision="r")
    return row


def only() -> dict[str, Any]:
    (row,) = live_releases("fal")
    return row


def test_unchanged_terms_mark_nothing(live: dict[str, Any]) -> None:
    row = recheck.release_again(only())
    assert (row["state"], row["changes"]) == ("unchanged", [])
    assert Path(row["report"]).is_file()
    recheck.require_reviewed(only())


def test_a_change_marks_the_release_and_stops_its_retraining(live: dict[str, Any], hub: LoopbackHub) -> None:  # noqa: F811
    from flows.retraining.looking import Asked, look

    serve(hub, {"LICENSE": APACHE + "\n\n" + CLAUSE + "\n"}, commit="f" * 40)
    row = recheck.release_again(only())
    assert row["state"] == "re-review"
    assert [CLAUSE] in [change["added"] for change in row["changes"]]
    marked = only()
    assert marked["state"] == "live"
    assert marked["evidence"]["review"]["needed"] is True
    with pytest.raises(LicenceBlocked, match="waits for a review since"):
        look(Asked(app="emoji-3d", target="fal"), lambda job, target: pytest.fail("it was published"))
    with pytest.raises(LicenceBlocked, match="bar it now"):
        recheck.accept("emoji-3d", "fal", by="A. Person", reason="none")
    serve(hub)
    back = recheck.release_again(only())
    assert (back["state"], back["changes"]) == ("re-review", []), "terms that came back are read by a person too"
    assert back["waits_for"]
    recheck.accept("emoji-3d", "fal", by="A. Person", reason="the author took the clause back")
    assert recheck.release_again(only())["state"] == "unchanged"


def test_a_person_lifts_the_mark_where_the_terms_still_allow(live: dict[str, Any], hub: LoopbackHub) -> None:  # noqa: F811
    hub.add("somebody/parent", GOOD, card_data={"license": "apache-2.0"})
    front = card("license: apache-2.0\nbase_model: somebody/parent")
    serve(hub, {"README.md": front}, commit="f" * 40, card_data={"license": "apache-2.0", "base_model": "somebody/parent"})
    assert recheck.release_again(only())["state"] == "re-review"
    recheck.accept("emoji-3d", "fal", by="A. Person", reason="the parent is Apache-2.0 as well")
    review = only()["evidence"]["review"]
    assert (review["needed"], review["by"]) == (False, "A. Person")
    recheck.require_reviewed(only())
    assert recheck.release_again(only())["state"] == "unchanged"
    with closing(Registry(registry_url())) as registry:
        assert registry.verify_journal() > 4
    with pytest.raises(JobError, match="nothing of it waits"):
        recheck.accept("emoji-3d", "fal", by="A. Person", reason="twice")


def test_who_can_not_be_asked_marks_nothing(live: dict[str, Any], hub: LoopbackHub) -> None:  # noqa: F811
    serve(hub, fault="broken")
    assert recheck.release_again(only())["state"] == "unconfirmed"
    recheck.require_reviewed(only())


def test_a_pinned_base_is_asked_at_its_head(live: dict[str, Any], hub: LoopbackHub, tmp_path: Path) -> None:  # noqa: F811
    file = job_file("emoji-3d", "fal")
    stored = json.loads(file.read_text())
    stored["base"]["ref"] = f"hf://{REPO}@0123456789abcdef0123456789abcdef01234567"
    write_json(file, stored)
    serve(hub, {"README.md": card("license: cc-by-nc-4.0")}, commit="f" * 40, card_data={"license": "cc-by-nc-4.0"})
    assert "tag_changed" in {change["code"] for change in recheck.release_again(only())["changes"]}


def test_a_verdict_that_is_not_kept_is_a_change(live: dict[str, Any]) -> None:
    with closing(Registry(registry_url())) as registry:
        lost = registry.advance(only()["id"], "live", review={"needed": False, "accepted": "0" * 64})
    (change,) = recheck.release_again(lost)["changes"]
    assert change["code"] == "verdict_changed"


def test_a_base_that_is_waited_for(live: dict[str, Any], hub: LoopbackHub) -> None:  # noqa: F811
    assert recheck.base_again(REPO, {})["state"] == "unchanged"
    serve(hub, fault="gated")
    assert recheck.base_again(REPO, {})["state"] == "re-review"
    with pytest.raises(JobError, match="needs a name and a reason"):
        recheck.accept(REPO, "sandbox", by=" ", reason="")
    recheck.accept(REPO, "sandbox", by="A. Person", reason="terms accepted elsewhere")
    assert recheck.base_again(REPO, {})["state"] == "unchanged"
    with pytest.raises(JobError, match="nothing of it waits"):
        recheck.accept(REPO, "sandbox", by="A. Person", reason="twice")


def test_the_command_says_it_by_its_exit_code(live: dict[str, Any], hub: LoopbackHub, tmp_path: Path) -> None:  # noqa: F811
    def drift(*arguments: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "flows.cli.main", "license", "drift", *arguments]
        return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=dict(os.environ), timeout=120, check=False)

    assert drift().returncode == 0
    serve(hub, {"LICENSE": APACHE + "\n\n" + CLAUSE + "\n"}, commit="f" * 40)
    said = drift("--json", "--sarif", str(tmp_path / "drift.sarif"))
    assert said.returncode == 3, said.stderr
    (row,) = json.loads(said.stdout)["releases"]
    assert row["state"] == "re-review"
    log = json.loads((tmp_path / "drift.sarif").read_text())
    assert "text_changed" in {result["ruleId"] for result in log["runs"][0]["results"]}
    nowhere = drift("--sarif", str(tmp_path / "nowhere" / "drift.sarif"))
    assert nowhere.returncode == 2
    assert "nowhere/drift.sarif: No such file or directory" in nowhere.stderr
    assert CLAUSE in drift().stdout
    told = subprocess.run([sys.executable, "-m", "flows.cli.main", "status"], capture_output=True, text=True, cwd=ROOT, check=True)
    assert "waits for a licence review" in told.stdout
    (file,) = (Path(os.environ["LORASMITH_HOME"]) / "jobs" / "fal").glob("*.json")
    file.unlink()
    gone = drift()
    assert gone.returncode == 2
    assert gone.stdout == ""
    assert "its job is not stored here" in gone.stderr
    assert drift("--target", "moon").returncode == 2
