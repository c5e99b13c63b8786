"""The calls that the contract tests make: each command of the `fal` CLI, each call of `fal.api` and `fal_client` that is emulated.

They run in this order in one process against one sandbox, since the import of the SDK takes longer than most of them.
"""

import json
import os
import re
import runpy
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

OWNER = "sandbox-owner"
LARGE = (10 << 20) + 1  # bytes: from 10 MiB on the SDK uploads in parts
WAIT_SECONDS = 30.0

Values = dict[str, str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Call:
    """One call. `cli` are the words after `fal`, with {names} from earlier calls; else `python` gives the output itself.

    code: exit status. says: what the output holds. keep: takes names for later calls from it.
    """

    name: str
    cli: str = ""
    python: Callable[[Values], Any] | None = None
    code: int = 0
    says: tuple[str, ...] = ()
    keep: Callable[[str, Values], None] = field(default=lambda output, values: None)


def last_json(output: str) -> Any:
    """What a command with --json says, whose last line is the JSON."""
    return json.loads(output.strip().splitlines()[-1])


def cli(words: str, *says: str, code: int = 0, keep: Callable[[str, Values], None] | None = None, name: str = "") -> Call:
    """A command under its own words, without what is another each time."""
    kept = keep or (lambda output, values: None)
    return Call(name=f"fal {name or words}", cli=words, code=code, says=says, keep=kept)


def api(name: str, python: Callable[[Any, Values], Any], *says: str) -> Call:
    """A call of fal.api's client."""

    def run(values: Values) -> Any:
        from fal.api import SyncServerlessClient

        return python(SyncServerlessClient(), values)

    return Call(name=f"fal.api {name}", python=run, says=says)


def client(name: str, python: Callable[[Any, Values], Any], *says: str) -> Call:
    """A call of fal_client, with the key of somebody else than the owner."""

    def run(values: Values) -> Any:
        import fal_client

        return python(fal_client.SyncClient(key=values["caller_key"]), values)

    return Call(name=f"fal_client {name}", python=run, says=says)


def _revision(name: str) -> Callable[[str, Values], None]:
    def keep(output: str, values: Values) -> None:
        values[name] = last_json(output)["revision"]

    return keep


def _runner(output: str, values: Values) -> None:
    runners = last_json(output)["runners"]
    values["runner"] = next(item["runner_id"] for item in runners if item["alias"] == "toy" and item["state"] == "IDLE")


def _key(output: str, values: Values) -> None:
    values["key"] = output.rsplit("FAL_KEY='", 1)[1].split(":")[0]


def _run_app(values: Values) -> str:
    """`fal run` of an app until it has answered a request at the address that it prints; then Ctrl-C, as its users end it."""
    from .driver import Shown, run_cli

    shown, answers = Shown(), []

    def ask() -> None:
        deadline = time.monotonic() + WAIT_SECONDS
        while time.monotonic() < deadline and not (
            found := re.search(rf"Sync\s+(https://\S+/{OWNER}/toy-\S+/)\s", shown.getvalue())
        ):
            time.sleep(0.05)
        if found:
            answers.append(httpx.post(found[1], json={"prompt": "once", "images": 0}, timeout=WAIT_SECONDS).json()["version"])
            values["ephemeral"] = found[1]
        os.kill(os.getpid(), signal.SIGINT)

    asking = threading.Thread(target=ask)
    asking.start()
    code = run_cli(["run", "toy_app.py::Toy"], shown)
    asking.join()
    return f"{shown.getvalue()}\nexit {code}, answered {answers}"


def _connected(values: Values) -> str:
    """An app that runs while it is connected to, with a client that is typed as its class is."""
    from fal.app import AppClient

    names = runpy.run_path("toy_app.py")
    with AppClient.connect(names["Toy"]) as connected:
        return f"answered by {connected.generate(names['Asked'](prompt='typed', images=0)).version}"


def _gone(values: Values) -> int:
    """What the address of an ended run answers, once its caller's leave has arrived."""
    deadline = time.monotonic() + WAIT_SECONDS
    while (status := httpx.post(values["ephemeral"], json={}).status_code) != 401 and time.monotonic() < deadline:
        time.sleep(0.05)
    return status


def _read_only(values: Values) -> str:
    """A deploy with a key that may only read, which is made and revoked here."""
    from fal.api import SyncServerlessClient

    from .driver import Shown, run_cli

    owner, shown, own_key = SyncServerlessClient(api_key=os.environ["FAL_KEY"]), Shown(), os.environ["FAL_KEY"]
    key_id, secret = owner.keys.create(preset=_preset("READONLY"))
    os.environ["FAL_KEY"] = f"{key_id}:{secret}"
    try:
        code = run_cli(["deploy", "toy_app.py::Toy"], shown)
    finally:
        os.environ["FAL_KEY"] = own_key
        owner.keys.revoke(key_id)
    return f"{shown.getvalue()}\nexit {code}"


def _queued(client: Any, values: Values) -> Any:
    handle = client.submit(f"{OWNER}/toy", {"prompt": "queued", "images": 0})
    states = [type(state).__name__ for state in handle.iter_events(with_logs=True)]
    return [states[-1], handle.get()["version"]]


def _with_webhook(client: Any, values: Values) -> Any:
    """Nobody listens at that port: what is told there is another test's."""
    handle = client.submit(f"{OWNER}/toy", {"prompt": "hooked", "images": 0}, webhook_url="https://127.0.0.1:9/")
    return ["given back", handle.get()["version"]]


def _cancelled(client: Any, values: Values) -> Any:
    import fal_client

    handle = client.submit(f"{OWNER}/toy", {"prompt": "gone", "images": 0}, priority="low", hint="x", start_timeout=60)
    handle.get()
    try:
        handle.cancel()
    except fal_client.FalClientHTTPError as error:
        return [error.status_code, error.message]
    return "cancelled"


def _deployed(client: Any, values: Values) -> Any:
    done = client.deploy(
        "toy_app.py::Toy", app_name="apid", strategy="recreate", auth="private", message="by the API", annotations={"a": "b"}
    )
    values["apid"] = done.revision
    return [done.app_name, done.auth_mode, done.urls["sync"]["/"]]


CALLS: tuple[Call, ...] = (
    cli("auth whoami", f"Hello, {OWNER} (sandbox): '{OWNER}'"),
    cli("auth logout", "You're not logged in"),
    cli("teams list", "You must be authenticated", code=1),
    cli("environments create staging --description 'a try'", "Created environment 'staging'", name="environments create"),
    cli("environments list --json", '"name": "main"', '"description": "a try"'),
    cli("secrets set TOKEN=planted-secret", name="secrets set"),
    cli("secrets set OTHER=planted-other --env staging --not-exposed-by-default", name="secrets set --env"),
    cli("secrets list --json", '"name": "TOKEN"', '"default_exposed": true'),
    cli("secrets list --env staging", "OTHER", "no"),
    cli("secrets unset TOKEN"),
    cli("deploy toy_app.py::Toy --json", "setup of pickled", '"status": "deployed"', keep=_revision("first")),
    cli(
        "deploy toy_app.py::Toy --check --yes --strategy recreate --reset-scale --message tried --annotation BY=test",
        "Deployed successfully",
        name="deploy --check --strategy recreate --reset-scale --message --annotation",
    ),
    cli("deploy boxed --env staging --strategy recreate --json", '"app_name": "boxed"', keep=_revision("staged")),
    cli("apps set-rev toy {first} --strategy rolling --auth shared", "shared", name="apps set-rev"),
    cli("deploy toy_app.py::Toy --detach --json", '"status": "rolling_out"', keep=_revision("second")),
    cli("apps list --json", '"alias": "toy"', '"auth_mode": "shared"'),
    cli("apps list --env staging", "boxed", "staging"),
    cli("apps list-rev toy", "{first}", "{second}"),
    cli("apps scale toy --keep-alive 70 --max-concurrency 2 --request-timeout 50 --machine-types S L", "70", name="apps scale"),
    cli("apps rollout toy", "Rolled out application toy"),
    cli("apps rollout toy --force", "Rolled out application toy"),
    cli("apps runners toy --since 1h --json", '"state": ', '"alias": "toy"', name="apps runners"),
    cli("apps gpus toy --json", '"total": '),
    cli("queue size toy --by-user --json", '{{"size": 0'),
    cli("queue flush toy --caller-user-id nobody", "Queue flushed successfully."),
    client("run", lambda c, values: c.run(f"{OWNER}/toy", {"prompt": "direct", "images": 0})["version"], "pickled"),
    client("submit, status, result", _queued, "Completed", "pickled"),
    client("submit with a webhook", _with_webhook, "given back"),
    client(
        "stream",
        lambda c, values: list(c.stream(f"{OWNER}/toy", {"prompt": "s", "images": 2})),
        "[{{'number': 0}}, {{'number': 1}}]",
    ),
    client("submit, cancel", _cancelled, "400"),
    cli("runners list --since 1h --json", '"alias": "toy"', name="runners list", keep=_runner),
    cli("runners gpus --json", '"total": '),
    cli("runners logs {runner} --json", "setup of pickled", name="runners logs"),
    cli("runners logs {runner} --follow", "logs are not followed by the sandbox", code=1, name="runners logs --follow"),
    cli("runners exec {runner} -- ls", "ShellRunner is not part of the sandbox", code=1, name="runners exec"),
    cli("runners stop {runner}", name="runners stop"),
    cli("runners kill 00000000", "runner '00000000' not found", code=1, name="runners kill"),
    cli("files upload small.txt kept/small.txt", name="files upload"),
    cli("files upload large.bin /data/large.bin", name="files upload (in parts)"),
    cli("files upload-url {address}/sandbox.json fetched.json", name="files upload-url"),
    cli("files list /data", "kept", "large.bin", "fetched.json", name="files list"),
    cli("files mv kept/small.txt moved.txt", name="files mv"),
    cli("files download moved.txt back.txt", name="files download"),
    cli("files rm large.bin", name="files rm"),
    cli("keys create --preset API --desc 'for a test'", "FAL_KEY='sandbox-", keep=_key, name="keys create --preset"),
    cli("keys create --permission serverless:apps:run", "issues keys by preset only", code=1),
    cli("keys list --json", '"scope": "ADMIN"', '"description": "for a test"'),
    cli("keys revoke {key}", name="keys revoke"),
    cli("keys revoke {key}", "not found", code=1, name="keys revoke (again)"),
    Call(
        name="fal deploy (with a key of preset READONLY)",
        python=_read_only,
        says=("a key of preset READONLY lacks the right 'deploy'; use one of: FULL, DEPLOY, SERVERLESS", "exit 1"),
    ),
    cli("run toy_function.py::answer", "asked once", name="run (a function)"),
    Call(
        name="fal run (an app)",
        python=_run_app,
        says=("Ephemeral App (public)", "Running...", "Aborted.", "answered ['pickled']"),
    ),
    Call(name="fal.app AppClient.connect", python=_connected, says=("answered by pickled",)),
    Call(name="request after fal run", python=_gone, says=("401",)),
    api("deploy", _deployed, "apid", "private"),
    api("apps.list", lambda c, values: [item.alias for item in c.apps.list(filter="apid")], "apid"),
    api("apps.scale", lambda c, values: c.apps.scale("apid", keep_alive=5, request_start_timeout=9).request_start_timeout, "9"),
    api("apps.runners", lambda c, values: c.apps.runners("apid"), "[]"),
    api("runners.list", lambda c, values: len(c.runners.list())),
    api("keys", lambda c, values: [c.keys.revoke(c.keys.create(preset=_preset("DEPLOY"))[0]), len(c.keys.list())], "1"),
    api("secrets", lambda c, values: [c.secrets.set("A", "planted"), c.secrets.list()[0].name, c.secrets.unset("A")], "A"),
    api("environments", lambda c, values: [c.environments.create("two").name, c.environments.delete("two")], "two"),
    cli("apps delete-rev {apid}", "is live; delete or repoint its app first", code=1, name="apps delete-rev (live)"),
    cli("apps delete apid", "Application 'apid' deleted", name="apps delete"),
    cli("apps delete-rev {apid}", name="apps delete-rev"),
    cli("apps delete apid", "Application 'apid' not found", name="apps delete (again)"),
    cli("apps delete boxed --env staging", "deleted ({staged})", name="apps delete --env"),
    cli("environments delete staging --yes", "Deleted environment 'staging'", name="environments delete"),
)


def _preset(name: str) -> Any:
    from fal.sdk import KeyPreset

    return KeyPreset(name)


def prepare(folder: Path) -> None:
    """Files that the calls name, beside the apps."""
    (folder / "small.txt").write_text("small")
    (folder / "large.bin").write_bytes(b"\0" * LARGE)
