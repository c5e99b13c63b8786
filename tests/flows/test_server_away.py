"""Prefect's server away: a view is left out, a worker's run crashes, and anybody else is told."""

import httpx
import pytest
from prefect.client.schemas.objects import State

from flows.orchestration.server_away import WORKERS_RUN, crashing, view

SERVER, OTHER = "http://127.0.0.1:9/api", "http://127.0.0.1:10"


@view
def endpoint_link(url: str) -> None:
    httpx.post(f"{url}/artifacts/", trust_env=False)


@crashing
def publish(url: str) -> object:
    """A body that talks to somebody who is not there."""
    httpx.post(f"{url}/task_runs/", trust_env=False)
    return "published"


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_API_URL", SERVER)
    monkeypatch.setenv(WORKERS_RUN, "a run")


def test_a_view_that_no_server_takes_is_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    endpoint_link(SERVER)
    said = capsys.readouterr()
    assert "endpoint link is not in Prefect's pages: ConnectError" in said.out + said.err


@pytest.mark.usefixtures("worker")
def test_a_workers_run_crashes() -> None:
    state = publish(SERVER)
    assert isinstance(state, State)
    assert state.is_crashed()
    assert str(state.message).startswith("Prefect's server was away (ConnectError")


@pytest.mark.usefixtures("worker")
def test_somebody_else_who_is_away_is_an_error() -> None:
    with pytest.raises(httpx.ConnectError):
        publish(OTHER)


def test_a_run_of_a_person_ends_with_the_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_API_URL", SERVER)
    monkeypatch.delenv(WORKERS_RUN, raising=False)
    with pytest.raises(httpx.ConnectError):
        publish(SERVER)
