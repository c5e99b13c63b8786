"""What is said of a release of diffusers: a line a family, from the reports of its proofs."""

import pytest

from tests.training.try_diffusers import Verdicts


def item_of(family: str, proof: str = "test_replay") -> pytest.TestReport:
    return pytest.TestReport(f"tests/{proof}.py::{proof}[{family}]", ("", 0, ""), {}, "passed", None, "call")


def verdicts_after(*reports: pytest.TestReport) -> Verdicts:
    verdicts = Verdicts(["flux.1", "sana"])
    verdicts._family = {report.nodeid: report.nodeid.split("[")[1][:-1] for report in reports}
    for report in reports:
        verdicts.pytest_runtest_logreport(report)
    return verdicts


def failed(report: pytest.TestReport, when: str = "call") -> pytest.TestReport:
    report.outcome, report.when, report.longrepr = "failed", when, "AttributeError: module 'diffusers'\n has no attribute 'X'"
    return report


def test_proofs_that_hold_are_counted() -> None:
    verdicts = verdicts_after(item_of("flux.1"), item_of("flux.1", "test_decode"), item_of("sana"))
    assert list(verdicts.lines()) == ["flux.1           ok      2 proofs", "sana             ok      1 proofs"]


@pytest.mark.parametrize(("when", "counted"), [("call", 2), ("setup", 1)])
def test_what_broke_first_is_said_on_one_line(when: str, counted: int) -> None:
    verdicts = verdicts_after(item_of("flux.1"), failed(item_of("flux.1", "test_decode"), when), item_of("sana"))
    said = "decode: AttributeError: module 'diffusers' has no attribute 'X'"
    assert next(verdicts.lines()) == f"flux.1           broke   1 of {counted}; {said}"


def test_a_family_without_a_proof_is_not_ok() -> None:
    assert "no proof ran" in list(verdicts_after(item_of("flux.1")).lines())[1]
