"""Publishes of packages of one line of text to a platform in memory, and what must hold after each."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from serving.release.deploy import publish_package
from serving.release.package import _package_hash
from serving.release.registry import Registry, Row
from serving.release.smoke import SmokePlan
from tests.serving.release.memory_platform import MemoryPlatform

CONTENTS = {_package_hash({"content.txt": hashlib.sha256(name.encode()).hexdigest()}): name for name in "abc"}
PLAN = SmokePlan(arguments=[{"prompt": "a red fox"}])


def publish(package: Path, platform: MemoryPlatform, registry: Registry, lines: list[str] | None = None, **named: Any) -> Row:
    progress = (lines if lines is not None else []).append
    return publish_package(
        package, platform=platform, registry=registry, verdict_hash="v" * 64, smoke=PLAN, progress=progress, **named
    )


def states(registry: Registry) -> dict[str, str]:
    return {CONTENTS[row["package"]]: row["state"] for row in registry.releases()}


@contextmanager
def memory_registry(name: str) -> Iterator[Registry]:
    """A registry that never touches the disk: the tables of failures open hundreds."""
    registry = Registry(f"sqlite:///file:{name}?mode=memory&cache=shared&uri=true")
    try:
        yield registry
    finally:
        registry.close()


def revive(platform: MemoryPlatform) -> None:
    platform.on_call = lambda number, verb, when: None


def check_one_live(platform: MemoryPlatform, registry: Registry, package: str) -> None:
    live = [row for row in registry.releases() if row["state"] == "live"]
    assert [CONTENTS[row["package"]] for row in live] == [package]
    assert platform.aliases["toy", "main"] == live[0]["revision"]
    assert platform.on_main("toy") == package
    assert not [row for row in registry.releases() if row["state"] in ("intent", "candidate")]
    registry.verify_journal()
