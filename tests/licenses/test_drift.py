"""What changed behind a base since it was allowed: two checks of a repository on a loopback Hub, compared."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from licenses.check import check
from licenses.drift import Change, clauses, compare, state
from licenses.sarif import of_verdict, sarif
from tests.licenses.conftest import APACHE
from tests.licenses.loopback_hub import LoopbackHub
from tests.licenses.test_folder import GOOD, card

REPO = "somebody/small-model"
LATER = "f" * 40
Twice = Callable[[Callable[[], object]], tuple[Change, ...]]


@pytest.fixture
def twice(hub: LoopbackHub, tmp_path: Path) -> Twice:
    """The changes between a check of REPO and one after `act`, with the bytes of both at hand."""

    def run(act: Callable[[], object], **options: Any) -> tuple[Change, ...]:
        hub.add(REPO, GOOD, card_data={"license": "apache-2.0"})
        before = check(REPO, keep=tmp_path / "before", as_of="2026-11-22").as_json()
        assert before["verdict"] in ("allow", "duties")
        act()
        after = check(REPO, keep=tmp_path / "after", as_of=options.get("as_of", "2026-11-23")).as_json()
        return compare(before, after, read=lambda sha: _first(tmp_path / "before" / sha, tmp_path / "after" / sha))

    return run


def _first(*paths: Path) -> bytes | None:
    return next((path.read_bytes() for path in paths if path.is_file()), None)


def again(hub: LoopbackHub, files: Mapping[str, str | bytes] = GOOD, **fields: Any) -> Callable[[], object]:
    return lambda: hub.add(REPO, files, **({"card_data": {"license": "apache-2.0"}, "commit": LATER} | fields))


def test_nothing_changed(twice: Twice) -> None:
    assert twice(lambda: None) == ()


def test_a_new_commit_with_the_same_terms_asks_for_nothing(hub: LoopbackHub, twice: Twice) -> None:
    changes = twice(again(hub, GOOD | {"weights.json": "{}"}))
    assert {change.code for change in changes} == {"revision_moved"}
    assert state(changes) == "unchanged"


def test_a_clause_that_came_is_shown(hub: LoopbackHub, twice: Twice) -> None:
    added = "You may not offer the Work as a paid service."
    changes = twice(again(hub, GOOD | {"LICENSE": APACHE + "\n\n" + added + "\n"}))
    (text,) = [change for change in changes if change.code == "text_changed"]
    assert text.level == "error"
    assert text.added == (added,)
    assert text.removed == ()
    assert "verdict_worse" in {change.code for change in changes}
    assert "duty_gone" not in {change.code for change in changes}
    assert state(changes) == "re-review"


def test_a_tag_that_changed_is_named_with_both_values(hub: LoopbackHub, twice: Twice) -> None:
    changes = twice(again(hub, GOOD | {"README.md": card("license: cc-by-nc-4.0")}, card_data={"license": "cc-by-nc-4.0"}))
    (tag,) = [change for change in changes if change.code == "tag_changed"]
    assert "'cc-by-nc-4.0' now" in tag.text
    assert "'apache-2.0'" in tag.text
    assert state(changes) == "re-review"


@pytest.mark.parametrize(
    ("fault", "code", "now"),
    [
        ("missing", "gone", "re-review"),
        ("disabled", "gone", "re-review"),
        ("gated", "gated", "re-review"),
        ("broken", "not_asked", "unconfirmed"),
        ("garbage", "not_asked", "unconfirmed"),
    ],
)
def test_a_base_that_can_not_be_had_any_more(hub: LoopbackHub, twice: Twice, fault: str, code: str, now: str) -> None:
    changes = twice(again(hub, fault=fault))
    assert code in {change.code for change in changes}
    assert state(changes) == now


def test_who_could_not_be_asked_has_not_changed(hub: LoopbackHub, twice: Twice) -> None:
    assert {change.level for change in twice(again(hub, fault="broken"))} == {"unknown"}


def test_a_text_that_is_gone(hub: LoopbackHub, twice: Twice) -> None:
    changes = twice(again(hub, {name: text for name, text in GOOD.items() if name != "LICENSE"}))
    assert {"text_gone", "verdict_worse"} <= {change.code for change in changes}


def test_a_parent_that_came(hub: LoopbackHub, twice: Twice) -> None:
    hub.add("somebody/parent", GOOD, card_data={"license": "apache-2.0"})
    changes = twice(again(hub, GOOD | {"README.md": card("license: apache-2.0\nbase_model: somebody/parent")}))
    assert ("asset_added", "somebody/parent") in {(change.code, change.node) for change in changes}


def test_terms_that_come_back_are_no_change(hub: LoopbackHub, tmp_path: Path) -> None:
    hub.add(REPO, GOOD, card_data={"license": "apache-2.0"})
    first = check(REPO, as_of="2026-11-22").as_json()
    hub.add(REPO, GOOD, card_data={"license": "apache-2.0"}, fault="gated")
    assert state(compare(first, check(REPO, as_of="2026-11-23").as_json())) == "re-review"
    hub.add(REPO, GOOD, card_data={"license": "apache-2.0"})
    assert compare(first, check(REPO, as_of="2026-11-24").as_json()) == ()


def test_clauses_ignore_layout_and_case() -> None:
    assert clauses("One thing. Another\nthing.", "ONE  thing.\n\nAnother thing.") == ((), ())
    assert clauses("Keep this. Drop that. End.", "Keep this. Take these. End.") == (("Drop that.",), ("Take these.",))


def test_sarif_names_each_reason_once(no_network: None) -> None:
    verdict = check("black-forest-labs/FLUX.1-dev", as_of="2026-11-22").as_json()
    log = sarif(of_verdict(verdict), version="1.0", location="jobs/my job.yaml")
    (run,) = log["runs"]
    assert run["results"]
    assert {result["level"] for result in run["results"]} <= {"error", "warning"}
    assert len({result["message"]["text"] for result in run["results"]}) == len(run["results"])
    for result in run["results"]:
        assert run["tool"]["driver"]["rules"][result["ruleIndex"]]["id"] == result["ruleId"]
        assert result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "jobs/my%20job.yaml"
    assert len({result["partialFingerprints"]["finding/v1"] for result in run["results"]}) == len(run["results"])
