"""The author's copy of a listing: edited words survive, figures do not, and no kill leaves half of it."""

import json
import shutil
from collections.abc import Callable
from contextlib import closing
from email import message_from_bytes
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from flows.cli.main import app
from flows.errors import JobError
from flows.listing_desk import changelog_of, findings, lay_out, outdated, render, retire
from flows.listing_folder import MAIL, contents, desk, swap
from flows.listing_marks import mark, marks, marks_of
from flows.rollback import keep_in_step
from serving.listing.errors import DraftRefused, ListingError
from serving.release.registry import Registry, sqlite_url
from tests.serving.listing.material import drafted, listing_in, release


@pytest.fixture(scope="module")
def draft(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("made") / "draft"
    drafted(out)
    return out


@pytest.fixture(scope="module")
def later(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The draft of another package, of a longer prompt limit."""
    out = tmp_path_factory.mktemp("later") / "draft"
    drafted(out, release=release() | {"package": "34" * 32, "revision": "r-later"})
    return out


@pytest.fixture
def place(tmp_path: Path, draft: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LORASMITH_HOME", str(tmp_path))
    return lay_out(draft, desk(tmp_path, "sandbox", "clay")).place


def edited(place: Path, change: Callable[[dict[str, Any]], object]) -> None:
    document = json.loads((place / "listing.json").read_text())
    change(document)
    (place / "listing.json").write_text(json.dumps(document))


def test_the_first_copy_is_the_draft(place: Path, draft: Path) -> None:
    assert contents(place) == contents(draft)


def test_edited_words_reach_every_text_and_survive_the_next_draft(place: Path, later: Path) -> None:
    edited(place, lambda document: document["metadata"].update(description="Clay, by a careful hand."))
    assert render(place).ignored == ()
    for name in ("index.html", "MODEL_CARD.md", "llms.txt", "request.eml"):
        assert "Clay, by a careful hand." in (place / name).read_text(), name
    lay_out(later, place)
    assert listing_in(place).metadata.description == "Clay, by a careful hand."
    assert listing_in(place).release.package == "34" * 32
    assert "From package `121212121212` to `343434343434`" in changelog_of(place)


def test_the_same_draft_again_changes_nothing(place: Path, draft: Path) -> None:
    edited(place, lambda document: document["examples"][0].update(alt="a fox of clay"))
    render(place)
    before = contents(place)
    lay_out(draft, place)
    assert contents(place) == before


def test_edited_figures_come_back_and_are_named(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    edited(place, lambda document: document["facts"]["evaluation"]["relative"].update(value=-0.9))
    laid = render(place)
    assert laid.ignored == ("facts/evaluation/relative/value",)
    assert listing_in(place).facts.evaluation.relative.value != -0.9


@pytest.mark.parametrize(("words", "fault"), [("The best clay.", DraftRefused), ("x" * 200, DraftRefused)])
def test_words_that_lint_refuses_leave_the_pages_as_they_were(place: Path, words: str, fault: type[Exception]) -> None:
    page = (place / "index.html").read_bytes()
    edited(place, lambda document: document["metadata"].update(description=words))
    with pytest.raises(fault):
        render(place)
    assert (place / "index.html").read_bytes() == page
    assert json.loads((place / "listing.json").read_text())["metadata"]["description"] == words


def test_a_file_that_is_no_listing_any_more_is_said(place: Path, draft: Path) -> None:
    (place / "listing.json").write_text("{")
    with pytest.raises(ListingError, match="is not a listing any more"):
        lay_out(draft, place)


def test_what_the_author_put_beside_it_stays(place: Path, later: Path) -> None:
    (place / "notes.txt").write_text("call them on Monday")
    mark(place, "sent", note="to  the\nteam")
    lay_out(later, place)
    assert (place / "notes.txt").read_text() == "call them on Monday"
    assert [(line["state"], line["note"], line["package"]) for line in marks(place)] == [("sent", "to the team", "12" * 32)]


@pytest.mark.parametrize("moment", ["before", "between", "after"])
def test_a_kill_in_the_middle_of_a_swap_loses_nothing(place: Path, draft: Path, moment: str) -> None:
    """The three moments that a kill can leave: scratch beside, copy set aside, copy replaced and the old one not yet removed."""
    edited(place, lambda document: document["metadata"].update(description="Kept."))
    scratch, aside = place.with_name(f".{place.name}-abc"), place.with_name(f".{place.name}.old")
    shutil.copytree(draft, scratch)
    if moment == "between":
        place.rename(aside)
    if moment == "after":
        shutil.copytree(draft, aside)
    lay_out(draft, place)
    assert listing_in(place).metadata.description == "Kept."
    assert sorted(path.name for path in place.parent.iterdir()) == [f".{place.name}.lock", place.name]


def test_two_listings_may_not_say_the_same(place: Path, draft: Path) -> None:
    other = place.with_name("other")
    edited_files = contents(draft)
    document = json.loads(edited_files["listing.json"])
    document["endpoint_id"] = "studio/other"
    swap(other, edited_files | {"listing.json": json.dumps(document).encode()})
    assert {one.code for one in findings(place) if one.level == "error"} == {"duplicate"}


def test_a_page_of_what_is_not_live_any_more_is_an_error(place: Path, tmp_path: Path) -> None:
    drawn = listing_in(place).release
    with closing(Registry(sqlite_url(tmp_path))) as registry:
        rows = [
            registry.insert_intent(app=drawn.app, package=package, target=drawn.target, verdict_hash="v")
            for package in (drawn.package, "34" * 32)
        ]
        for row in rows:
            registry.advance(row["id"], "candidate")
            registry.advance(row["id"], "live")
        assert outdated(place)
        assert {one.code for one in findings(place) if one.level == "error"} == {"not-live"}
        runner = CliRunner()
        assert isinstance(runner.invoke(app, ["listing", "verify", place.name, "--target", drawn.target]).exception, JobError)
        row = registry.roll_back(rows[1]["id"], rows[0]["id"], state="retired", reason="too green")
        assert outdated(place) is None
        lines: list[str] = []
        keep_in_step(registry.roll_back(row["id"], rows[1]["id"], state="retired", reason="it was not"), lines.append)
    assert "343434343434 is live; lorasmith listing draft" in lines[-1]


def test_commands(tmp_path: Path, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LORASMITH_HOME", str(tmp_path))

    def ran(*arguments: str) -> Any:
        return CliRunner().invoke(app, ["listing", *arguments])

    assert "0 errors" in ran("lint", "clay", "--sarif", str(tmp_path / "lint.sarif")).stdout
    assert json.loads((tmp_path / "lint.sarif").read_text())["version"] == "2.1.0"
    assert "listed" in ran("mark", "clay", "listed", "--note", "thanks").stdout
    assert str(place) in ran("render", "clay").stdout
    for arguments, says in (
        (("diff", "clay"), "no earlier listing"),
        (("lint", "none"), "no listing is there"),
        (("lint", "../../etc"), "give the name of an app"),
        (("mark", "clay", "x"), "say sent"),
    ):
        result = ran(*arguments)
        assert isinstance(result.exception, JobError)
        assert says in str(result.exception)


def test_changes_since_the_release_before_reach_the_texts_and_stay(place: Path, later: Path) -> None:
    edited(place, lambda document: document["api"]["input"].pop())
    (place / ".draft.json").write_text((place / "listing.json").read_text())
    lay_out(later, place)
    shown = "is new in the request"
    for name in ("index.html", "MODEL_CARD.md", "llms.txt", "CHANGES.md"):
        assert shown in (place / name).read_text(), name
    before = contents(place)
    edited(place, lambda document: document["metadata"].update(description="Clay, by a careful hand."))
    render(place)
    assert shown in (place / "index.html").read_text()
    assert "Clay, by a careful hand." in (place / "CHANGES.md").read_text()
    assert before["thumbnail.png"] == contents(place)["thumbnail.png"]
    assert before["social.png"] != contents(place)["social.png"]


def test_a_diff_writes_the_mail_too(place: Path, later: Path) -> None:
    lay_out(later, place)
    (place / MAIL).unlink()
    said = changelog_of(place)
    assert "## Price" in said
    assert (place / "CHANGES.md").read_text() == said
    message = message_from_bytes((place / MAIL).read_bytes())
    assert message["Subject"] == "Changes of studio/clay (Soft Clay Icons)"
    assert len(message.get_payload()) == 6


def test_the_last_mark_of_each_listing_is_told_and_whether_it_is_of_this_package(place: Path, later: Path, tmp_path: Path) -> None:
    (tmp_path / "listings" / "sandbox" / "broken").mkdir()
    (tmp_path / "listings" / "sandbox" / "broken" / "listing.json").write_text("{")
    (never,) = marks_of(tmp_path)
    assert (never.app, never.target, never.state, never.at, never.stale) == ("clay", "sandbox", "draft", None, False)
    mark(place, "sent", note="by mail")
    mark(place, "answered")
    (last,) = marks_of(tmp_path)
    shutil.rmtree(tmp_path / "listings" / "sandbox" / "broken")
    assert (last.state, last.stale) == ("answered", False)
    assert last.at is not None
    lay_out(later, place)
    assert [one.stale for one in marks_of(tmp_path)] == [True]


def test_a_retired_app_says_so_and_asks_for_nothing(place: Path, later: Path) -> None:
    lay_out(later, place)
    assert (place / "request.eml").is_file()
    for _ in range(2):  # again after a kill
        retire(place, "2026-11-22T10:00:00+00:00", "its base was  withdrawn")
    for name in ("index.html", "MODEL_CARD.md"):
        assert "The app was retired on 2026-11-22: its base was withdrawn." in (place / name).read_text(), name
    assert [name for name in ("request.eml", "first-request.eml", MAIL) if (place / name).exists()] == []
    assert "retired" in {one.code for one in findings(place) if one.level == "error"}
    with pytest.raises(DraftRefused, match="retired"):
        render(place)
    with pytest.raises(JobError, match="Nothing is asked of fal"):
        mark(place, "sent")
    mark(place, "answered", note="taken down")
    lay_out(later, place)  # published again on purpose
    assert (place / "request.eml").is_file()
    assert "retired on" not in (place / "index.html").read_text()


def test_where_no_listing_is_nothing_is_retired(tmp_path: Path) -> None:
    (tmp_path / "listings" / "sandbox").mkdir(parents=True)
    retire(tmp_path / "listings" / "sandbox" / "clay", "2026-11-22T10:00:00+00:00", "why")
    assert not (tmp_path / "listings" / "sandbox" / "clay").exists()
