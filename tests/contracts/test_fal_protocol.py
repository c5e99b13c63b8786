"""The unmodified `fal` CLI, `fal.api` and `fal_client` against the sandbox, each in a process of its own."""

import json
import os
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from serving.sandbox import control
from serving.sandbox.control import Running

SOURCE = Path(__file__).with_name("toy_app.py")
FAL = str(Path(sys.executable).with_name("fal"))
TOML = """
[tool.fal.apps.{name}]
python_entry_point = "toy_app:Toy"
auth = "shared"
requirements = {requirements}
machine_type = "GPU-H100"
keep_alive = 60
max_multiplexing = 2
app_files = ["toy_app.py", "settings.json"]

[tool.fal.apps.{name}.health_check]
path = "/health"
method = "POST"
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("contracts")


@pytest.fixture(scope="module")
def sandbox(home: Path) -> Iterator[Running]:
    yield control.up(home)
    control.down(home)


@pytest.fixture(scope="module")
def pickled(sandbox: Running, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What `fal deploy file.py::Class --json` says in the end."""
    folder = tmp_path_factory.mktemp("pickled")
    shutil.copy(SOURCE, folder)
    done = run([FAL, "deploy", "toy_app.py::Toy", "--json"], sandbox.env, cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "setup of pickled" in done.stdout
    answer: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return answer


@pytest.fixture(scope="module")
def managed(sandbox: Running, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A package deployed by the SDK to an environment and to main, again, and set back."""
    folder = package(tmp_path_factory.mktemp("boxed"), "boxed", {"version": "first"})
    script = """
        from pathlib import Path
        from fal.api import SyncServerlessClient
        from fal.sdk import FalServerlessClient, get_credentials
        import fal.flags
        client = SyncServerlessClient()
        connection = FalServerlessClient(fal.flags.GRPC_HOST, get_credentials()).connect()
        client.environments.create("candidate")
        candidate = client.deploy("boxed", environment_name="candidate")
        first = client.deploy("boxed")
        Path("settings.json").write_text('{"version": "second"}')
        second = client.deploy("boxed", message="again", annotations={"package": "abc"})
        listed = [item.application_id for item in connection.list_applications("boxed")]
        live = {item.alias: item.revision for item in connection.list_aliases()}
        staged = {item.alias: item.revision for item in connection.list_aliases(environment_name="candidate")}
        back = connection.create_alias("boxed", first.revision, None, deployment_strategy="rolling")
        apps = [[item.alias, item.auth_mode, item.max_multiplexing] for item in client.apps.list() if item.alias == "boxed"]
        environments = [item.name for item in client.environments.list()]
        answer = {
            "candidate": candidate.revision, "first": first.revision, "second": second.revision, "urls": first.urls,
            "listed": listed, "live": live, "staged": staged, "back": [back.alias, back.revision, back.auth_mode],
            "apps": apps, "environments": environments,
        }
    """
    answer: dict[str, Any] = python(script, sandbox.env, cwd=folder)
    return answer


def test_the_cli_deploys_a_pickled_app(pickled: dict[str, Any]) -> None:
    assert (pickled["app_name"], pickled["status"]) == ("toy", "deployed")
    assert pickled["revision"]


def test_the_sdk_deploys_an_entry_point_with_environments_and_revisions(managed: dict[str, Any], sandbox: Running) -> None:
    m = managed
    assert len({m["candidate"], m["first"], m["second"]}) == 3
    assert m["listed"] == [m["second"], m["first"]]
    assert m["live"]["boxed"] == m["second"]
    assert m["staged"]["boxed--candidate"] == m["candidate"]
    assert m["back"] == ["boxed", m["first"], "shared"]
    assert m["apps"] == [["boxed", "shared", 2]]
    assert m["environments"] == ["main", "candidate"]
    assert m["urls"]["sync"]["/"] == f"https://{sandbox.address}/{sandbox.owner}/boxed/"


def test_the_client_calls_as_somebody_else_and_every_request_is_in_the_ledger(
    pickled: dict[str, Any], managed: dict[str, Any], sandbox: Running, home: Path
) -> None:
    script = """
        import httpx, fal_client
        seen, units = [], []
        client = fal_client.SyncClient()
        client._client.event_hooks["response"].append(lambda reply: units.append(reply.headers.get("x-fal-billable-units")))
        subscribed = client.subscribe(f"{owner}/toy", {"prompt": "cat", "images": 2}, with_logs=True, on_queue_update=seen.append)
        ran = client.run(f"{owner}/boxed", {"prompt": "dog", "images": 3})
        staged = client.run(f"{owner}/boxed--candidate", {"prompt": "owl"})
        handle = client.submit(f"{owner}/boxed", {"prompt": "fox"})
        fetched = handle.get()
        pictures = [httpx.get(picture["url"]).text for picture in subscribed["pictures"]]
        try:
            client.run(f"{owner}/toy", {"prompt": "bad"})
        except fal_client.FalClientHTTPError as error:
            refused = [error.status_code, error.response_headers.get("x-fal-billable-units"), error.message]
        logs = [line["message"] for line in seen[-1].logs]
        answer = dict(subscribed=subscribed, ran=ran["version"], staged=staged["version"], fetched=fetched["version"], units=units,
                      pictures=pictures, refused=refused, logs=logs, last=type(seen[-1]).__name__)
    """
    known = len(control.ledger(home))
    answer = python(f"owner = {sandbox.owner!r}\n" + textwrap.dedent(script), sandbox.env | {"FAL_KEY": sandbox.caller_key})
    assert (answer["ran"], answer["staged"], answer["fetched"]) == ("first", "first", "first")
    assert answer["pictures"] == ["cat 0", "cat 1"]
    assert answer["refused"] == [422, "0", "no such thing"]
    assert answer["last"] == "Completed"
    assert "generating cat" in answer["logs"]
    assert answer["subscribed"]["caller"]
    assert [units for units in answer["units"] if units] == ["2", "3", "1", "1", "0"]
    rows = control.ledger(home)[known:]
    assert [(row["app"], row["environment"], row["units"], row["status"]) for row in rows] == [
        ("toy", "main", "2", 200),
        ("boxed", "main", "3", 200),
        ("boxed", "candidate", "1", 200),
        ("boxed", "main", "1", 200),
        ("toy", "main", "0", 422),
    ]
    assert {row["caller"] for row in rows} == {"sandbox-caller"}
    assert [row["revision"] for row in rows] == [
        *(pickled["revision"], managed["first"], managed["candidate"], managed["first"], pickled["revision"])
    ]


def test_the_openapi_of_an_entry_point_is_kept_for_who_may_call_it(managed: dict[str, Any], sandbox: Running) -> None:
    script = f"""
        import httpx
        address = "https://{sandbox.address}/openapi/{sandbox.owner}/boxed.json"
        with_key = httpx.get(address, headers={{"Authorization": "Key {sandbox.caller_key}"}})
        answer = with_key.json(), httpx.get(address).status_code
    """
    shown, without_key = python(script, sandbox.env)
    assert shown["components"]["schemas"]["Asked"]["properties"]["images"]["default"] == 1
    assert without_key in (401, 404)


def test_a_failing_setup_is_the_sdks_error_and_the_old_revision_answers(
    managed: dict[str, Any], sandbox: Running, tmp_path: Path
) -> None:
    folder = package(tmp_path, "boxed", {"version": "third", "fault": "weights are missing"})
    script = f"""
        import fal_client
        from fal.api import SyncServerlessClient
        try:
            SyncServerlessClient().deploy("boxed")
        except Exception as error:
            failure = [type(error).__name__, str(error)]
        answer = dict(failure=failure, live=fal_client.run("{sandbox.owner}/boxed", {{"prompt": "x"}})["version"])
    """
    answer = python(script, sandbox.env, cwd=folder)
    assert answer["failure"][0] == "FalServerlessError"
    assert "setup failed: RuntimeError: weights are missing" in answer["failure"][1].splitlines()[0]
    assert answer["live"] == "first"


@pytest.mark.parametrize(
    ("what", "requirements", "env", "said"),
    [
        ("wrong key", ["fal"], {"FAL_KEY": "sandbox-00:00"}, "Invalid key: the sandbox accepts only keys that it issued."),
        ("missing requirement", ["fal", "no-such-package-of-ours"], {}, "no-such-package-of-ours is not installed"),
    ],
)
def test_the_cli_ends_with_one_line(
    sandbox: Running, tmp_path: Path, what: str, requirements: list[str], env: dict[str, str], said: str
) -> None:
    folder = package(tmp_path, "refused", {"version": what}, requirements=requirements)
    done = run([FAL, "deploy", "refused"], sandbox.env | env, cwd=folder)
    assert done.returncode == 1
    assert said in " ".join((done.stdout + done.stderr).split())
    assert "Traceback" not in done.stdout + done.stderr


def test_shared_mode_that_is_not_enabled_reads_as_such_in_the_sdk(tmp_path: Path) -> None:
    shutil.copy(SOURCE, tmp_path)
    running = control.up(tmp_path / "home", shared_enabled=False)
    script = """
        from fal.api import SyncServerlessClient
        try:
            SyncServerlessClient().deploy("toy_app.py::Toy")
        except Exception as error:
            answer = [type(error).__name__, str(error)]
    """
    try:
        name, message = python(script, running.env, cwd=tmp_path)
    finally:
        control.down(tmp_path / "home")
    assert name == "FalServerlessError"
    assert "auth mode 'shared' is not enabled for account" in message


def package(folder: Path, name: str, settings: Mapping[str, Any], *, requirements: list[str] | None = None) -> Path:
    """A folder as a release makes it."""
    folder.mkdir(exist_ok=True)
    shutil.copy(SOURCE, folder)
    (folder / "settings.json").write_text(json.dumps(settings))
    (folder / "pyproject.toml").write_text(TOML.format(name=name, requirements=json.dumps(requirements or ["fal", "pydantic"])))
    return folder


def python(script: str, env: Mapping[str, str], *, cwd: Path | None = None) -> Any:
    """Runs a script in a process with the sandbox's environment; its `answer` comes back as JSON."""
    code = textwrap.dedent(script) + "\nimport json; print('\\n' + json.dumps(answer, default=str))"
    done = run([sys.executable, "-c", code], env, cwd=cwd)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout.strip().splitlines()[-1])


def run(command: list[str], env: Mapping[str, str], *, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    base = {name: value for name, value in os.environ.items() if not name.startswith("FAL_")}
    return subprocess.run(command, env=base | dict(env), cwd=cwd, capture_output=True, text=True, timeout=100, check=False)
