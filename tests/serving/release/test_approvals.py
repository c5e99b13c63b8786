"""Approvals are rows with journal lines: named by what they are about, found again, and answered by somebody or by time."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from serving.release.approvals import approval_id, ask, decide, expire, found, listed
from serving.release.errors import JournalBroken, UnknownApproval
from serving.release.registry import Registry, Row, sqlite_url
from serving.release.tables import approvals
from tests.serving.release.conftest import Clock

SUBJECT = {"app": "fox", "target": "sandbox", "package": "p1", "price_usd": 0.05, "gate": "g1"}
ASKED: dict[str, Any] = {"reasons": ["first_publication"], "evidence": {"loss": 0.4}, "hours": 1.0}


@pytest.fixture(params=["sqlite", "postgresql"])
def book(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Registry]:
    url = sqlite_url(tmp_path) if request.param == "sqlite" else request.getfixturevalue("postgresql").registry()
    with closing(Registry(url, clock=Clock())) as registry:
        yield registry


def asked(registry: Registry, flow_run: str | None = None, **changes: Any) -> Row:
    return ask(registry, SUBJECT | changes, flow_run=flow_run, **ASKED)


def answered(registry: Registry, row: Row, *, approve: bool) -> Row:
    return decide(registry, row["id"], approve=approve, by="Ada", why="looked", way="command")


@pytest.mark.parametrize("approve", [True, False])
def test_an_answer_is_a_row_and_a_line_and_whoever_asks_the_same_again_finds_it(book: Registry, approve: bool) -> None:
    answered(book, asked(book), approve=approve)
    row = asked(book, flow_run="another")
    assert (row["state"], row["by"], row["why"]) == ("approved" if approve else "denied", "Ada", "looked")
    assert [line["event"] for line in book.journal()] == ["asked", row["state"]]
    assert book.journal()[-1]["row"] == row
    assert book.verify_journal() == 2


def test_an_approval_counts_for_exactly_what_was_approved() -> None:
    others = [{"app": "wolf"}, {"target": "fal"}, {"package": "p2"}, {"price_usd": 0.06}, {"price_usd": None}, {"gate": "g2"}]
    assert len({approval_id(SUBJECT), *(approval_id(SUBJECT | other) for other in others)}) == 1 + len(others)


def test_asking_twice_is_one_question_whose_time_does_not_begin_anew(book: Registry) -> None:
    first = asked(book, flow_run="run-1")
    assert asked(book, flow_run="run-1") == first
    assert asked(book) == first, "a command line that looks does not take the run's place"
    other = asked(book, flow_run="run-2")
    assert (other["flow_run"], other["until"]) == ("run-2", first["until"])
    assert len(listed(book)) == 1


def test_silence_is_a_no_for_the_run_that_waited_and_a_new_run_asks_anew(book: Registry) -> None:
    row = ask(book, SUBJECT, flow_run="run-1", **ASKED | {"hours": 2 / 3600})
    (late,) = [one for _ in range(4) for one in expire(book)]
    assert (late["id"], late["state"], late["by"], late["way"]) == (row["id"], "expired", "nobody", "timeout")
    assert asked(book, flow_run="run-1")["state"] == "expired"
    assert asked(book, flow_run="run-2")["state"] == "pending"
    book.verify_journal()


def test_a_question_that_ran_out_unseen_is_not_open_any_more(book: Registry) -> None:
    ask(book, SUBJECT, flow_run="run-1", **ASKED | {"hours": 0.1 / 3600})
    assert asked(book, flow_run="run-1")["state"] == "expired"
    assert [line["event"] for line in book.journal()] == ["asked", "expired"]


def test_a_no_can_be_taken_back_and_both_stay_in_the_journal(book: Registry) -> None:
    row = answered(book, asked(book), approve=False)
    assert answered(book, row, approve=True)["state"] == "approved"
    assert [line["event"] for line in book.journal()] == ["asked", "denied", "approved"]


def test_a_row_that_was_changed_past_the_journal_is_seen(book: Registry) -> None:
    row = asked(book)
    with book.engine.begin() as connection:
        connection.execute(sa.update(approvals).values(state="approved", by="Mallory"))
    with pytest.raises(JournalBroken, match=f"approval {row['id']} is not what journal line 1 says"):
        book.verify_journal()
    with pytest.raises(JournalBroken):
        answered(book, row, approve=True)


def test_it_is_found_by_how_its_id_begins(book: Registry) -> None:
    row = asked(book)
    asked(book, package="p2")
    assert found(book, row["id"][:6]) == row
    for wrong, said in (("zz", "is no approval here"), ("", "is no approval here")):
        with pytest.raises(UnknownApproval, match=said):
            found(book, wrong)
    with pytest.raises(UnknownApproval, match="is not in the registry"):
        decide(book, "zz", approve=True, by="Ada", why="", way="command")
