"""What a command says of a Prefect server that is not there, before it does anything; and what a deployment takes of a job file."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from flows.cli.main import app, ended
from flows.cli.publish import require_pool_server
from flows.cli.server import require_somebody
from flows.errors import JobError, PrefectAway
from flows.job import Job
from flows.job_file import load_job

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "emoji" / "job.yaml"


@pytest.fixture(autouse=True)
def _nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LORASMITH_HOME", str(tmp_path))
    monkeypatch.delenv("PREFECT_API_URL", raising=False)


@pytest.fixture
def listening() -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}/api"


def test_a_named_server_that_is_not_there_is_one_line(listening: str) -> None:
    require_somebody(listening)
    require_somebody("https://prefect.example.org/api")  # beyond this machine a proxy may stand between
    with pytest.raises(PrefectAway, match=r"no Prefect server answers on http://127.0.0.1:9/api, which PREFECT_API_URL names"):
        require_somebody("http://127.0.0.1:9/api")


def test_what_prefects_own_client_says_of_it_is_no_fault_of_ours(capsys: pytest.CaptureFixture[str]) -> None:
    assert ended(RuntimeError("Failed to reach API at https://prefect.example.org/api/")) == 5
    assert capsys.readouterr().err.startswith("lorasmith: Failed to reach API at https://prefect.example.org/api/: ")


def test_a_training_for_a_pool_wants_a_server_before_anything_is_done(monkeypatch: pytest.MonkeyPatch, listening: str) -> None:
    job = load_job(EXAMPLE)
    require_pool_server(job)
    pooled = job.model_copy(update={"compute": "pool"})
    with pytest.raises(JobError, match="no Prefect server is up in this home"):
        require_pool_server(pooled)
    monkeypatch.setenv("PREFECT_API_URL", listening)
    require_pool_server(pooled)


def test_parameters_of_a_deployment_are_the_job_with_the_paths_of_this_machine() -> None:
    said = CliRunner().invoke(app, ["job", "params", str(EXAMPLE), "--target", "fal", "--again"]).output
    given = json.loads(said)
    assert {name: value for name, value in given.items() if name != "job"} == {"target": "fal", "again": True}
    assert given["job"].keys() == yaml.safe_load(EXAMPLE.read_text()).keys()
    assert Path(given["job"]["dataset"]["path"]).is_absolute()
    assert Job.model_validate(given["job"]) == load_job(EXAMPLE)
