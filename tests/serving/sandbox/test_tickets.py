"""What is kept of queued requests: whole while they are open, bounded once they are done, and all of it or nothing."""

import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from serving.sandbox.accounts import Account
from serving.sandbox.gateway.admission import Call
from serving.sandbox.gateway.replies import Reply
from serving.sandbox.gateway.statuses import shown
from serving.sandbox.gateway.tickets import PRUNED_EVERY, Tickets
from serving.sandbox.state import Alias, State

ALIAS = Alias(owner="me", name="app--stage", environment="stage", revision="r1", auth_mode="shared", settings={"keep_alive": 1})
CALL = Call(
    alias=ALIAS,
    caller=Account(nickname="you"),
    method="POST",
    path="/a b",
    query=b"x=%20",
    headers=(("x-own", "1"), ("x-own", "2")),
    body=b"\x00\xff",
    request_id="r-1",
    queued=True,
    low=True,
    start_by=2e9,
    hint="lora",
    no_retry=True,
    retries={"timeout": 2},
)
REPLY = Reply(status=200, headers=(("content-type", "image/png"), ("x-fal-billable-units", "1")), body=b"png")


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    opened = State(tmp_path / "state.db")
    opened.put_alias(ALIAS)
    yield opened
    opened.close()


def finish(tickets: Tickets, request_id: str, body: bytes = b"png") -> None:
    tickets.add(replace(CALL, request_id=request_id), webhook=None)
    tickets.finish(request_id, replace(REPLY, body=body), attempts=1, seconds=0.5, lines=[], cancelled=False)


def kept(tickets: Tickets, count: int) -> list[int]:
    return [number for number in range(count) if tickets.outcome(f"r-{number}") is not None]


def test_an_open_request_comes_back_as_it_was(state: State) -> None:
    tickets = Tickets(state.db)
    tickets.add(CALL, webhook="http://127.0.0.1/")
    tickets.add(replace(CALL, request_id="r-2", caller=None), webhook=None)
    tickets.begin("r-2", attempts=3, used={"timeout": 1})
    tickets.cancel("r-2")
    first, second = Tickets(state.db).open(state)
    assert (first.call, first.webhook, first.begun, first.attempts, first.cancelled) == (CALL, "http://127.0.0.1/", False, 0, False)
    assert (second.call.caller, second.begun, second.attempts, dict(second.used)) == (None, True, 3, {"timeout": 1})
    assert second.cancelled


def test_a_request_of_an_app_that_is_no_more_comes_back_too(state: State) -> None:
    Tickets(state.db).add(CALL, webhook=None)
    state.delete_alias("me", "app--stage")
    [stored] = Tickets(state.db).open(state)
    assert (stored.call.alias.name, stored.call.alias.environment, stored.call.alias.revision) == ("app--stage", "stage", "")


def test_what_is_done_keeps_its_result_and_not_its_request(state: State) -> None:
    tickets = Tickets(state.db)
    finish(tickets, "r-1")
    outcome = tickets.outcome("r-1")
    assert outcome is not None
    assert (outcome.reply, outcome.owner, outcome.alias, outcome.caller) == (REPLY, "me", "app--stage", "you")
    assert tickets.open(state) == []
    assert state.db.execute("SELECT count(*) FROM tickets WHERE body IS NOT NULL").fetchone()[0] == 0


def test_the_newest_results_are_kept_as_many_as_both_bounds_allow(state: State) -> None:
    tickets = Tickets(state.db, kept=4, kept_bytes=10)
    for number in range(6):
        finish(tickets, f"r-{number}", b"xx")
    tickets.prune()
    assert kept(tickets, 6) == [2, 3, 4, 5]
    finish(tickets, "r-6", b"x" * 7)
    tickets.prune()
    assert kept(tickets, 7) == [5, 6]
    finish(tickets, "r-7", b"x" * 70)
    tickets.prune()
    assert kept(tickets, 8) == [7]


def test_pruning_comes_by_itself_and_spares_what_is_open(state: State) -> None:
    tickets = Tickets(state.db, kept=1)
    tickets.add(replace(CALL, request_id="waits"), webhook=None)
    for number in range(PRUNED_EVERY):
        finish(tickets, f"r-{number}")
    assert kept(tickets, PRUNED_EVERY) == [PRUNED_EVERY - 1]
    assert [stored.call.request_id for stored in tickets.open(state)] == ["waits"]


def test_result_and_row_are_written_together_or_not_at_all(state: State) -> None:
    tickets = Tickets(state.db)
    tickets.add(CALL, webhook=None)

    def fail_midway() -> None:
        with tickets.together():
            tickets.finish("r-1", REPLY, attempts=1, seconds=0.0, lines=[], cancelled=False)
            raise sqlite3.OperationalError("disk full")

    with pytest.raises(sqlite3.OperationalError):
        fail_midway()
    assert tickets.outcome("r-1") is None
    assert [stored.call.request_id for stored in tickets.open(state)] == ["r-1"]


def test_private_logs_are_shown_to_the_owner_alone(state: State) -> None:
    lines = [{"message": "a prompt"}]
    assert shown(state, "me", "app--stage", "you", lines) == lines
    state.put_alias(replace(ALIAS, settings={"private_logs": True}))
    assert shown(state, "me", "app--stage", "you", lines) == []
    assert shown(state, "me", "app--stage", "me", lines) == lines
