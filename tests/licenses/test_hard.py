"""Hard blocks are listed by name with a reason; every code that this room can give is hard, or may be waived, and never both."""

import re
from pathlib import Path

import pytest

from licenses import hard
from licenses.hard import HARD, HARD_BLOCKS, WAIVABLE

ROOM = Path(hard.__file__).parent
CODE = re.compile(r'(?:code=|SourceFailure\(\s*|Lack\(\s*"\w+",\s*|_problem\(\w+,\s*|_reason\(node,\s*|use,\s*)"([a-z0-9_]+)"')
NOT_AGAINST = {"licensed", "conditions_met", "waived", "terms_relaxed", "allow"}  # reasons that allow
OTHERS = {"drift.py", "environment.py", "sarif.py"}  # compare verdicts and judge packages, by codes of their own


def test_no_code_is_both() -> None:
    assert not HARD & WAIVABLE
    assert set(HARD_BLOCKS) == HARD
    assert all(len(why) > 20 for why in HARD_BLOCKS.values())


@pytest.mark.parametrize("file", sorted(path.name for path in ROOM.glob("*.py") if path.name not in OTHERS))
def test_every_code_of_a_file_was_weighed(file: str) -> None:
    given = set(CODE.findall((ROOM / file).read_text(encoding="utf-8")))
    uses = {"train_adapter", "host_paid_inference", "distribute_adapter", "sell_outputs"}
    assert given - NOT_AGAINST - uses <= HARD | WAIVABLE, "add the code to HARD_BLOCKS or to WAIVABLE in licenses/hard.py"


def test_the_search_for_codes_finds_them() -> None:
    found = {code for path in ROOM.glob("*.py") for code in CODE.findall(path.read_text(encoding="utf-8"))}
    assert {
        "minors_present",
        "hub_gated",
        "text_unknown",
        "territory_excluded",
        "facts_expired",
        "needs_review",
    } <= found | WAIVABLE | HARD
    assert len(found) > 40


@pytest.mark.parametrize(
    "code", ["persons_without_consent", "consent_record_missing", "minors_present", "hub_gated", "share_alike_broken"]
)
def test_what_no_person_can_sign_away_is_hard(code: str) -> None:
    assert code in HARD
