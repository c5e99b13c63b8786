"""Whatever happened before, in whatever order: a repair leaves nothing to repair, and what was right as it was."""

from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.release import reconcile
from serving.release.differences import differences
from serving.release.errors import ReleaseError
from serving.release.registry import Registry
from serving.release.retire import lift
from tests.serving.release.memory_platform import MemoryPlatform
from tests.serving.release.reconcile_world import World, sealed


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return sealed(tmp_path_factory.mktemp("packages"))


STEPS: dict[str, Callable[[World, int], object]] = {
    "publish": lambda world, number: world.publish("abc"[number % 3]),
    "publish, killed": lambda world, number: world.killed(number, lambda: world.publish("abc"[number % 3])),
    "by hand": lambda world, number: world.by_hand("abc"[number % 3]),
    "another app": lambda world, number: world.platform.deploy(world.packages["hand"], app="hand", environment=None),
    "app deleted": lambda world, number: world.platform.delete("toy", (None, "candidate")[number % 2]),
    "auth": lambda world, number: (
        world.platform.set_auth("toy", "private", None) if ("toy", "main") in world.platform.aliases else None
    ),
    "retire": lambda world, number: world.retire(("private", "delete")[number % 2]),
    "retire, killed": lambda world, number: world.killed(number, lambda: world.retire(("private", "delete")[number % 2])),
    "lift": lambda world, number: lift("toy", registry=world.registry, target="memory", reason="again"),
    "roll back": lambda world, number: world.roll_back(),
    "roll back, killed": lambda world, number: world.killed(number, world.roll_back),
    "revision deleted": lambda world, number: delete_one(world.platform, number),
}
steps = st.lists(st.tuples(st.sampled_from(sorted(STEPS)), st.integers(1, 25)), max_size=7)


def delete_one(platform: MemoryPlatform, number: int) -> None:
    spare = sorted(platform.packages.keys() - set(platform.aliases.values()))
    if spare:
        platform.delete_revision(spare[number % len(spare)])


def right(world: World) -> Iterator[tuple[str, str, str]]:
    """(revision, auth mode, release) of what is live and right."""
    view = next((one for one in reconcile.look(world.platform, world.registry) if one.app == "toy"), None)
    if view is not None and view.live is not None and not [one for one in differences(view) if one.place == "main"]:
        assert view.main is not None
        yield view.main.revision, view.main.auth_mode, view.live["id"]


@settings(max_examples=80, deadline=None)
@given(steps=steps)
def test_after_any_past_a_repair_leaves_nothing_to_repair_and_what_was_right_as_it_was(
    packages: dict[str, Path], steps: list[tuple[str, int]]
) -> None:
    platform = MemoryPlatform()
    with closing(Registry("sqlite:///file:reconcile?mode=memory&cache=shared&uri=true")) as registry:
        world = World(platform, registry, packages)
        for step, number in steps:
            with suppress(ReleaseError, AssertionError, KeyError):  # the last two: what this platform says of what is not there
                STEPS[step](world, number)
        before, others = [*right(world)], {key: value for key, value in platform.aliases.items() if key[0] == "hand"}
        with suppress(ReleaseError):  # a revision may be broken: then what is left says so
            world.repair()
        if before:
            assert [*right(world)] == before
        assert others.items() <= platform.aliases.items()
        assert [one for one in world.seen(wake=True) if one.level in ("safe", "ask")] == []
        assert sum(row["state"] == "live" for row in registry.releases()) <= 1
        registry.verify_journal()
