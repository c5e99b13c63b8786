"""What lint refuses, as a table: one change to a good listing, one finding."""

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from serving.listing.errors import DraftRefused
from serving.listing.findings import Finding, Level
from serving.listing.lint import linted, refuse_errors
from serving.listing.model import dumped, parsed
from serving.listing.sarif import sarif
from tests.serving.listing.material import drafted, drawn, files_in, listing_in, release, verdict
from tests.serving.listing.test_pricing import BASIS

OTHER_HASH = "0" * 64
WINDING = (
    "Demonstrably sophisticated representational iconography characterised by unconventional dimensionality "
    "necessitating considerable interpretation."
)


def changed(draft: Path, pointer: str, value: Any) -> list[tuple[str, str]]:
    """(code, level) of the findings after one value of listing.json was replaced."""
    document = json.loads(dumped(listing_in(draft)))
    *path, last = [int(part) if part.isdigit() else part for part in pointer.split("/")]
    place = document
    for part in path:
        place = place[part]
    place[last] = value
    return [(finding.code, finding.level) for finding in linted(parsed(json.dumps(document)), files_in(draft))]


def test_good_draft_has_only_warnings_and_they_are_true(draft: Path) -> None:
    findings = linted(listing_in(draft), files_in(draft))
    said = [(finding.code, finding.level) for finding in findings]
    assert said == [("not-on-fal", "warning"), ("no-price", "warning"), ("link-not-asked", "note")]
    refuse_errors(findings)


@pytest.mark.parametrize(
    ("pointer", "value", "code"),
    [
        ("metadata/display_name", " ", "empty"),
        ("metadata/display_name", "x" * 61, "too-long"),
        ("metadata/display_name", "Clay\nBcc: a@example.org", "control-character"),
        ("metadata/display_name", "Your title", "placeholder"),
        ("metadata/description", "", "empty"),
        ("metadata/description", "x" * 161, "too-long"),
        ("metadata/description", "Lorem ipsum dolor", "placeholder"),
        ("metadata/description", "What it is for: <describe here>", "placeholder"),
        ("metadata/tags", ["tbd"], "placeholder"),
        ("metadata/description", "The best clay on the market.", "claim"),
        ("metadata/description", "Officially endorsed clay.", "claim"),
        ("metadata/description", "Clay in 2 seconds.", "no-receipt"),
        ("metadata/description", "Clay for $0.01.", "no-receipt"),
        ("metadata/description", "Clay, 40 % cheaper.", "no-receipt"),
        ("metadata/tags", ["uncensored"], "unsafe-word"),
        ("metadata/category", "text-to-picture", "category"),
        ("contact/sender", "", "empty"),
        ("contact/recipient", "  ", "empty"),
        ("contact/support", "", "empty"),
        ("contact/recipient", "the fal team", "no-address"),
        ("contact/sender", "a@example.org\r\nBcc: b@example.org", "control-character"),
        ("examples", [], "no-examples"),
        ("examples/0/alt", " ", "no-alt"),
        ("examples/0/output/sha256", OTHER_HASH, "example"),
        ("examples/0/base/file", "examples/absent.png", "example"),
        ("facts/evaluation/base_loss/value", 0.1, "receipt-differs"),
        ("facts/evaluation/base_loss/receipt", "hearsay", "no-receipt"),
        ("facts/evaluation/base_loss/pointer", "/loss/absent", "receipt-differs"),
        ("facts/limits/0", "Draws in 2 seconds.", "no-receipt"),
        ("facts/safety", "Blocks 99.9 % of everything.", "no-receipt"),
        ("receipts/evaluation/sha256", OTHER_HASH, "receipt"),
        ("receipts/evaluation/path", "receipts/absent.json", "receipt"),
        ("licence/host_paid_inference", "block", "licence"),
        ("licence/host_paid_inference", "conditional", "licence"),
        ("licence/display_lines", [" "], "licence"),
        ("release/smoke", None, "no-evidence"),
        ("endpoint_id", "clay", "endpoint"),
        ("facts/limits/0", "Guaranteed to be flawless.", "claim"),
        ("open_questions/0/question", "What of <your name>?", "placeholder"),
        ("examples/0/alt", "TODO", "placeholder"),
        ("metadata/github_url", "http://example.org/clay", "link"),
        ("release/retired", "The app was retired on 2026-11-22: why.", "retired"),
    ],
)
def test_error(draft: Path, pointer: str, value: Any, code: str) -> None:
    assert (code, "error") in changed(draft, pointer, value)


@pytest.mark.parametrize(
    ("pointer", "value", "code"),
    [
        ("release/health", {}, "no-health"),
        ("facts/evaluation/learned", False, "not-learned"),
        ("metadata/description", WINDING, "hard-to-read"),
    ],
)
def test_warning_does_not_stop_a_draft(draft: Path, pointer: str, value: Any, code: str) -> None:
    findings = changed(draft, pointer, value)
    assert (code, "warning") in findings
    assert "error" not in {level for _, level in findings}


def test_errors_come_one_a_line_and_warnings_not_at_all() -> None:
    levels: tuple[Level, ...] = ("error", "warning", "error")
    findings = tuple(Finding(code="code", level=level, where="title", message=f"is {level}") for level in levels)
    with pytest.raises(DraftRefused) as refused:
        refuse_errors(findings)
    assert str(refused.value).splitlines() == ["title: is error [code]"] * 2
    assert refused.value.exit_code == 2


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"verdict": verdict("block")}, "the verdict is 'block'"),
        ({"release": release() | {"evidence": {}}}, "no smoke test"),
    ],
)
def test_refused_draft_leaves_the_folder_empty(tmp_path: Path, changes: dict[str, Any], says: str) -> None:
    out = tmp_path / "draft"
    out.mkdir()
    with pytest.raises(DraftRefused, match=says):
        drafted(out, **changes)
    assert list(out.iterdir()) == []


def test_another_listing_of_the_author_may_not_say_the_same(draft: Path) -> None:
    mine = listing_in(draft)
    same = mine.model_copy(update={"endpoint_id": "studio/other"})
    found = linted(mine, files_in(draft), others=[mine, same])
    assert [(one.code, one.where) for one in found if one.level == "error"] == [
        ("duplicate", "display_name"),
        ("duplicate", "description"),
    ]


def test_almost_the_same_words_and_the_same_pictures_are_named(draft: Path) -> None:
    mine = listing_in(draft)
    card = mine.metadata.model_copy(update={"display_name": "Other", "description": mine.metadata.description + "!"})
    other = mine.model_copy(update={"endpoint_id": "studio/other", "metadata": card})
    found = {one.code for one in linted(mine, files_in(draft), others=[other]) if one.level == "warning"}
    assert {"near-duplicate", "duplicate-pictures"} <= found


def test_what_is_old_is_named_with_its_age(draft: Path, tmp_path: Path) -> None:
    drafted(tmp_path / "draft", basis=BASIS, prompts=2, seeds=1)
    listing, files = listing_in(tmp_path / "draft"), files_in(tmp_path / "draft")
    new = {one.where for one in linted(listing, files, today=date(2026, 11, 22)) if one.code == "outdated"}
    old = {one.where for one in linted(listing, files, today=date(2027, 11, 22)) if one.code == "outdated"}
    assert (new, old) == (set(), {"pricing.reckoning.anchors", "pricing.reckoning", "release.smoke"})


def test_a_card_of_another_size_is_refused(draft: Path) -> None:
    files = files_in(draft) | {"social.png": drawn("fox", 1, "base")}
    assert ("picture-size", "error") in {(one.code, one.level) for one in linted(listing_in(draft), files)}


@pytest.mark.parametrize(
    ("page", "text", "says"),
    [
        ("index.html", '<a href="#nowhere">x</a>', "#nowhere leads nowhere on the page"),
        ("index.html", '<a href="other.html">x</a>', "other.html is no file beside the page"),
        ("index.html", '<img src="examples/../examples/no.png" alt="x">', "is no file beside the page"),
        ("index.html", '<a href="http://example.org/">x</a>', "goes by http; only https is linked to"),
        ("index.html", '<a href="https://nowhere/">x</a>', "names no host"),
        ("index.html", '<a href="javascript:alert(1)">x</a>', "goes by javascript"),
        ("index.html", '<a href="mailto:nobody">x</a>', "is no mail address"),
        ("MODEL_CARD.md", "[x](LICENSE.md)", "LICENSE.md is no file beside the page"),
        ("llms.txt", "see http://example.org/clay.", "goes by http"),
    ],
)
def test_a_link_that_leads_nowhere(draft: Path, page: str, text: str, says: str) -> None:
    found = [one for one in linted(listing_in(draft), files_in(draft) | {page: text.encode()}) if one.code == "link"]
    assert any(says in one.message for one in found)
    assert {one.level for one in found} == {"error"}


def test_addresses_elsewhere_are_named_as_not_asked(draft: Path) -> None:
    (told,) = [one for one in linted(listing_in(draft), files_in(draft)) if one.level == "note"]
    assert "not asked from here: " in told.message
    assert "https://fal.run/studio/clay" in told.message


def test_sarif_holds_every_finding_once(draft: Path) -> None:
    findings = linted(listing_in(draft), files_in(draft))
    log = sarif(findings, version="1")["runs"][0]
    assert [result["ruleId"] for result in log["results"]] == [finding.code for finding in findings]
    rules = [rule["id"] for rule in log["tool"]["driver"]["rules"]]
    assert all(rules[result["ruleIndex"]] == result["ruleId"] for result in log["results"])
    assert len({result["partialFingerprints"]["finding/v1"] for result in log["results"]}) == len(findings)
