"""Cases written against the gate: nothing that bars paid use may pass, nothing clean may be stopped."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

import licenses.check
from tests.licenses.adversarial.case import Case
from tests.licenses.adversarial.every import CASES
from tests.licenses.adversarial.hub import CaseHub, serving
from tests.licenses.adversarial.run import fault_of, run
from tests.licenses.adversarial.texts import catalogue

TOKENS = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy")


@pytest.fixture(scope="session")
def _case_hub() -> Iterator[CaseHub]:
    with serving() as hub:
        yield hub


@pytest.fixture
def case_hub(_case_hub: CaseHub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> CaseHub:
    """The Hub of the cases as HF_ENDPOINT, empty, and the catalogue that knows the made-up texts."""
    _case_hub.clear()
    for name in (*TOKENS, *PROXIES):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    monkeypatch.setenv("HF_TOKEN_PATH", str(tmp_path / "no-token"))
    monkeypatch.setenv("HF_ENDPOINT", _case_hub.address)
    monkeypatch.setattr(licenses.check, "load", catalogue)
    return _case_hub


@pytest.mark.parametrize("case", [pytest.param(case, id=case.id) for case in CASES])
def test_what_bars_paid_use_never_passes_and_what_is_clean_is_never_stopped(case: Case, case_hub: CaseHub, tmp_path: Path) -> None:
    assert fault_of(case, run(case, tmp_path, case_hub)) == ""


def test_there_are_enough_of_both_and_no_two_share_a_name() -> None:
    assert [name for name, count in Counter(case.id for case in CASES).items() if count > 1] == []
    assert sum(not case.allowed for case in CASES) >= 60
    assert sum(case.allowed for case in CASES) >= 40
