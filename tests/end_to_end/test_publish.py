"""The whole story on the embedded base: published once, found the second time, and the same through a Prefect deployment."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.end_to_end.conftest import Changed, Run
from tests.operations.prefect import Prefect


@pytest.fixture(scope="module")
def status(published: object, lorasmith: Run) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(lorasmith("status", "--json").stdout)
    return found


def test_the_table_at_the_end_has_what_a_person_looks_for(published: "subprocess.CompletedProcess[str]") -> None:
    for row in ("licence verdict", "held-out loss", "app, revision", "requests", "listing", "license report"):
        assert row in published.stdout


def test_units_billed_are_images_delivered(status: dict[str, Any], home: Path) -> None:
    from serving.sandbox.control import ledger

    run = status["last_run"]
    assert run["units"] == run["images"] > 0
    rows = [row for row in ledger(home) if row["app"] == run["app"]]
    assert sum(int(float(row["units"] or 0)) for row in rows) == run["units"]
    assert all(row["units"] is not None for row in rows if row["status"] != 401)


def test_one_release_is_live_and_the_registry_knows_why(status: dict[str, Any]) -> None:
    (release,) = [row for row in status["releases"] if row["state"] == "live"]
    assert release["app"] == status["last_run"]["app"]
    for environment in ("candidate", "main"):
        evidence = release["evidence"][environment]
        assert evidence["unauthenticated_status"] == 401
        assert evidence["units"] == evidence["images"] > 0


def test_the_artefacts_are_where_the_status_says(status: dict[str, Any]) -> None:
    run = status["last_run"]
    listing = Path(run["listing"])
    for name in ("listing.json", "MODEL_CARD.md", "index.html", "request.eml"):
        assert (listing / name).stat().st_size > 0
    assert Path(run["license_report"]).read_text().startswith("<!doctype html>")
    assert set(run["loss"]) == {"base", "adapter"}
    assert set(run["seconds"]) >= {"licences", "dataset", "train", "evaluate", "package", "deploy", "listing"}


def test_a_second_publish_finds_everything(status: dict[str, Any], lorasmith: Run, small_job: Path) -> None:
    again = lorasmith("publish", str(small_job), "--target", "sandbox")
    assert again.returncode == 0, again.stderr[-3000:]
    for step in ("dataset", "adapter", "evaluation", "package", "gallery", "listing"):
        assert f"= {step:<11} found" in again.stderr
    assert f"= {'release':<11} {status['last_run']['app']}" in again.stderr
    after = json.loads(lorasmith("status", "--json").stdout)
    assert [row["id"] for row in after["releases"]] == [row["id"] for row in status["releases"]]
    assert after["last_run"]["revision"] == status["last_run"]["revision"]


def test_sample_draws_with_the_adapter(status: dict[str, Any], lorasmith: Run, tmp_path: Path) -> None:
    out = tmp_path / "apple.jpg"
    result = lorasmith("sample", status["last_run"]["bundle"], "--prompt", "red apple", "--out", str(out))
    assert result.returncode == 0, result.stderr
    with Image.open(out) as drawn:
        assert drawn.format == "JPEG"


@pytest.fixture(scope="module")
def prefect(published: object, tmp_path_factory: pytest.TempPathFactory, environment: dict[str, str]) -> Iterator[Prefect]:
    """After the publish, so that its artefacts are there to be found."""
    server = Prefect(tmp_path_factory.mktemp("prefect"), environment)
    yield server
    server.end()


@pytest.fixture(scope="module")
def deployed_run(prefect: Prefect, small_job: Path) -> str:
    from flows.job_file import load_job

    job = load_job(small_job).model_dump_json()
    return prefect("deployment", "run", "publish/publish", "--params", json.dumps({"job": json.loads(job)}), "--watch")


def test_the_publish_deployment_finds_the_same_release(deployed_run: str, status: dict[str, Any], lorasmith: Run) -> None:
    assert "Completed" in deployed_run
    after = json.loads(lorasmith("status", "--json").stdout)
    assert after["last_run"]["run"] != status["last_run"]["run"]
    assert after["last_run"]["revision"] == status["last_run"]["revision"]
    assert [row["id"] for row in after["releases"]] == [row["id"] for row in status["releases"]]


@pytest.mark.parametrize("key", ["license-report", "held-out-loss", "sample-grid", "endpoint"])
def test_prefect_shows_the_artifact(deployed_run: str, prefect: Prefect, key: str) -> None:
    assert json.loads(prefect("artifact", "inspect", key, "-o", "json"))


SCHEDULED = ["retrain-and-redeploy/retrain-and-redeploy", "license-report/license-report", "monitor/monitor"]


@pytest.mark.parametrize("deployment", SCHEDULED)
def test_scheduled_deployments_run_without_parameters(deployed_run: str, prefect: Prefect, deployment: str, home: Path) -> None:
    assert "Completed" in prefect("deployment", "run", deployment, "--watch")
    if deployment.startswith("monitor"):
        (row,) = json.loads((home / "monitor.json").read_text())["releases"]
        assert row["health"] in (200, None), "asked, or nothing was up to be asked"
        assert row["serves"] is None, "the package on record"
        assert row["day"]["units"] > 0
    if deployment.startswith("license"):
        (row,) = json.loads((home / "license-report.json").read_text())["releases"]
        assert row["verdict"] in ("allow", "duties")
        assert (row["state"], row["changes"]) == ("unchanged", [])


def test_a_wrong_parameter_is_refused_when_the_run_is_made(prefect: Prefect) -> None:
    said = prefect("deployment", "run", "publish/publish", "--params", json.dumps({"job": {"name": "x"}}), code=1)
    assert "field 'job'" in said, said
    assert "'base' is a required property" in said, said


def test_other_texts_make_another_page_and_no_call(published: object, lorasmith: Run, changed: Changed, home: Path) -> None:
    from serving.sandbox.control import ledger

    before = len(ledger(home))
    made = lorasmith("listing", "draft", str(changed("listing", {"title": "Another Title"})))
    assert made.returncode == 0, made.stderr[-3000:]
    assert f"= {'gallery':<11} found" in made.stderr
    assert f"✓ {'listing':<11} done" in made.stderr
    assert "Another Title" in (Path(made.stdout.strip()) / "index.html").read_text()
    assert [row for row in ledger(home)[before:] if row["units"] not in (None, "0")] == []
