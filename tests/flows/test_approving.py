"""Who is asked what before a run goes on, what an answer does, and what no answer can do."""

import json
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from flows.approvals.approval_sheet import sheet
from flows.approvals.approving import Approvals, Reason, Standing, reasons, subject_of
from flows.approvals.asking import Answer, price_in, require_approval
from flows.cli.main import app
from flows.errors import GateRejected, JobError, LicenceBlocked, NotApproved
from flows.gating import require_accepted
from flows.job import Gate
from flows.job_file import load_job
from flows.listing_folder import desk
from flows.targets import registry_url
from serving.release.approvals import listed
from serving.release.registry import Registry
from tests.flows.approval_material import UNSURE, bundle_of, deployed, licences_of, package_of, publish_toy, toy_job
from tests.training.test_gate import GOOD
from training.gate import GatePolicy, decide

ROOT = Path(__file__).resolve().parents[2]
ALL = Approvals(first_publication=True, price_change=True)
NONE = Approvals(gate_review=False)
NEW, OLD = Standing(published=False, live=None, price_usd=None), Standing(published=True, live="p0", price_usd=0.04)
LIVE = Standing(published=True, live="p1", price_usd=0.05)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LORASMITH_HOME", str(tmp_path))
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    return tmp_path


def subject(**changes: Any) -> dict[str, Any]:
    fields: dict[str, Any] = {"app": "fox", "target": "fal", "package": "p1", "price_usd": 0.05} | changes
    return subject_of(**fields, decision=decide(GOOD, GatePolicy()))


def told(*arguments: str, code: int = 0) -> str:
    result = CliRunner().invoke(app, [*arguments])
    assert result.exit_code == code, (result.output, result.exception)
    return result.output


def questions() -> list[dict[str, Any]]:
    with closing(Registry(registry_url())) as registry:
        registry.verify_journal()
        return listed(registry)


@pytest.mark.parametrize(
    ("policy", "standing", "doubtful", "asked"),
    [
        (Approvals(), NEW, False, ()),
        (Approvals(), OLD, False, ()),
        (Approvals(), OLD, True, ("gate_review",)),
        (Approvals(), LIVE, True, ()),
        (NONE, NEW, True, ()),
        (ALL, NEW, False, ("first_publication",)),
        (ALL, NEW, True, ("first_publication", "gate_review")),
        (ALL, OLD, False, ("price_change",)),
        (ALL, LIVE, False, ()),
        (ALL, Standing(published=True, live="p1", price_usd=0.04), False, ("price_change",)),
        (ALL, Standing(published=True, live="p0", price_usd=None), False, ()),
    ],
)
def test_the_policy_says_what_is_asked(policy: Approvals, standing: Standing, doubtful: bool, asked: tuple[Reason, ...]) -> None:
    assert reasons(policy, standing, subject(), doubtful=doubtful) == asked


def test_a_price_that_nobody_knows_yet_is_no_change() -> None:
    assert reasons(ALL, OLD, subject(price_usd=None), doubtful=False) == ()


@pytest.mark.parametrize("file", sorted(ROOT.glob("examples/*/job.yaml")), ids=lambda file: file.parent.name)
def test_the_examples_run_without_a_person(file: Path) -> None:
    assert reasons(load_job(file).approvals, NEW, subject(), doubtful=False) == ()


def test_another_decision_of_the_gate_is_another_question() -> None:
    other = subject_of("fox", "fal", "p1", 0.05, decide(UNSURE, GatePolicy()))
    assert other["gate"] != subject()["gate"]


@pytest.mark.parametrize(("field", "value"), [("timeout_hours", 0), ("first_publication", "perhaps"), ("licence", True)])
def test_a_policy_that_makes_no_sense_is_refused_by_its_name(field: str, value: object) -> None:
    with pytest.raises(JobError, match=f"approvals.{field}"):
        toy_job({field: value})


def test_a_run_from_the_command_line_stops_with_4_and_goes_on_after_a_yes(home: Path) -> None:
    job = toy_job({"first_publication": True})
    with pytest.raises(NotApproved, match=r"waits for a person.*lorasmith approvals approve (\w{16}) --by NAME") as stopped:
        publish_toy(home, job)
    assert stopped.value.exit_code == 4
    assert "\n" not in str(stopped.value)
    assert deployed(home) == []
    (row,) = questions()
    assert "first publication" in told("approvals", "list")
    assert "run the same command again" in told("approvals", "approve", row["id"], "--by", "Ada", "--why", "saw the grid")
    assert publish_toy(home, job) == row["id"]
    assert publish_toy(home, job) is None, "it is live, and nothing is asked any more"
    assert deployed(home) == ["candidate", "main"]
    (said,) = questions()
    assert (said["state"], said["by"], said["why"], said["way"]) == ("approved", "Ada", "saw the grid", "command")


def test_a_no_holds_until_it_is_taken_back(home: Path) -> None:
    job = toy_job({"first_publication": True})
    for _ in range(2):
        with pytest.raises(NotApproved):
            publish_toy(home, job)
        told("approvals", "deny", questions()[0]["id"], "--by", "Ada", "--why", "the hands are wrong")
    with pytest.raises(NotApproved, match=r"was denied by Ada at .* UTC: the hands are wrong"):
        publish_toy(home, job)
    told("approvals", "approve", questions()[0]["id"], "--by", "Grace")
    assert publish_toy(home, job)


def test_a_yes_to_one_package_is_none_to_another(home: Path) -> None:
    job = toy_job({"first_publication": True})
    with pytest.raises(NotApproved):
        publish_toy(home, job, content="a")
    told("approvals", "approve", questions()[0]["id"], "--by", "Ada")
    with pytest.raises(NotApproved, match="waits for a person"):
        publish_toy(home, job, content="b")
    assert deployed(home) == []


def test_what_the_gate_leaves_to_a_person_is_asked_before_the_deploy(home: Path) -> None:
    with pytest.raises(NotApproved, match="the gate leaves it to a person"):
        publish_toy(home, toy_job(), evaluation=UNSURE)
    shown = told("approvals", "show", questions()[0]["id"])
    assert "review: inconclusive against what is live" in shown
    told("approvals", "approve", questions()[0]["id"], "--by", "Ada")
    assert publish_toy(home, toy_job(), evaluation=UNSURE)


def test_where_nobody_is_asked_a_review_ends_the_run_as_it_did(home: Path) -> None:
    with pytest.raises(GateRejected, match="needs a person's judgement"):
        publish_toy(home, toy_job({"gate_review": False}), evaluation=UNSURE)
    with pytest.raises(GateRejected, match="needs a person's judgement"):
        require_accepted(Gate(), UNSURE)  # nothing is deployed, so nobody would be asked
    assert publish_toy(home, toy_job(gate={"review": "accept"}), evaluation=UNSURE) is None


def test_an_approval_does_not_waive_a_licence(home: Path) -> None:
    job = toy_job({"first_publication": True})
    with pytest.raises(NotApproved):
        publish_toy(home, job)
    told("approvals", "approve", questions()[0]["id"], "--by", "Ada", "--why", "waive the licence")
    with pytest.raises(LicenceBlocked):
        publish_toy(home, job, said="block")
    assert deployed(home) == []
    assert set(Answer.model_fields) == {"approve", "by", "why"}
    assert Answer.model_json_schema()["additionalProperties"] is False
    assert "a signed file" in told("approvals", "show", questions()[0]["id"])


def test_another_price_on_the_page_waits_too(home: Path) -> None:
    publish_toy(home, toy_job(listing=listing_at(0.04)))
    listed_at(home, 0.04)
    job = toy_job({"price_change": True}, listing=listing_at(0.05))
    with pytest.raises(NotApproved, match="the price changes"):
        publish_toy(home, job)
    assert "$0.04 -> $0.05" in told("approvals", "show", questions()[0]["id"])
    told("approvals", "approve", questions()[0]["id"], "--by", "Ada")
    assert publish_toy(home, job)
    listed_at(home, 0.05)
    assert publish_toy(home, job) is None


def test_a_recommended_price_is_asked_for_once_the_draft_has_it(home: Path) -> None:
    listed_at(home, 0.04)
    draft = home / "draft"
    draft.mkdir()
    (draft / "listing.json").write_text(json.dumps({"pricing": {"unit_price_usd": 0.06}}))
    decision, packed = decide(GOOD, GatePolicy()), package_of(home, "toy", "b")
    arguments = toy_job({"price_change": True}), packed, decision, bundle_of(home, GOOD), licences_of(home), "sandbox"
    assert require_approval(*arguments, None) is None  # type: ignore[arg-type]
    with pytest.raises(NotApproved, match="the price changes"):
        require_approval(*arguments, price_in(draft))  # type: ignore[arg-type]


@pytest.mark.parametrize("by", ["", "  ", "x" * 129])
def test_an_answer_without_a_name_is_refused(home: Path, by: str) -> None:
    with pytest.raises(NotApproved):
        publish_toy(home, toy_job({"first_publication": True}))
    result = CliRunner().invoke(app, ["approvals", "approve", questions()[0]["id"], "--by", by])
    assert "give the name that shall stand in the journal" in str(result.exception)
    assert questions()[0]["state"] == "pending"


def test_a_question_whose_time_is_over_is_told_as_a_no(home: Path) -> None:
    job = toy_job({"first_publication": True, "timeout_hours": 1e-9})
    with pytest.raises(NotApproved):
        publish_toy(home, job)
    assert "nothing waits" in told("approvals", "list")
    assert "expired" in told("approvals", "list", "--all")
    assert "by nobody" in told("approvals", "list", "--all")


def test_the_sheet_shows_what_a_person_needs(home: Path) -> None:
    with pytest.raises(NotApproved):
        publish_toy(home, toy_job({"first_publication": True}))
    (row,) = questions()
    text = sheet(row)
    for evidence in (
        "# toy on sandbox: first publication",
        "nothing is live",
        "recommended after the deploy",
        "licences: duties (train_adapter: duties, host_paid_inference: duties)",
        "held-out loss: base 0.5000 -> adapter 0.4500 (-10.0%)",
        "deploy and its tests: nothing on the sandbox",
        "promote: 20 held-out pictures measured",
    ):
        assert evidence in text
        assert evidence in sheet(row, paths=False)
    assert row["evidence"]["licence"]["report"] in text
    assert str(home) not in sheet(row, paths=False)
    assert json.loads(told("approvals", "show", row["id"], "--json")) == row


def listing_at(price: float) -> dict[str, Any]:
    return {"title": "Toy", "short_description": "A toy.", "price_usd": price}


def listed_at(home: Path, price: float) -> None:
    page = desk(home, "sandbox", "toy") / "listing.json"
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(json.dumps({"pricing": {"unit_price_usd": price}}))
