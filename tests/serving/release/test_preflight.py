"""What a preflight finds: a table of what may be wrong, and the questions themselves against the sandbox."""

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from serving.release.enablement import enablement_mail
from serving.release.errors import PackageError, WrongKey
from serving.release.machines import MACHINES, near
from serving.release.package import _seal, load_package
from serving.release.platform import Alias, FalPlatform
from serving.release.preflight import CANDIDATE, Finding, Situation, Wanted, examine, failures, gather, secrets_named
from serving.release.signature import Signers, fingerprint, sign
from tests.serving.release.conftest import MakeToy

KEY = bytes(range(32))
VERDICT: dict[str, Any] = {"hash": "a" * 64, "as_of": "2026-01-01", "uses": {"host_paid_inference": {"verdict": "duties"}}}
BLOCKED = {**VERDICT, "uses": {"host_paid_inference": {"verdict": "block", "reasons": [{"text": "commercial use is barred"}]}}}


def alias(revision: str = "r1", auth_mode: str = "private") -> Alias:
    return Alias(revision=revision, auth_mode=auth_mode, urls={})


@pytest.fixture
def package(make_toy: MakeToy) -> Path:
    """A toy that lint finds fit: its files are named as ours are."""
    folder = make_toy("toy")
    (folder / "verdict.json").write_text(json.dumps(VERDICT))
    (folder / "package.json").unlink()
    _seal("toy", folder)
    sign(load_package(folder), KEY)
    return folder


def signers(private: bytes = KEY) -> Signers:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    public = Ed25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw()
    return Signers(keys={fingerprint(public): public}, names={})


def wanted(**changes: Any) -> Wanted:
    fields: dict[str, Any] = {"app": "toy", "machine_type": "S", "secrets": (), "package": None, "verdict": VERDICT}
    return Wanted(**{**fields, "signers": signers(), **changes})


def situation(**changes: Any) -> Situation:
    fields: dict[str, Any] = {"target": "fal", "account": "ada", "second_caller": True, "apps": {}, "candidates": {}, "skew": 0.4}
    secrets: dict[str, list[str]] = {"main": [], CANDIDATE: []}
    return Situation(**{**fields, "environments": [CANDIDATE], "secrets": secrets, **changes})


def found(check: str, findings: list[Finding]) -> Finding:
    (finding,) = [finding for finding in findings if finding.check == check]
    return finding


@pytest.mark.parametrize(
    ("machine", "state", "said"),
    [
        ("GPU-H100", "passed", "documented by fal as of"),
        ("XS", "passed", "documented by fal as of"),
        ("GPU-NONE", "failed", "GPU-"),
        ("GPU-H1000", "failed", "GPU-H100"),
        ("GPU-RTX-4090", "failed", "GPU-RTX4090"),
        ("gpu_a100", "failed", "GPU-A100"),
        ("XXL", "failed", "XL"),
        ("GPU-A6000", "warning", "a former page"),
    ],
)
def test_a_machine_type_is_known_or_its_neighbours_are_named(machine: str, state: str, said: str) -> None:
    finding = found("machine", examine(wanted(machine_type=machine), situation()))
    assert finding.state == state
    assert said in finding.got + finding.do


def test_every_near_machine_is_a_documented_one() -> None:
    assert all(set(near(name)) <= MACHINES.keys() and near(name) for name in ("", "GPU", "GPU-NONE", "T4", "H100", "x" * 99))


@pytest.mark.parametrize(
    ("have", "state", "said"),
    [
        ({"main": ["HF_TOKEN", "OTHER"], CANDIDATE: ["HF_TOKEN"]}, "passed", "set in main and candidate"),
        ({"main": ["HF_TOKEN"], CANDIDATE: []}, "failed", "candidate lacks HF_TOKEN"),
        ({"main": [], CANDIDATE: ["HF_TOKEN"]}, "failed", "main lacks HF_TOKEN"),
        ({"main": ["hf_token"], CANDIDATE: []}, "failed", "main lacks HF_TOKEN; candidate lacks HF_TOKEN"),
    ],
)
def test_secrets_are_asked_for_by_name_in_both_environments(have: dict[str, list[str]], state: str, said: str) -> None:
    finding = found("secrets", examine(wanted(secrets=("HF_TOKEN",)), situation(secrets=have)))
    assert (finding.state, finding.got.startswith(said)) == (state, True)
    assert state == "passed" or "fal secrets set" in finding.do


@pytest.mark.parametrize(
    ("apps", "known", "state"),
    [
        ({}, frozenset(), "passed"),
        ({"other": alias()}, frozenset(), "passed"),
        ({"toy": alias("r1")}, frozenset({"r1"}), "passed"),
        ({"toy": alias("r2")}, frozenset({"r1"}), "warning"),
    ],
)
def test_a_name_that_somebody_else_deployed_is_a_warning(apps: dict[str, Alias], known: frozenset[str], state: str) -> None:
    assert found("name", examine(wanted(), situation(apps=apps, known=known))).state == state


@pytest.mark.parametrize(
    ("skew", "state"), [(0.0, "passed"), (-29, "passed"), (31, "warning"), (-301, "failed"), (1e9, "failed"), (None, "unknown")]
)
def test_clocks_that_differ_are_told(skew: float | None, state: str) -> None:
    assert found("clock", examine(wanted(), situation(skew=skew))).state == state


@pytest.mark.parametrize(
    ("cost", "budget", "state"),
    [
        (None, None, "unknown"),
        (None, 5.0, "unknown"),
        ((0.1, 0.9), None, "passed"),
        ((0.1, 0.9), 1.0, "passed"),
        ((0.1, 0.9), 0.5, "warning"),
        ((0.6, 0.9), 0.5, "failed"),
    ],
)
def test_a_forecast_is_held_against_the_budget(cost: tuple[float, float] | None, budget: float | None, state: str) -> None:
    finding = found("budget", examine(wanted(cost=cost, budget=budget), situation()))
    assert finding.state == state
    assert state != "failed" or "budget_usd is 0.50" in finding.got


@pytest.mark.parametrize(
    ("verdict", "state", "code"),
    [(VERDICT, "passed", 2), (BLOCKED, "failed", 3), ({**VERDICT, "hash": "b" * 64}, "failed", 3), ({}, "failed", 3)],
)
def test_the_packaged_verdict_is_the_one_of_now_and_allows(verdict: dict[str, Any], state: str, code: int, package: Path) -> None:
    finding = found("licences", examine(wanted(package=package, verdict=verdict), situation()))
    assert (finding.state, finding.exit_code) == (state, code)


def test_a_package_is_linted_and_its_signature_checked(package: Path) -> None:
    fit = examine(wanted(package=package), situation())
    assert found("package", fit).state == "passed"
    assert {finding.got for finding in fit if finding.check == "lint" and finding.state == "failed"}  # the toy is not one of ours
    assert found("client", fit).state == "passed"
    strange = found("package", examine(wanted(package=package, signers=signers(KEY[::-1])), situation()))
    assert (strange.state, strange.exit_code) == ("failed", 2)
    (package / "toy.json").write_text("{}")
    assert "toy.json was changed" in found("package", examine(wanted(package=package), situation())).got


def test_shared_mode_is_known_once_an_app_runs_in_it() -> None:
    assert found("shared mode", examine(wanted(), situation(apps={"old": alias("r1", "shared")}))).state == "passed"
    asked = found("shared mode", examine(wanted(), situation(apps={"old": alias("r1", "private")})))
    assert asked.state == "unknown"
    assert "the mail to send to fal" in asked.do


def test_what_fal_does_not_tell_is_unknown_and_says_where_to_look() -> None:
    findings = examine(wanted(), situation())
    unknown = {finding.check: finding.do for finding in findings if finding.state == "unknown"}
    assert unknown.keys() == {"rights", "package", "budget", "shared mode", "quota", "availability", "price"}
    assert all(do for check, do in unknown.items() if check != "budget")
    assert failures(findings) == []


def test_a_platform_that_can_not_be_asked_is_the_first_finding() -> None:
    findings = examine(wanted(machine_type="GPU-NONE"), WrongKey("fal refused the key"))
    assert [(finding.check, finding.exit_code) for finding in failures(findings)] == [("key", 5), ("machine", 2)]


def test_the_questions_are_answered_by_the_sandbox(sandbox: FalPlatform, make_toy: MakeToy) -> None:
    sandbox.deploy(make_toy("asked", app="asked"), app="asked", environment=None)
    there = gather(sandbox, known=frozenset(), now=time.time())
    assert (there.target, there.account, there.second_caller) == ("sandbox", sandbox.whoami()["nickname"], True)
    assert there.apps["asked"].auth_mode == "shared"
    assert there.secrets.keys() == {"main", CANDIDATE}
    assert failures(examine(wanted(), replace(there, skew=0.0))) == []
    assert found("name", examine(wanted(app="asked"), there)).state == "warning"


def test_the_secrets_of_a_package_are_those_of_its_toml(package: Path) -> None:
    assert secrets_named(package) == ()
    toml = package / "pyproject.toml"
    toml.write_text(toml.read_text().replace('machine_type = "S"', 'machine_type = "S"\nsecrets = ["HF_TOKEN"]'))
    assert secrets_named(package) == ("HF_TOKEN",)


def test_the_mail_for_shared_mode_has_what_fal_needs_and_no_clock() -> None:
    from email import message_from_bytes, policy

    fields = {"account": "ada", "app": "toy", "machine": "GPU-H100", "unit": "image", "sender": "a@example.org"}
    verdict = {**VERDICT, "base": "owner/base", "expression": "Apache-2.0", "display_lines": ["Built with Base"]}
    raw = enablement_mail(**fields, verdict=verdict, recipient="support@example.org", refusal="not enabled")
    mail = message_from_bytes(raw, policy=policy.default)
    assert (mail["To"], mail["Subject"], mail["Date"]) == (
        "support@example.org",
        "Shared mode for serverless account ada (app toy)",
        None,
    )
    part = mail.get_body()
    assert part is not None
    body = part.get_content()
    for said in ("ada", "toy", "GPU-H100", "one unit each image", "owner/base", "Apache-2.0", "Built with Base", "not enabled"):
        assert said in body
    assert raw == enablement_mail(**fields, verdict=verdict, recipient="support@example.org", refusal="not enabled")
    with pytest.raises(PackageError, match="must be on one line"):
        enablement_mail(**fields, verdict=verdict, recipient="a@example.org\nBcc: b@example.org", refusal="")
