"""Sandbox and fal can not be taken for each other."""

from pathlib import Path

import pytest

from serving.release.errors import TargetRefused
from serving.release.target import HOST_VARIABLES, fal_target, is_loopback, sandbox_target

LOOPBACK = dict.fromkeys(HOST_VARIABLES, "127.0.0.1:7600") | {"FAL_QUEUE_RUN_HOST": "127.0.0.1:7600/queue", "FAL_KEY": "a:b"}


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("127.0.0.1:7600", True),
        ("127.0.0.1:7600/queue", True),
        ("127.1", True),
        ("0x7f000001:80", True),
        ("localhost:1", True),
        ("api.localhost", True),
        ("[::1]:7600", True),
        ("::1", True),
        ("0.0.0.0:7600", True),
        ("api.alpha.fal.ai", False),
        ("127.0.0.1.example.org:443", False),
        ("localhost.example.org", False),
        ("10.0.0.1:7600", False),
        ("", False),
    ],
)
def test_loopback_is_recognised_in_any_notation(address: str, expected: bool) -> None:
    assert is_loopback(address) is expected


@pytest.mark.parametrize("name", HOST_VARIABLES)
@pytest.mark.parametrize("value", ["fal.run", None])
def test_the_sandbox_target_refuses_every_host_but_loopback(name: str, value: str | None, tmp_path: Path) -> None:
    env = {key: host for key, host in LOOPBACK.items() if key != name} | ({name: value} if value else {})
    with pytest.raises(TargetRefused, match=f"{name} is .* not a loopback address"):
        sandbox_target(env, caller_key="c:d", logs=tmp_path)


def test_the_sandbox_target_takes_what_the_sandbox_gives(tmp_path: Path) -> None:
    with sandbox_target(LOOPBACK, caller_key="c:d", logs=tmp_path) as platform:
        assert (platform.name, platform.second_caller) == ("sandbox", True)


@pytest.mark.parametrize("name", [*HOST_VARIABLES, "FAL_HOST"])
def test_the_fal_target_refuses_this_machine(name: str, tmp_path: Path) -> None:
    with pytest.raises(TargetRefused, match=f"{name} is '127.0.0.1:7600', which is this machine; unset it"):
        fal_target({"FAL_KEY": "a:b", name: "127.0.0.1:7600"}, logs=tmp_path)


@pytest.mark.parametrize("name", ["ISOLATE_TEST_MODE", "ISOLATE_AUTH_DISABLED"])
def test_the_fal_target_refuses_the_sdks_test_switches(name: str, tmp_path: Path) -> None:
    with pytest.raises(TargetRefused, match=f"unset {name}"):
        fal_target({"FAL_KEY": "a:b", name: "1"}, logs=tmp_path)
    with fal_target({"FAL_KEY": "a:b", name: "0"}, logs=tmp_path) as platform:
        assert platform.name == "fal"


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({}, "FAL_KEY is not set; make a key at https://fal.ai/dashboard/keys"),
        ({"FAL_KEY": "half"}, "FAL_KEY is not of the form id:secret"),
        ({"FAL_KEY": "a:b", "LORASMITH_SMOKE_KEY": "half"}, "LORASMITH_SMOKE_KEY is not of the form id:secret"),
    ],
)
def test_a_missing_key_is_one_line_that_says_how_to_get_one(environ: dict[str, str], message: str, tmp_path: Path) -> None:
    with pytest.raises(TargetRefused, match=message) as refused:
        fal_target(environ, logs=tmp_path)
    assert refused.value.exit_code == 2
    assert "half" not in str(refused.value)


def test_the_second_caller_is_optional_on_fal(tmp_path: Path) -> None:
    with fal_target({"FAL_KEY": "a:b"}, logs=tmp_path) as alone:
        assert not alone.second_caller
    with fal_target({"FAL_KEY": "a:b", "LORASMITH_SMOKE_KEY": "c:d"}, logs=tmp_path) as pair:
        assert pair.second_caller


def test_the_child_sees_its_target_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_planted_secret")
    environ = {"FAL_KEY": "a:b", "AWS_SECRET_ACCESS_KEY": "planted", "HTTPS_PROXY": "http://proxy:1"}
    with fal_target(environ, logs=tmp_path) as platform:
        env = platform.child_environment
    assert set(env) <= {"PATH", "HOME", "LANG", "FAL_KEY", "FAL_CONFIG_PATH", "HTTPS_PROXY"}
    assert "planted" not in str(env)
