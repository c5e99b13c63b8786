"""Secrets planted in every place of the shell, the platform and the disk stay there: nothing that a run leaves behind has them."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import tomli_w

from flows.c2pa_key import request_certificate
from serving.release.errors import DeployFailed, PlatformError, TargetRefused
from serving.release.package import _seal
from serving.release.target import sandbox_target
from serving.sandbox import control
from serving.sandbox.state import State
from tests.end_to_end.canaries import Canaries, command_lines, packed
from tests.end_to_end.conftest import Run
from tests.serving.release.conftest import TOY_SETTINGS

# The only files of a home that may hold secrets: what `lorasmith keys` made, the keys that the sandbox issued, and what its
# users gave it to keep. All are for their owner alone.
ALLOWED = (
    "keys",
    "sandbox/keys.json",
    "sandbox/state.db",
    "sandbox/state.db-wal",
    "sandbox/tls/ca-key.pem",
    "sandbox/tls/leaf.pem",
)
TELLTALE = """
import json, os, sys
import fal

class Telltale(fal.App):
    def setup(self):
        print("environment:", dict(os.environ), flush=True)
        print(json.dumps(sorted(os.environ.values())), file=sys.stderr, flush=True)
        for value in os.environ.values():
            print(value, flush=True)
        raise RuntimeError(f"no weights for {os.environ['PLANTED']}")

    @fal.endpoint("/")
    def answer(self) -> str:
        return ""
"""


def test_the_search_finds_every_form(canaries: Canaries) -> None:
    """A search that finds nothing anywhere would pass every test below."""
    import base64
    import zlib
    from urllib.parse import quote

    for text in (
        f"{before}{canaries.word}{after}".encode() for before in ("", "a", "id:", "user:") for after in ("", "@host", "\n")
    ):
        for written in (text, base64.b64encode(text), base64.urlsafe_b64encode(text), text.hex().encode(), quote(text).encode()):
            assert canaries.leaks(b"before " + written + b" after")
        assert canaries.leaks(b"before " + packed(b"inside " + text))
        assert canaries.leaks(zlib.compress(text))
    assert canaries.leaks(canaries.word[:-4].encode()) == []


def test_a_publish_keeps_no_secret_of_the_shell(
    published: "subprocess.CompletedProcess[str]", canaries: Canaries, home: Path, scratch: Path
) -> None:
    """Store, packages, Prefect's database, logs, sandbox, listing, temporary files, what was said, and command lines meanwhile."""
    issued = control.status(home)
    assert issued is not None
    for key in (issued.owner_key, issued.caller_key):
        canaries.also(key.partition(":")[2])
    canaries.also(_middle((home / "keys" / "private.pem").read_text()))
    assert canaries.leaks_below(home, allowed=ALLOWED) == {}
    assert canaries.leaks_below(scratch) == {}
    assert canaries.leaks((published.stdout + published.stderr).encode()) == []
    assert len(canaries.command_lines) > 5
    assert [line for line in {*canaries.command_lines, *command_lines()} if canaries.leaks(line)] == []


def test_what_may_hold_secrets_is_for_its_owner_alone(published: object, home: Path) -> None:
    request_certificate(home, "Studio One")
    for name in ALLOWED:
        path = home / name
        for file in [path] if path.is_file() else path.rglob("*"):
            if not name.startswith("keys") or file.suffix == ".pem":
                assert file.stat().st_mode & 0o077 == 0 or file.name == "c2pa-request.pem", file
        assert path.parent.stat().st_mode & 0o022 == 0
    for folder in (home / "sandbox", home / "keys", home / "logs"):
        assert folder.stat().st_mode & 0o077 == 0, folder


@pytest.fixture(scope="module")
def refusing(published: object, home: Path, tmp_path_factory: pytest.TempPathFactory, canaries: Canaries) -> Iterator[Path]:
    """Another home with the same artefacts and keys, and a sandbox whose account may not share, behind a proxy with a password."""
    folder = tmp_path_factory.mktemp("refusing")
    (folder / "store").symlink_to(home / "store")
    for name in ("keys", "evidence"):
        shutil.copytree(home / name, folder / name)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HTTPS_PROXY", canaries.environment()["HTTPS_PROXY"])
        control.up(folder, shared_enabled=False)
    yield folder
    control.down(folder)


def test_a_refused_deploy_writes_the_mail_to_send_and_no_secret(
    refusing: Path, small_job: Path, lorasmith: Run, canaries: Canaries, scratch: Path
) -> None:
    with canaries.watched():
        result = lorasmith("deploy", str(small_job), env={"LORASMITH_HOME": str(refusing)})
    assert result.returncode == 5, result.stderr
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("lorasmith: ")]
    (mail,) = (refusing / "outbox").iterdir()
    assert "refused shared mode" in line
    assert str(mail) in line
    text = mail.read_text()
    for said in ("Shared mode for serverless account sandbox-owner", "one unit each image", "hosting for pay"):
        assert said in text
    assert "= package" in result.stderr, "found, with its signature"
    assert canaries.leaks((result.stdout + result.stderr).encode()) == []
    assert canaries.leaks_below(refusing, allowed=(*ALLOWED, "store")) == {}
    assert canaries.leaks_below(scratch) == {}
    assert [line for line in canaries.command_lines if canaries.leaks(line)] == []


def test_an_app_that_prints_its_environment_leaves_no_secret(refusing: Path, tmp_path: Path, canaries: Canaries) -> None:
    """The account's secrets and the owner's key are in the runner's environment; its log is masked on its way to every file."""
    running = control.up(refusing)
    state = State(refusing / "sandbox" / "state.db")
    try:
        for name in ("PLANTED", "LORASMITH_C2PA_KEY"):
            state.put_secret(running.owner, "main", name, canaries.environment()["HF_TOKEN" if name == "PLANTED" else name])
    finally:
        state.close()
    package = tmp_path / "telltale"
    (package / "telltale").mkdir(parents=True)
    (package / "telltale" / "__init__.py").touch()
    (package / "telltale" / "app.py").write_text(TELLTALE)
    settings = TOY_SETTINGS | {"python_entry_point": "telltale.app:Telltale", "app_files": ["telltale"], "auth": "private"}
    settings = {name: value for name, value in settings.items() if name != "health_check"}
    apps = {"telltale": settings | {"secrets": ["PLANTED", "LORASMITH_C2PA_KEY"]}}
    (package / "pyproject.toml").write_text(tomli_w.dumps({"tool": {"fal": {"apps": apps}}}))
    _seal("telltale", package)
    with sandbox_target(running.env, caller_key=running.caller_key, logs=tmp_path / "logs") as platform:
        with pytest.raises(DeployFailed, match="no weights for") as failed:
            platform.deploy(package, app="telltale", environment=None)
        assert platform.secrets(None) == ["LORASMITH_C2PA_KEY", "PLANTED"]
    said = "\n".join([str(failed.value), *failed.value.tail])
    assert "environment:" in said
    assert canaries.leaks(said.encode()) == []
    assert canaries.leaks_below(refusing, allowed=(*ALLOWED, "store")) == {}
    assert canaries.leaks_below(tmp_path) == {}


def test_a_wrong_key_and_a_registry_out_of_reach_are_told_without_them(
    refusing: Path, small_job: Path, lorasmith: Run, canaries: Canaries, tmp_path: Path
) -> None:
    from urllib.parse import quote

    registry = f"postgresql+psycopg://ada:{quote(canaries.word, safe='')}@127.0.0.1:9/registry"
    result = lorasmith("status", env={"LORASMITH_HOME": str(refusing), "LORASMITH_REGISTRY": registry})
    assert result.returncode in (2, 5), result.stderr
    assert canaries.leaks((result.stdout + result.stderr).encode()) == []
    running = control.up(refusing)
    env = running.env | {"FAL_KEY": f"sandbox-0123456789abcdef:{canaries.word}"}
    with sandbox_target(env, caller_key=running.caller_key, logs=tmp_path) as platform:
        for ask in (platform.whoami, lambda: platform.alias("toy", None)):
            with pytest.raises(PlatformError) as refused:
                ask()
            assert canaries.leaks(str(refused.value).encode()) == []
    assert canaries.leaks_below(refusing / "sandbox", allowed=[name.removeprefix("sandbox/") for name in ALLOWED]) == {}
    assert canaries.leaks_below(tmp_path) == {}


def test_keys_come_from_prefects_secret_blocks_where_the_shell_has_none(
    canaries: Canaries, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from flows.cli.server import QUIET, temporary_server
    from flows.secret_blocks import BLOCKS, platform_environment, secret
    from flows.targets import open_platform

    (tmp_path / "prefect").mkdir()
    for name, value in (QUIET | {"LORASMITH_HOME": str(tmp_path), "PREFECT_HOME": str(tmp_path / "prefect")}).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PREFECT_API_URL", temporary_server())
    monkeypatch.delenv("FAL_KEY", raising=False)
    monkeypatch.setenv("LORASMITH_SMOKE_KEY", "of:the-shell")
    assert secret("FAL_KEY") is None
    from prefect.blocks.system import Secret

    Secret(value=f"sandbox-0123456789abcdef:{canaries.word}").save(BLOCKS["FAL_KEY"])
    Secret(value="of:the-block").save(BLOCKS["LORASMITH_SMOKE_KEY"])
    assert secret("FAL_KEY") == f"sandbox-0123456789abcdef:{canaries.word}"
    assert platform_environment()["LORASMITH_SMOKE_KEY"] == "of:the-shell"
    with pytest.raises(TargetRefused, match="FAL_KEY is a key of the sandbox") as refused:
        open_platform("fal")  # so the block was read; and its key goes nowhere
    assert canaries.leaks(str(refused.value).encode()) == []
    assert canaries.leaks_below(tmp_path) == {}


def _middle(pem: str) -> str:
    """A part of a private key that is in no other key."""
    return "".join(pem.splitlines()[1:-1])[24:56]
