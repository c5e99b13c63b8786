"""license-report: files of everything that is live and waited for, and an event only where what they say has changed."""

import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from flows.cli.main import app
from flows.events import events_file
from flows.home import home
from flows.licensing import license_files, recheck
from flows.licensing.license_files import checked, folder, keep
from licenses import portfolio
from licenses.check import check
from licenses.portfolio import Entry
from tests.flows.test_recheck import CLAUSE, live, serve  # noqa: F401  (a fixture)
from tests.licenses.conftest import APACHE, _hub, hub  # noqa: F401  (fixtures)
from tests.licenses.loopback_hub import LoopbackHub

FILES = ["report.html", "report.json", "report.md", "report.sarif"]
BARRED = "black-forest-labs/FLUX.1-dev"


def told() -> list[str]:
    return [json.loads(line)["event"] for line in events_file().read_text().splitlines()] if events_file().is_file() else []


def written() -> dict[str, Any]:
    return dict(json.loads((folder() / "report.json").read_text()))


def worse(hub: LoopbackHub) -> None:  # noqa: F811
    serve(hub, {"LICENSE": APACHE + "\n\n" + CLAUSE + "\n"}, commit="f" * 40)


def test_what_is_allowed_is_reported_and_told_once(live: dict[str, Any]) -> None:  # noqa: F811
    assert keep(checked(None, [], {}))
    assert not keep(checked(None, [], {}))
    assert sorted(file.name for file in folder().iterdir()) == FILES
    assert told() == ["lorasmith.license.changed"]
    report = written()
    assert (report["barred"], report["faults"], report["headline"]) == ([], [], "The one live release is allowed")
    assert json.loads((home() / "license-report.json").read_text())["releases"] == report["releases"]


def test_another_day_is_no_other_report(live: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    keep(checked(None, [], {}))
    found = checked(None, [], {})
    tomorrow = [{**row, "as_of": "2099-01-01"} for row in found.rows]
    later = license_files.Checked(rows=tomorrow, errors={}, day="2099-01-01")
    assert not keep(later)
    assert written()["as_of"] == "2099-01-01"
    assert told() == ["lorasmith.license.changed"]


def test_terms_that_bar_what_is_live_are_first_and_end_with_3(live: dict[str, Any], hub: LoopbackHub, tmp_path: Path) -> None:  # noqa: F811
    CliRunner().invoke(app, ["license", "live"])
    worse(hub)
    out = tmp_path / "out"
    result = CliRunner().invoke(app, ["license", "live", "--base", BARRED, "--out", str(out), "--json"])
    assert result.exit_code == 3
    report = json.loads(result.stdout)
    assert report["barred"] == ["emoji-3d on fal"], "a base that is waited for bars nothing"
    assert report["headline"].startswith("1 of 1 live releases may not be served any more, 1 to be read")
    assert told() == ["lorasmith.license.changed"] * 2 + ["lorasmith.release.re-review"]
    assert sorted(file.name for file in out.iterdir()) == FILES
    page = (out / "report.md").read_text()
    assert page.index("emoji-3d on fal") < page.index(BARRED)
    assert CLAUSE in page
    assert "lorasmith license reviewed emoji-3d" in page
    (run,) = json.loads((out / "report.sarif").read_text())["runs"]
    levels = {(one["level"], one["locations"][0]["logicalLocations"][0]["name"]) for one in run["results"]}
    assert ("error", "emoji-3d on fal") in levels
    assert ("error", BARRED) not in levels
    assert ("warning", BARRED) in levels


def test_a_base_that_is_waited_for_is_asked_again_for_the_same_publisher(live: dict[str, Any]) -> None:  # noqa: F811
    keep(checked(None, [BARRED], {"revenue_usd_ttm": 5}))
    kept = json.loads(recheck._watched(BARRED).read_text())
    assert kept["publisher"] == {"revenue_usd_ttm": 5}
    again = checked(None, [], {})
    assert [row["base"] for row in again.rows if not row["app"]] == [BARRED]
    assert not keep(again)


def test_who_could_not_be_asked_is_in_the_report_and_in_the_code(live: dict[str, Any], hub: LoopbackHub) -> None:  # noqa: F811
    from flows.targets import job_file

    job_file("emoji-3d", "fal").write_text("{}")
    result = CliRunner().invoke(app, ["license", "live"])
    assert result.exit_code == 2, "a job that can not be read"
    assert "Nothing is live, 1 not checked" in written()["headline"]
    assert "## Not checked" in (folder() / "report.md").read_text()
    assert 'class="loud block"' in (folder() / "report.html").read_text()


class Tags(HTMLParser):
    """Tags with their attributes, and tables whose headings say of what they are."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def test_the_page_loads_nothing_and_can_be_read_by_ear(live: dict[str, Any], hub: LoopbackHub) -> None:  # noqa: F811
    worse(hub)
    keep(checked(None, [BARRED], {}))
    text = (folder() / "report.html").read_text()
    tags = Tags(text).found
    assert not [tag for tag, attrs in tags if {"src", "srcset", "onclick"} & attrs.keys() or tag in ("script", "link", "img")]
    assert "default-src 'none'" in text
    assert "prefers-color-scheme:dark" in text
    assert [attrs["lang"] for tag, attrs in tags if tag == "html"] == ["en"]
    assert {tag for tag, _ in tags} >= {"main", "header", "h1", "h2", "table"}
    assert all(attrs.get("scope") for tag, attrs in tags if tag == "th")
    targets = {f"#{attrs['id']}" for _, attrs in tags if attrs.get("id")}
    assert {attrs["href"] for tag, attrs in tags if tag == "a"} <= targets


def test_words_from_outside_stay_words() -> None:
    words = '<script>alert(1)</script> "q" | [x](http://y)'
    record = check(BARRED).as_json()
    change = {"code": "license_changed", "level": "error", "text": words, "removed": [words], "added": []}
    entry = Entry(name=words, live=True, state="re-review", verdict=record, changes=[change], todo=words)
    page, text = portfolio.html([entry], [words], as_of="2026-11-22"), portfolio.markdown([entry], [words], as_of="2026-11-22")
    assert "<script>" not in page
    assert "<script>" not in text
    assert "[x](" not in text


def test_nothing_at_all_is_a_report_too() -> None:
    assert portfolio.headline([], []) == "Nothing is live, and no base is waited for"
    assert "Nothing is live" in portfolio.html([], [], as_of="2026-11-22")
    assert portfolio.findings([]) == []
