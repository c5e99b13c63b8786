"""The boundaries of a deploy on the real sandbox, with the real SDK in the worker, while a caller goes on calling what is live."""

import json
import shutil
import sqlite3
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import httpx
import tomli_w

from serving.release.deploy import publish_package
from serving.release.package import _seal
from serving.release.platform import FalPlatform
from serving.release.registry import Registry, sqlite_url
from serving.release.smoke import SmokePlan, running_package
from serving.release.target import sandbox_target
from serving.sandbox import control
from serving.sandbox.control import Running
from tests.failpoints.effects import Effects, Strike, watch_registry, watched
from tests.serving.release.conftest import TOY_SETTINGS, TOY_SOURCE

SMOKE = SmokePlan(arguments=[{"prompt": "a red fox"}], images=1)
LIVE = "registry: retired, live main and probation and former"
BOUNDARIES: dict[str, Strike] = {
    "before the intent": ("registry: intent", "before"),
    "after the intent": ("registry: intent", "after"),
    "during the upload": ("platform: deploy candidate", "uploaded"),
    "after the candidate is registered": ("platform: deploy candidate", "registered"),
    "before the smoke test": ("platform: ask candidate for health", "before"),
    "before the promotion": ("platform: deploy main", "before"),
    "during the promotion": ("platform: deploy main", "registered"),
    "before it is recorded": (LIVE, "before"),
    "after it is recorded": (LIVE, "after"),
}


class OnSandbox:
    """`a` is live on the sandbox of `home`, `b` is published."""

    asking = True

    def prepare(self, home: Path) -> None:
        with opened(home) as (platform, registry):
            publish(home, "a", platform, registry)

    def run(self, home: Path, effects: Effects) -> None:
        watch_registry(effects)
        effects.midway = {"uploaded": lambda: grown(lambda: uploads(home)), "registered": lambda: grown(lambda: revisions(home))}
        with opened(home) as (platform, registry):
            publish(home, "b", watched(platform, effects), registry)

    def struck(self, home: Path) -> str:
        with closing(Registry(sqlite_url(home))) as registry:
            registry.verify_journal()
            states = {row["evidence"].get("name", row["id"][:4]): row["state"] for row in registry.releases()}
            live = [row for row in registry.releases() if row["state"] == "live"]
            unfinished = [row["state"] for row in registry.releases() if row["state"] in ("intent", "candidate")]
        assert len(live) == 1, states
        return f"{'a' if live[0]['package'] == package_hash(home, 'a') else 'b'} is live" + "".join(
            f"; b {state}" for state in unfinished
        )

    def ended(self, home: Path) -> str:
        with opened(home) as (platform, registry):
            registry.verify_journal()
            (live,) = (row for row in registry.releases() if row["state"] == "live")
            assert [row["state"] for row in registry.releases()] == ["retired", "live"]
            found = platform.alias("toy", None)
            assert found is not None
            assert (live["package"], live["revision"]) == (package_hash(home, "b"), found.revision)
            assert running_package(platform, app="toy", environment=None) == live["package"]
            recorded = {line["row"][column] for line in registry.journal() for column in ("candidate_revision", "revision")}
            for environment in (None, "candidate"):
                there = {each.revision for each in platform.revisions("toy", environment)}
                assert there <= recorded, f"nobody knows of {there - recorded} in {environment or 'main'}"
        return "b is live"


@contextmanager
def calling(running: Running) -> Iterator[list[int]]:
    """Statuses of a caller who asks main all the time; the list grows."""
    statuses: list[int] = []
    over = threading.Event()
    trust = ssl.create_default_context(cafile=str(running.ca_file))
    headers = {"Authorization": f"Key {running.caller_key}"}

    def call() -> None:
        with httpx.Client(verify=trust, headers=headers, timeout=60, trust_env=False) as client:
            while not over.is_set():
                reply = client.post(f"https://{running.address}/{running.owner}/toy", json={"prompt": "a red fox"})
                statuses.append(reply.status_code)
                over.wait(0.1)

    thread = threading.Thread(target=call, name="caller")
    thread.start()
    try:
        yield statuses
    finally:
        over.set()
        thread.join(70)


@contextmanager
def opened(home: Path) -> Iterator[tuple[FalPlatform, Registry]]:
    running = control.status(home)
    assert running is not None
    platform = sandbox_target(running.env, caller_key=running.caller_key, logs=home / "logs")
    with platform, closing(Registry(sqlite_url(home))) as registry:
        yield platform, registry


def publish(home: Path, name: str, platform: FalPlatform, registry: Registry) -> None:
    publish_package(package(home, name), platform=platform, registry=registry, verdict_hash="v", smoke=SMOKE, progress=print)


def package(home: Path, name: str) -> Path:
    folder = home / f"toy-{name}"
    if not folder.exists():
        (folder / "lora_app").mkdir(parents=True)
        (folder / "lora_app" / "__init__.py").touch()
        shutil.copyfile(TOY_SOURCE, folder / "lora_app" / "app.py")
        (folder / "toy.json").write_text(json.dumps({"name": name, "inline": True}))
        (folder / "pyproject.toml").write_text(tomli_w.dumps({"tool": {"fal": {"apps": {"toy": TOY_SETTINGS}}}}))
        _seal("toy", folder)
    return folder


def package_hash(home: Path, name: str) -> str:
    return str(json.loads((home / f"toy-{name}" / "package.json").read_text())["hash"])


def grown(count: Callable[[], int]) -> Callable[[], bool]:
    """Whether there is more than there is now."""
    before = count()
    return lambda: count() > before


def uploads(home: Path) -> int:
    return len(list((home / "sandbox" / "files").iterdir()))


def revisions(home: Path) -> int:
    with closing(sqlite3.connect(f"file:{home / 'sandbox' / 'state.db'}?mode=ro", uri=True)) as state:
        return int(state.execute("SELECT count(*) FROM revisions").fetchone()[0])
