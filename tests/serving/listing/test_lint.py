"""What lint refuses, as a table: one change to a good listing, one finding."""

import json
from pathlib import Path
from typing import Any

import pytest

from serving.listing.errors import DraftRefused
from serving.listing.findings import Finding, Level
from serving.listing.lint import linted, refuse_errors
from serving.listing.model import dumped, parsed
from serving.listing.sarif import sarif
from tests.serving.listing.material import drafted, files_in, listing_in, release, verdict

OTHER_HASH = "0" * 64


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
    assert [(finding.code, finding.level) for finding in findings] == [("not-on-fal", "warning"), ("no-price", "warning")]
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
    ],
)
def test_error(draft: Path, pointer: str, value: Any, code: str) -> None:
    assert (code, "error") in changed(draft, pointer, value)


@pytest.mark.parametrize(
    ("pointer", "value", "code"),
    [
        ("release/health", {}, "no-health"),
        ("facts/evaluation/learned", False, "not-learned"),
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


def test_sarif_holds_every_finding_once(draft: Path) -> None:
    findings = linted(listing_in(draft), files_in(draft))
    log = sarif(findings, version="1")["runs"][0]
    assert [result["ruleId"] for result in log["results"]] == [finding.code for finding in findings]
    rules = [rule["id"] for rule in log["tool"]["driver"]["rules"]]
    assert all(rules[result["ruleIndex"]] == result["ruleId"] for result in log["results"])
    assert len({result["partialFingerprints"]["finding/v1"] for result in log["results"]}) == len(findings)
