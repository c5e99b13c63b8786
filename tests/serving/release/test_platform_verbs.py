"""What housekeeping asks of the platform, through the real SDK in the worker, against the sandbox on loopback."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from serving.release.errors import PlatformError
from serving.release.platform import FalPlatform
from serving.sandbox.money.ledger import Entry, Ledger
from serving.sandbox.state import State
from tests.serving.release.conftest import MakeToy

PROMPT = {"prompt": "a red fox", "num_images": 2}


@contextmanager
def state_of(home: Path) -> Iterator[State]:
    state = State(home / "sandbox" / "state.db")
    try:
        yield state
    finally:
        state.close()


def test_an_app_is_listed_opened_replaced_and_taken_away(sandbox: FalPlatform, sandbox_home: Path, make_toy: MakeToy) -> None:
    began = time.time() - 1
    first = sandbox.deploy(make_toy("first", app="listed", inline=True), app="listed", environment=None, auth="private")
    found = sandbox.apps(None)["listed"]
    assert (found.revision, found.auth_mode, found.urls) == (first.revision, "private", first.urls)
    assert sandbox.call("listed", PROMPT).status in (401, 403, 404)  # which one of fal is not documented
    sandbox.set_auth("listed", "shared", None)
    answer = sandbox.call("listed", PROMPT)
    assert (answer.status, answer.units) == (200, "2")
    assert sandbox.alias("listed", None) == sandbox.apps(None)["listed"]

    second = sandbox.deploy(make_toy("second", app="listed", inline=True), app="listed", environment=None, strategy="recreate")
    known = sandbox.revisions("listed", None)
    assert [found.revision for found in known] == [second.revision, first.revision]
    assert known[0].created_at > known[1].created_at > began
    with pytest.raises(PlatformError, match="delete_revision"):
        sandbox.delete_revision(second.revision)
    for _ in range(2):  # what is gone need not be deleted
        sandbox.delete_revision(first.revision)
        sandbox.delete("listed", None)
    assert [found.revision for found in sandbox.revisions("listed", None)] == [second.revision]
    assert sandbox.alias("listed", None) is None
    assert sandbox.call("listed", PROMPT).status == 404
    with pytest.raises(PlatformError, match=rf"set_revision listed: (?!<).*{first.revision}"):  # the platform's words
        sandbox.set_revision("listed", first.revision, None)
    with pytest.raises(PlatformError, match="there is no app 'listed' in main"):
        sandbox.set_auth("listed", "private", None)


def test_an_environment_is_listed_with_what_is_in_it_and_taken_away(
    sandbox: FalPlatform, sandbox_home: Path, make_toy: MakeToy
) -> None:
    assert (sandbox.apps("stage"), sandbox.revisions("listed", "stage"), sandbox.secrets("stage")) == ({}, [], [])
    deployed = sandbox.deploy(make_toy("staged", app="staged"), app="staged", environment="stage")
    assert "stage" in sandbox.environments()
    assert "main" not in sandbox.environments()
    assert sandbox.apps("stage")["staged"].revision == deployed.revision
    assert "staged" not in sandbox.apps(None)
    with state_of(sandbox_home) as state:
        state.put_secret(sandbox.whoami()["nickname"], "stage", "HF_TOKEN", "hf_of_nobody")
    assert sandbox.secrets("stage") == ["HF_TOKEN"]
    assert "HF_TOKEN" not in sandbox.secrets(None)
    for _ in range(2):
        sandbox.delete_environment("stage")
    assert "stage" not in sandbox.environments()
    assert sandbox.apps("stage") == {}


def test_the_platforms_own_account_of_requests_is_read(sandbox: FalPlatform, sandbox_home: Path, make_toy: MakeToy) -> None:
    sandbox.deploy(make_toy("seen", app="seen", inline=True), app="seen", environment=None)
    before = time.time() - 1
    asked = sandbox.call("seen", PROMPT)
    refused = sandbox.call("seen", {"prompt": "refuse"})
    found = {seen.request_id: seen for seen in sandbox.requests("seen", None, before)}
    assert {asked.request_id, refused.request_id} <= found.keys()
    assert (found[str(asked.request_id)].status, found[str(asked.request_id)].units) == (200, 2.0)
    assert found[str(refused.request_id)].status == 400
    assert all(seen.ended_at > before and seen.seconds >= 0 for seen in found.values())
    assert sandbox.requests("seen", None, max(seen.ended_at for seen in found.values()) + 0.01) == []

    assert sandbox.requests("no-such-app", None, before) == []

    with state_of(sandbox_home) as state:
        ledger = Ledger(state.db)
        for number in range(250):  # more than the API gives at once, an hour ago
            ledger.record(old_request(number, before - 3600 + number, owner=sandbox.whoami()["nickname"]))
    many = sandbox.requests("seen", None, before - 3700)[len(found) :]
    assert [seen.request_id for seen in many] == [f"request-{number}" for number in reversed(range(250))]
    assert {(seen.status, seen.seconds) for seen in many} == {(200, 0.5)}


def old_request(number: int, began: float, *, owner: str) -> Entry:
    return Entry(
        request_id=f"request-{number}",
        app="seen",
        environment="main",
        revision=None,
        caller="somebody",
        path="/",
        status=200,
        units="1",
        seconds=0.5,
        created_at=began,
        ended_at=began + 0.5,
        owner=owner,
    )
