"""Sandbox and fal can not be taken for each other."""

import socket
import ssl
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives import serialization as form
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from serving.release.errors import TargetRefused, WrongKey
from serving.release.platform import FalPlatform
from serving.release.refusals import secret_values
from serving.release.target import HOST_VARIABLES, fal_target, is_fal, is_loopback, sandbox_target
from serving.sandbox import control
from serving.sandbox.server import hosts

OWNER, CALLER = "sandbox-0123456789abcdef:owner", "sandbox-fedcba9876543210:caller"
FAL_KEY = "11111111-2222-3333-4444-555555555555:0123456789abcdef0123456789abcdef"
LOOPBACK = hosts("127.0.0.1:7600") | {"FAL_KEY": OWNER}


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("127.0.0.1:7600", True),
        ("127.0.0.1:7600/queue", True),
        ("127.1", True),
        ("0x7f000001:80", True),
        ("2130706433:7600", True),
        ("0177.0.0.1", True),
        ("localhost:1", True),
        ("LocalHost.", True),
        ("api.localhost", True),
        ("[::1]:7600", True),
        ("::1", True),
        ("::1%lo", True),
        ("[::ffff:127.0.0.1]:7600", True),
        ("[::ffff:7f00:1]", True),
        ("0:0:0:0:0:0:0:1", True),
        ("user:password@127.0.0.1:80", True),
        ("0.0.0.0:7600", True),
        ("[::]:7600", True),
        ("api.alpha.fal.ai", False),
        ("127.0.0.1.example.org:443", False),
        ("127.0.0.1@example.org", False),
        ("localhost.example.org", False),
        ("10.0.0.1:7600", False),
        ("[::ffff:10.0.0.1]", False),
        ("", False),
    ],
)
def test_loopback_is_recognised_in_any_notation(address: str, expected: bool) -> None:
    assert is_loopback(address) is expected


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("fal.run", True),
        ("queue.fal.run/", True),
        ("api.alpha.fal.ai:443", True),
        ("API.fal.ai.", True),
        ("fal.ai.example.org", False),
        ("notfal.ai", False),
        ("fal.run@example.org", False),
        ("127.0.0.1", False),
        ("https://fal.run", False),
        ("", False),
    ],
)
def test_a_host_is_fals_by_its_name_only(address: str, expected: bool) -> None:
    assert is_fal(address) is expected


@pytest.mark.parametrize("name", HOST_VARIABLES)
@pytest.mark.parametrize("value", ["fal.run", None])
def test_the_sandbox_target_refuses_every_host_but_loopback(name: str, value: str | None, tmp_path: Path) -> None:
    env = {key: host for key, host in LOOPBACK.items() if key != name} | ({name: value} if value else {})
    with pytest.raises(TargetRefused, match=f"{name} is .* not a loopback address"):
        sandbox_target(env, caller_key=CALLER, logs=tmp_path)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"FAL_HOST": "api.alpha.fal.ai"}, "FAL_HOST is 'api.alpha.fal.ai', which is not a loopback address"),
        ({"FAL_WS_RUN_HOST": "ws.fal.run"}, "FAL_WS_RUN_HOST is 'ws.fal.run'"),
        ({"HTTPS_PROXY": "http://proxy.example.org:3128"}, "HTTPS_PROXY is set, so its calls could leave this machine"),
        ({"grpc_proxy": "http://127.0.0.1:3128"}, "grpc_proxy is set"),
        ({"FAL_KEY": FAL_KEY}, "FAL_KEY is none that the sandbox issued"),
        ({"FAL_KEY": ""}, "FAL_KEY is none that the sandbox issued"),
    ],
)
def test_the_sandbox_target_refuses_what_leads_to_fal(changed: dict[str, str], message: str, tmp_path: Path) -> None:
    with pytest.raises(TargetRefused, match=message) as refused:
        sandbox_target(LOOPBACK | changed, caller_key=CALLER, logs=tmp_path)
    assert "0123456789abcdef0123456789abcdef" not in str(refused.value)


def test_the_sandbox_target_takes_no_second_caller_of_fal(tmp_path: Path) -> None:
    with pytest.raises(TargetRefused, match="the second caller's key is none that the sandbox issued"):
        sandbox_target(LOOPBACK, caller_key=FAL_KEY, logs=tmp_path)


def test_the_sandbox_target_takes_what_the_sandbox_gives(tmp_path: Path) -> None:
    with sandbox_target(LOOPBACK, caller_key=CALLER, logs=tmp_path) as platform:
        assert (platform.name, platform.second_caller) == ("sandbox", True)


def test_the_sandbox_itself_refuses_a_key_that_looks_like_fals(sandbox_home: Path, tmp_path: Path) -> None:
    running = control.up(sandbox_home)
    with FalPlatform(name="sandbox", env={**running.env, "FAL_KEY": FAL_KEY}, caller_key=None, logs=tmp_path) as platform:
        for ask in (platform.whoami, platform.environments):
            with pytest.raises(WrongKey, match="the sandbox accepts only keys that it issued"):
                ask()


def test_a_profile_of_the_user_reaches_neither_target(sandbox_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """~/.fal/config.toml may name a host, a key and a team; the SDK would take them where the environment leaves room."""
    folder = tmp_path / "user" / ".fal"
    folder.mkdir(parents=True)
    profile = '[profile.default]\nhost = "api.example.org"\nkey = "other:account"\nteam = "others"\n'
    (folder / "config.toml").write_text(f'profile = "default"\n{profile}')
    monkeypatch.setenv("HOME", str(folder.parent))
    monkeypatch.setenv("FAL_CONFIG_PATH", str(folder / "config.toml"))
    monkeypatch.setenv("FAL_PROFILE", "default")
    running = control.up(sandbox_home)
    bare = {name: value for name, value in running.env.items() if name not in ("FAL_CONFIG_PATH", "FAL_PROFILE")}
    with sandbox_target(bare, caller_key=running.caller_key, logs=tmp_path / "logs") as platform:
        assert platform.whoami()["nickname"] == running.owner
        assert platform.environments() is not None
    with fal_target({"FAL_KEY": FAL_KEY, "FAL_CONFIG_PATH": "x", "FAL_PROFILE": "default"}, logs=tmp_path) as platform:
        assert platform.child_environment["FAL_CONFIG_PATH"] == "/dev/null"
        assert "FAL_PROFILE" not in platform.child_environment


@pytest.mark.parametrize("name", [*HOST_VARIABLES, "FAL_HOST", "FAL_WS_RUN_HOST"])
@pytest.mark.parametrize("value", ["127.0.0.1:7600", "[::ffff:127.0.0.1]:7600", "2130706433", "localhost."])
def test_the_fal_target_refuses_this_machine(name: str, value: str, tmp_path: Path) -> None:
    with pytest.raises(TargetRefused, match=f"{name} is .*, which is this machine; unset it"):
        fal_target({"FAL_KEY": FAL_KEY, name: value}, logs=tmp_path)


@pytest.mark.parametrize("name", [*HOST_VARIABLES, "FAL_HOST", "FAL_WS_RUN_HOST"])
@pytest.mark.parametrize("value", ["10.0.0.7:7600", "sandbox.example.org", "fal.ai.example.org", "localtest.me"])
def test_the_fal_target_sends_its_key_to_hosts_of_fal_only(name: str, value: str, tmp_path: Path) -> None:
    with pytest.raises(TargetRefused, match=f"{name} is '{value}', which is no host of fal.ai or fal.run"):
        fal_target({"FAL_KEY": FAL_KEY, name: value}, logs=tmp_path)
    with fal_target({"FAL_KEY": FAL_KEY, name: "eu.fal.run"}, logs=tmp_path) as platform:
        assert platform.child_environment[name] == "eu.fal.run"


@pytest.mark.parametrize("name", ["ISOLATE_TEST_MODE", "ISOLATE_AUTH_DISABLED"])
def test_the_fal_target_refuses_the_sdks_test_switches(name: str, tmp_path: Path) -> None:
    with pytest.raises(TargetRefused, match=f"unset {name}"):
        fal_target({"FAL_KEY": FAL_KEY, name: "1"}, logs=tmp_path)
    with fal_target({"FAL_KEY": FAL_KEY, name: "0"}, logs=tmp_path) as platform:
        assert platform.name == "fal"


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({}, "FAL_KEY is not set; make a key at https://fal.ai/dashboard/keys"),
        ({"FAL_KEY": "half"}, "FAL_KEY is not of the form id:secret"),
        ({"FAL_KEY": FAL_KEY, "LORASMITH_SMOKE_KEY": "half"}, "LORASMITH_SMOKE_KEY is not of the form id:secret"),
        ({"FAL_KEY": OWNER}, "FAL_KEY is a key of the sandbox, which opens nothing at fal and is not sent there"),
        ({"FAL_KEY": FAL_KEY, "LORASMITH_SMOKE_KEY": CALLER}, "LORASMITH_SMOKE_KEY is a key of the sandbox"),
        ({"FAL_KEY": FAL_KEY, "SSL_CERT_FILE": "/no/such/bundle.pem"}, "SSL_CERT_FILE is '/no/such/bundle.pem', which is no file"),
    ],
)
def test_a_key_that_can_not_be_fals_is_one_line_that_says_how_to_get_one(
    environ: dict[str, str], message: str, tmp_path: Path
) -> None:
    with pytest.raises(TargetRefused, match=message) as refused:
        fal_target(environ, logs=tmp_path)
    assert refused.value.exit_code == 2
    assert "half" not in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(("second", "expected"), [(None, False), (FAL_KEY.replace("1", "2"), True), (FAL_KEY, False)])
def test_the_second_caller_is_optional_on_fal_and_never_the_owner(second: str | None, expected: bool, tmp_path: Path) -> None:
    environ = {"FAL_KEY": FAL_KEY} | ({"LORASMITH_SMOKE_KEY": second} if second else {})
    with fal_target(environ, logs=tmp_path) as platform:
        assert platform.second_caller is expected


def test_the_shell_of_the_sandbox_is_not_taken_for_fals(sandbox_home: Path, tmp_path: Path) -> None:
    """Who ran `eval "$(lorasmith sandbox up --export)"` has all of it in the environment; one leftover is enough to refuse."""
    exported = control.up(sandbox_home).env
    with pytest.raises(TargetRefused, match=r"FAL_GRPC_HOST is .* which is this machine"):
        fal_target(exported, logs=tmp_path)
    for name in [*HOST_VARIABLES, "FAL_WS_RUN_HOST", "FAL_KEY"]:
        with pytest.raises(TargetRefused, match=name):
            fal_target({"FAL_KEY": FAL_KEY} | {name: exported[name]}, logs=tmp_path)


def test_the_sandboxs_authority_can_not_vouch_for_fal(sandbox_home: Path, tmp_path: Path) -> None:
    """Its bundle is in the environment that `sandbox up --export` prints: whoever has its key can still not stand in for fal."""
    control.up(sandbox_home)
    tls = sandbox_home / "sandbox" / "tls"
    authority = x509.load_pem_x509_certificate((tls / "ca.pem").read_bytes())
    signer = form.load_pem_private_key((tls / "ca-key.pem").read_bytes(), password=None)
    assert isinstance(signer, ec.EllipticCurvePrivateKey)
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    leaf = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "api.alpha.fal.ai")]))
        .issuer_name(authority.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("api.alpha.fal.ai")]), critical=False)
        .sign(signer, hashes.SHA256())
    )
    pem = key.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption())
    (tmp_path / "leaf.pem").write_bytes(leaf.public_bytes(form.Encoding.PEM) + pem)
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(tmp_path / "leaf.pem")
    trusting = ssl.create_default_context(cafile=str(tls / "bundle.pem"))
    ours, theirs = socket.socketpair()

    def stand_in() -> None:
        with theirs, pytest.raises((ssl.SSLError, OSError)):
            serving.wrap_socket(theirs, server_side=True)

    thread = threading.Thread(target=stand_in)
    thread.start()
    with ours, pytest.raises(ssl.SSLCertVerificationError, match="subtree"):
        trusting.wrap_socket(ours, server_hostname="api.alpha.fal.ai")
    thread.join(10)
    assert not thread.is_alive()


@pytest.mark.parametrize(
    ("env", "hidden"),
    [
        ({"FAL_KEY": FAL_KEY}, {FAL_KEY, FAL_KEY.partition(":")[2]}),
        ({"HTTPS_PROXY": "http://ada:pass%2Bword@proxy:3128"}, {"pass%2Bword", "pass+word"}),
        ({"HTTPS_PROXY": "http://proxy:3128", "NO_PROXY": "a,b", "FAL_RUN_HOST": "fal.run"}, set()),
        ({"HTTPS_PROXY": "http://[broken"}, set()),
    ],
)
def test_what_the_log_of_a_target_hides(env: dict[str, str], hidden: set[str]) -> None:
    assert set(secret_values(env, None)) == hidden


def test_the_child_sees_its_target_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_planted_secret")
    environ = {"FAL_KEY": FAL_KEY, "AWS_SECRET_ACCESS_KEY": "planted", "HTTPS_PROXY": "http://proxy:1"}
    environ |= {"FAL_KEY_ID": "planted", "FAL_TEAM": "planted", "LORASMITH_REGISTRY": "postgresql://planted"}
    with fal_target(environ, logs=tmp_path) as platform:
        env = platform.child_environment
    assert set(env) <= {"PATH", "HOME", "LANG", "FAL_KEY", "FAL_CONFIG_PATH", "HTTPS_PROXY"}
    assert "planted" not in str(env)
