"""One app that anything can happen to, by this program and behind its back, and what a look at it says."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from serving.release import reconcile
from serving.release.deploy import publish_package
from serving.release.differences import Difference, differences
from serving.release.package import _seal
from serving.release.registry import Registry, Row
from serving.release.retire import retire
from serving.release.rollback import roll_back
from serving.release.smoke import SmokePlan
from tests.serving.release.memory_platform import MemoryPlatform, PowerCut, When

PLAN = SmokePlan(arguments=[{"prompt": "a red fox"}])


def quiet(line: str) -> None:
    pass


def sealed(folder: Path) -> dict[str, Path]:
    """Sealed packages of the app `toy`, and one of the app `hand`."""
    made = {name: folder / name for name in ("a", "b", "c", "hand")}
    for name, path in made.items():
        path.mkdir()
        (path / "content.txt").write_text(name)
        _seal("hand" if name == "hand" else "toy", path)
    return made


class World:
    """What can happen to one app, by this program and behind its back."""

    def __init__(self, platform: MemoryPlatform, registry: Registry, packages: dict[str, Path]) -> None:
        self.platform, self.registry, self.packages = platform, registry, packages

    def publish(self, name: str) -> Row:
        return publish_package(
            self.packages[name],
            platform=self.platform,
            registry=self.registry,
            verdict_hash="v",
            smoke=PLAN,
            again=True,
            progress=quiet,
        )

    def killed(self, number: int, action: Callable[[], object]) -> None:
        """The action, dead from its `number`-th word to the platform on."""

        def check(called: int, verb: str, when: When) -> None:
            if called >= number and (called > number or when == "after"):
                raise PowerCut(verb)

        self.platform.calls, self.platform.on_call = 0, check
        try:
            with suppress(PowerCut):
                action()
        finally:
            self.platform.on_call = lambda called, verb, when: None

    def by_hand(self, name: str) -> None:
        self.platform.deploy(self.packages[name], app="toy", environment=None)

    def retire(self, mode: Any = "private") -> Row:
        return retire("toy", platform=self.platform, registry=self.registry, reason="takedown", mode=mode, progress=quiet)

    def roll_back(self) -> Row:
        return roll_back("toy", platform=self.platform, registry=self.registry, reason="worse", progress=quiet)

    def seen(self, *, wake: bool = False) -> list[Difference]:
        return [one for view in reconcile.look(self.platform, self.registry, wake=wake) for one in differences(view)]

    def kinds(self, **named: Any) -> list[tuple[str, str, str]]:
        return [(one.kind, one.place, one.level) for one in self.seen(**named) if one.level != "notice"]

    def repair(self, app: str = "toy", *, safe_only: bool = False) -> list[str]:
        def agreed(one: Difference) -> bool:
            return one.level == "safe" or not safe_only

        done, _ = reconcile.repair(self.platform, self.registry, app, agreed=agreed, wake=True, progress=quiet)
        return [one.kind for one in done]
