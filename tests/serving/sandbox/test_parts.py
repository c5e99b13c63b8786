"""The parts that need no daemon: certificates, keys, requirements, state."""

import platform
import ssl
import stat
from pathlib import Path

import certifi
import isolate_proto as proto
import pytest
from cryptography import x509

from serving.sandbox.accounts import CALLER, OWNER, Keyring, ensure_keys
from serving.sandbox.errors import BuildFailed, NotAllowed, NotFound, PortInUse, RunnerFailed, SandboxError, StartFailed
from serving.sandbox.fleet.agent_process import RunnerLog
from serving.sandbox.money.ledger import Entry, Ledger
from serving.sandbox.plane.requirements import check_environment
from serving.sandbox.plane.settings import health_of, kept_settings
from serving.sandbox.state import Alias, Revision, State, full_name, split_name
from serving.sandbox.tls import prepare_tls

REVISION = Revision(
    id="r",
    owner="o",
    alias="a",
    environment="main",
    entrypoint="m:C",
    files=(("f" * 64, "x/y.py"),),
    settings={"keep_alive": 1},
    health={"path": "/health"},
    metadata={"openapi": {"paths": {"/": {}}}},
)


def test_the_authority_is_made_once_and_may_name_no_host(tmp_path: Path) -> None:
    prepare_tls(tmp_path / "tls")
    first = (tmp_path / "tls" / "ca.pem").read_bytes()
    prepare_tls(tmp_path / "tls")
    assert (tmp_path / "tls" / "ca.pem").read_bytes() == first
    authority = x509.load_pem_x509_certificate(first)
    constraint = authority.extensions.get_extension_for_class(x509.NameConstraints)
    assert constraint.critical
    assert constraint.value.excluded_subtrees == [x509.DNSName("")]
    leaf = x509.load_pem_x509_certificate((tmp_path / "tls" / "leaf.pem").read_bytes())
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [str(address) for address in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1"]
    assert names.get_values_for_type(x509.DNSName) == []


def test_the_bundle_adds_the_authority_to_certifis_roots(tmp_path: Path) -> None:
    prepare_tls(tmp_path / "tls")
    roots, ours = ssl.create_default_context(cafile=certifi.where()), tmp_path / "tls" / "bundle.pem"
    assert len(ssl.create_default_context(cafile=str(ours)).get_ca_certs()) == len(roots.get_ca_certs()) + 1


def test_keys_are_issued_once_and_known_by_both_halves(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    keys = ensure_keys(path)
    assert ensure_keys(path) == keys
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    ring = Keyring(path)
    for nickname in (OWNER, CALLER):
        key_id, secret = keys[nickname].split(":")
        account = ring.account_of(key_id, secret)
        assert account is not None
        assert account.nickname == nickname
        assert ring.account_of_header(f"Key {key_id}:{secret}") == account
        for wrong in ((key_id, secret[:-1]), (key_id, ""), ("", secret), ("unknown", secret)):
            assert ring.account_of(*wrong) is None
    assert ring.account_of_header(f"Key {keys[OWNER].split(':')[0]}:{keys[CALLER].split(':')[1]}") is None


@pytest.mark.parametrize(
    ("requirements", "fault"),
    [
        (["pydantic>=2", "httpx"], None),
        ([["pydantic"], ["httpx"]], None),
        ("pydantic\nhttpx", None),
        (["--extra-index-url x", "pydantic ; python_version < '3'", "pydantic[email]>=2"], None),
        (["nothing-like-it"], "nothing-like-it: nothing-like-it is not installed"),
        (["pydantic==0.1"], "pydantic==0.1: pydantic 2"),
        (["git+https://example.org/x.git"], "no requirement that pip would read"),
    ],
)
def test_requirements_are_met_by_this_interpreter_or_named(requirements: object, fault: str | None) -> None:
    configuration = {"requirements": requirements, "python_version": platform.python_version()}
    if fault is None:
        assert check_environment("virtualenv", configuration)
        return
    with pytest.raises(BuildFailed) as failure:
        check_environment("virtualenv", configuration)
    assert fault in str(failure.value)
    assert "\n" not in str(failure.value)


@pytest.mark.parametrize(("kind", "version"), [("container", None), ("virtualenv", "3.8"), ("conda", None)])
def test_an_environment_of_another_kind_or_python_is_refused(kind: str, version: str | None) -> None:
    with pytest.raises(BuildFailed):
        check_environment(kind, {"python_version": version, "requirements": []})


@pytest.mark.parametrize(
    ("alias", "app", "environment"), [("a", "a", "main"), ("a--candidate", "a", "candidate"), ("a-b--c-d", "a-b", "c-d")]
)
def test_an_alias_names_app_and_environment(alias: str, app: str, environment: str) -> None:
    assert split_name(alias) == (app, environment)
    assert full_name(app, environment) == alias


def test_state_is_what_was_put_into_it_after_a_restart(tmp_path: Path) -> None:
    revision = REVISION
    alias = Alias(owner="o", name="a", environment="main", revision="r", auth_mode="shared", settings={"keep_alive": 2})
    entry = Entry(
        request_id="q", app="a", environment="main", revision="r", caller=None, path="/", status=200, units=None, seconds=0.5
    )
    state = State(tmp_path / "state.db")
    state.add_revision(revision)
    state.put_alias(alias)
    Ledger(state.db).record(entry)
    state.close()
    again = State(tmp_path / "state.db")
    assert again.revision("r") == revision
    assert again.revisions("o", alias="a") == [revision]
    assert (again.alias("o", "a"), again.alias("other", "a")) == (alias, None)
    assert [(row["request_id"], row["units"]) for row in Ledger(again.db).rows()] == [("q", None)]
    again.close()


def test_a_live_app_keeps_its_scaling_only() -> None:
    live = {"keep_alive": 9, "max_multiplexing": 9, "machine_types": ["XS"]}
    asked = {"keep_alive": 1, "max_multiplexing": 2, "machine_types": ["GPU-H100"]}
    kept = kept_settings(live, asked, reset=False)
    assert (kept["keep_alive"], kept["max_multiplexing"], kept["machine_types"]) == (9, 2, ["GPU-H100"])
    assert kept_settings(live, asked, reset=True)["keep_alive"] == 1
    assert kept_settings(None, {}, reset=False)["keep_alive"] == 60


def test_a_health_check_is_a_post_unless_it_says_otherwise() -> None:
    declared = proto.RegisterApplicationRequest(health_check_config=proto.ApplicationHealthCheckConfig(path="/ok"))
    assert health_of(declared) == {
        "path": "/ok",
        "method": "POST",
        "timeout_seconds": 5,
        "failure_threshold": 3,
        "call_regularly": True,
    }
    declared.health_check_config.method = proto.ApplicationHealthCheckConfig.GET
    assert (health_of(declared) or {})["method"] == "GET"
    assert health_of(proto.RegisterApplicationRequest()) is None


def test_a_runner_log_masks_secrets_and_finds_the_reason(tmp_path: Path) -> None:
    log = RunnerLog(tmp_path / "x.log", secrets=["s3cret", ""])
    for text in (
        "INFO:     Started",
        "the key is s3cret",
        "ERROR:    Traceback",
        "ValueError: no weights",
        "",
        "ERROR:    Application startup failed. Exiting.",
        "asyncio.exceptions.CancelledError",
    ):
        log.add("user", text)
    assert log.reason() == "ValueError: no weights"
    assert [line.text for line in log.since(5)] == [
        "ERROR:    Application startup failed. Exiting.",
        "asyncio.exceptions.CancelledError",
    ]
    log.close()
    assert "s3cret" not in (tmp_path / "x.log").read_text()
    assert "the key is ********" in (tmp_path / "x.log").read_text()


def test_every_error_is_one_family_with_the_platforms_exit_code() -> None:
    for kind in (PortInUse, StartFailed, BuildFailed, RunnerFailed, NotFound, NotAllowed):
        assert issubclass(kind, SandboxError)
        assert issubclass(kind, ValueError)
        assert kind.exit_code == 5
