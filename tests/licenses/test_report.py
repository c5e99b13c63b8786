"""Reports hold all that a verdict says, in Markdown and as a page; words from outside stay words; the worst stands first."""

import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

import jsonschema
import pytest
from markdown_it import MarkdownIt

from licenses import report
from licenses.catalogue import USES, load
from licenses.errors import flat
from licenses.reading import read
from tests.licenses.conftest import ROOT
from tests.licenses.reports import HOSTILE, every

NAMES = ("passes", "barred", "twelve", "waived", "hostile")
VOID = {"meta", "link", "col", "br", "hr", "img", "input"}
HARMLESS = {"href", "class", "id", "role", "scope", "lang", "charset", "name", "content", "http-equiv", "aria-hidden", "aria-label"}
DRAWN = {"viewbox", "width", "height", "style", "d", "x", "y", "rx", "cx", "cy", "r"}


@pytest.fixture(scope="module")
def verdicts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, dict[str, Any]]]:
    with every(tmp_path_factory.mktemp("reports")) as found:
        yield found


class Page(HTMLParser):
    """The words of a page, its elements with their attributes, and whether every element was closed in order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.opened: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self.opened += [] if tag in VOID else [tag]

    def handle_endtag(self, tag: str) -> None:
        assert self.opened.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += [data] if "style" not in self.opened else []


def words_of_page(page: str) -> str:
    parsed = Page(page)
    assert parsed.opened == []
    return " ".join("".join(parsed.words).split())


def words_of_markdown(text: str) -> str:
    return words_of_page(MarkdownIt("commonmark").enable(["table", "strikethrough"]).render(text))


def facts(verdict: dict[str, Any]) -> Iterator[str]:
    """All that a reader must find in a report."""
    yield from (verdict["base"], verdict["hash"], verdict["as_of"], load().as_of, report.NOT_ADVICE, verdict["expression"])
    for said in verdict["uses"].values():
        for reason in said["reasons"]:
            yield from (
                reason[key] or ""
                for key in ("code", "text", "quote", "file", "sha256", "confidence", "known_text")
                if reason["code"] != "waiver_void"
            )
            yield reason["text"]
        yield from said["duties"]
    for node in verdict["nodes"]:
        yield from (node["id"], node["identified_by"], node["revision"] or "", node["text_sha256"] or "")
        yield from (value for item in node.get("items", ()) for value in item.values() if isinstance(value, str))
    for one in verdict["evidence"]:
        yield from (one["node"], one["file"], one["sha256"], f"{one['bytes']} bytes")
    for one in verdict["owed"]:
        yield from (one["duty"], one["node"], *one["files"], *one["lines"], one["open"])
    for one in verdict["waivers"]:
        yield from (one["repo"], repr(one["by"]), repr(one["reason"]), one["why"])
    for one in verdict["flowdown"]:
        yield from (one["file"], one["text"], one.get("license", ""), one.get("section", ""))
    yield from (one["file"] for one in verdict["notices"])
    for key in ("notice_lines", "display_lines", "alternatives", "data"):
        yield from verdict[key]
    yield verdict["alternatives_note"]


@pytest.mark.parametrize("name", NAMES)
def test_every_form_holds_every_fact(verdicts: dict[str, dict[str, Any]], name: str) -> None:
    verdict = verdicts[name]
    wanted = {flat(one) for one in facts(verdict)}
    assert len(wanted) > 15
    for words in (words_of_page(report.html(verdict)), words_of_markdown(report.markdown(verdict))):
        assert [one for one in wanted if one not in words] == []


@pytest.mark.parametrize("name", NAMES[:4])
def test_texts_to_ship_stand_on_the_page_line_by_line(verdicts: dict[str, dict[str, Any]], name: str) -> None:
    page = report.html(verdicts[name])
    for one in verdicts[name]["notices"]:
        assert "".join(Page(page).words).count(one["text"]) == 1
    assert len(verdicts["passes"]["notices"]) == 1


@pytest.mark.parametrize("name", NAMES[:4])
def test_the_json_is_of_the_contract(verdicts: dict[str, dict[str, Any]], name: str) -> None:
    schema = json.loads((ROOT / "docs/schemas/license-verdict.schema.json").read_text())
    jsonschema.validate(json.loads(json.dumps(verdicts[name])), schema, cls=jsonschema.Draft202012Validator)


@pytest.mark.parametrize("name", NAMES)
def test_nothing_on_the_page_acts_or_loads(verdicts: dict[str, dict[str, Any]], name: str) -> None:
    elements = Page(report.html(verdicts[name])).elements
    allowed = HARMLESS | DRAWN
    assert {tag for tag, _ in elements} & {
        "script",
        "img",
        "iframe",
        "object",
        "embed",
        "link",
        "base",
        "form",
        "video",
        "audio",
    } == set()
    assert [key for _, attributes in elements for key in attributes if key not in allowed] == []
    assert all(str(attributes["href"]).startswith("#") for _, attributes in elements if "href" in attributes)
    assert {attributes["id"] for _, attributes in elements if "id" in attributes} >= {
        str(attributes["href"])[1:] for _, attributes in elements if "href" in attributes
    }
    ids = [attributes["id"] for _, attributes in elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    (policy,) = [attributes["content"] for _, attributes in elements if "http-equiv" in attributes]
    assert policy == "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
    style = re.findall(r"<style>(.*?)</style>", report.html(verdicts[name]), re.S)
    assert len(style) == 2
    assert not re.search(r"url\(|@import|expression\(", "".join(style))


def test_hostile_words_are_only_words(verdicts: dict[str, dict[str, Any]]) -> None:
    page, text = report.html(verdicts["hostile"]), report.markdown(verdicts["hostile"])
    rendered = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).render(text)
    for tag in ("<a ", "<img", "<script", "<em>", "<s>", "<h1>W", 'javascript:alert(3)"'):
        assert tag not in rendered
    assert "{{ 7 * 7 }} {% raw %}" in page
    for form in (page, text):
        assert all(sign.isprintable() or sign == "\n" for sign in form)
    assert flat(HOSTILE) in words_of_page(page)
    assert rendered.count("<table>") == report.markdown(verdicts["twelve"]).count("|\n|---") + (
        1 if verdicts["hostile"]["owed"] else 0
    )


def test_addresses_are_not_made_into_links() -> None:
    """Readers such as GitHub's make a link of a bare address, unless it does not stand there as one."""
    text = report.markdown(verdict_with("see https://evil.example and www.evil.example, ask @somebody about $x$"))
    assert not re.search(r"://|www\.|(?<!\\)@|(?<!\\)\$", text.replace("classDef", ""))


def verdict_with(quote: str) -> dict[str, Any]:
    reason = {
        "code": "non_commercial",
        "node": "a/b",
        "text": quote,
        "quote": quote,
        "file": quote,
        "sha256": None,
        "confidence": "high",
    }
    return {
        "base": "a/b",
        "hash": "0" * 64,
        "as_of": "2026-11-22",
        "verdict": "block",
        "uses": {use: {"verdict": "block", "reasons": [reason], "duties": []} for use in USES},
        "nodes": [
            {"id": "a/b", "role": "base", "revision": None, "license": None, "identified_by": "nothing", "text_sha256": None}
        ],
        "notices": [],
        "notice_lines": [],
        "display_lines": [],
        "alternatives": [],
    }


def test_an_older_record_is_shown_and_tells_what_it_does_not_know() -> None:
    verdict = verdict_with("no")
    assert {cell.letter for asset in read(verdict).assets for cell in asset.cells} == {"?"}
    assert "not recorded" in words_of_page(report.html(verdict))
    assert "? not recorded" in report.markdown(verdict)


def test_the_worst_asset_stands_first_and_the_whole_above_it(verdicts: dict[str, dict[str, Any]]) -> None:
    reading = read(verdicts["twelve"])
    assert len(reading.assets) == 12
    ranks = ["".join(sorted(cell.letter for cell in asset.cells)) for asset in reading.assets]
    assert ranks == sorted(ranks, key=lambda letters: ("B" not in letters, "C" not in letters, "D" not in letters))
    assert [cell.letter for cell in reading.whole] == ["B"] * 4
    rows = [line for line in report.markdown(verdicts["twelve"]).split("## What stands")[0].splitlines() if line.startswith("|")]
    assert rows[2].startswith("| **all together** |")
    assert rows[3].count("| B block") == 4
    assert len(rows) == 3 + 12


def test_each_cell_has_letter_and_word(verdicts: dict[str, dict[str, Any]]) -> None:
    cells = re.findall(
        r'<td role="cell" class="use (\w+)"><span class="label">[^<]+</span><b class="letter">(.)</b> (\w+)',
        report.html(verdicts["twelve"]),
    )
    assert len(cells) == 4 * (1 + 12)
    assert {(tone, letter, word) for tone, letter, word in cells} <= {
        ("allow", "A", "allow"),
        ("duties", "D", "duties"),
        ("block", "B", "block"),
    }


def test_what_the_base_covers_alike_is_one_row(verdicts: dict[str, dict[str, Any]]) -> None:
    rows = read(verdicts["passes"]).rows
    assert [len(row) for row in rows] == [1, 1, 5]
    assert {asset.told for asset in rows[2]} == {"covered by the base"}


def test_reasons_name_section_file_hash_and_what_to_do(verdicts: dict[str, dict[str, Any]]) -> None:
    (group,) = read(verdicts["barred"]).against
    first = group.said[0]
    assert first.section == "section 1.c of version v1.1.1"
    assert first.uses == ("train_adapter", "host_paid_inference")
    assert "waiver signed" in first.remedy
    by_code = {one.code: one for group in read(verdicts["twelve"]).against for one in group.said}
    assert by_code["text_unknown"].file == "LICENSE"
    assert "No waiver lifts it" in by_code["hub_not_found"].remedy
    of_data = next(group for group in read(verdicts["twelve"]).against if group.name == "d/set")
    assert "other pictures" in of_data.said[0].remedy
    words = words_of_page(report.html(verdicts["barred"]))
    assert "Section 1.c of version v1.1.1" in words


@pytest.mark.parametrize(
    ("name", "said"),
    [("passes", "✓ Allowed, with duties"), ("barred", "✕ Not allowed"), ("waived", "! Allowed only by a signed waiver")],
)
def test_the_answer_comes_first_in_a_sign_and_words(verdicts: dict[str, dict[str, Any]], name: str, said: str) -> None:
    page, text = words_of_page(report.html(verdicts[name])), report.markdown(verdicts[name])
    assert said in page[:200]
    assert text.splitlines()[2].startswith(f"**{said}**")


def test_the_line_names_the_asset_that_is_to_blame(verdicts: dict[str, dict[str, Any]]) -> None:
    line = report.one_line(verdicts["twelve"])
    assert line.startswith("base 'studio/leaves-xl' may not be used here: b/right: LICENSE is not the exact text")
    assert report.one_line(verdicts["barred"]).count("black-forest-labs/FLUX.1-dev") == 1


def test_waivers_are_loud_at_the_top_and_in_the_matrix(verdicts: dict[str, dict[str, Any]]) -> None:
    verdict = verdicts["waived"]
    page, text = words_of_page(report.html(verdict)), report.markdown(verdict)
    for form in (page, text):
        assert form.count("COUNTS: owner/base") == 2
        assert form.count("DOES NOT COUNT: owner/base") == 1
        assert (
            form.index("COUNTS:")
            < form.index("Who may do what", form.index("COUNTS:"))
            < form.index("What stands against it", form.index("COUNTS:") + 1)
        )
        assert form.count("D duties (waived)") == 4
        assert "1 of 3 waiver(s) given does not count" in form
    assert "no licence told" in report.one_line(verdict)
    assert "own material" not in report.one_line(verdict)


def test_duties_say_what_fulfils_them(verdicts: dict[str, dict[str, Any]]) -> None:
    duties = {one.code: one for one in read(verdicts["passes"]).duties}
    assert duties["LICENSE_COPY"].files == ("LICENSES/apache-2.0.txt",)
    assert duties["LICENSE_COPY"].uses == ("host_paid_inference", "distribute_adapter")
    assert "what fulfils it is told once" in {one.means for one in read(verdicts["barred"]).duties}.pop()


def test_an_open_duty_stands_first_and_says_so(verdicts: dict[str, dict[str, Any]]) -> None:
    verdict = verdicts["passes"]
    lack = "no licence text was found; put it beside the weights"
    changed = verdict | {"owed": [one | {"open": lack if one["duty"] == "ATTRIBUTION" else ""} for one in verdict["owed"]]}
    assert read(changed).duties[0].code == "ATTRIBUTION"
    assert (read(changed).sign, read(changed).answer) == ("!", "Allowed, with duties, but 1 duty can not be fulfilled yet")
    assert f"Open: {lack}" in words_of_page(report.html(changed))
    assert f"**OPEN: {lack}**" in report.markdown(changed)


def test_the_graph_is_drawn_and_written(verdicts: dict[str, dict[str, Any]]) -> None:
    page, text = report.html(verdicts["twelve"]), report.markdown(verdicts["twelve"])
    assert page.count("<svg") == 1
    assert text.count("```mermaid\nflowchart TD\n") == 1
    without = re.sub(r"<svg.*?</svg>", "", page, flags=re.S)
    assert all(flat(node["id"]) in words_of_page(without) for node in verdicts["twelve"]["nodes"])
