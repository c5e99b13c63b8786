"""A deploy that is refused, hit by an error at any call, or killed: the old release stays, and the next run goes on."""

import itertools
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from serving.release.errors import (
    DeployFailed,
    PlatformUnreachable,
    ReleaseError,
    SharedRefused,
    SmokeFailed,
)
from serving.release.registry import Registry
from tests.serving.release.conftest import MakePackage
from tests.serving.release.memory_platform import MemoryPlatform, PowerCut, When
from tests.serving.release.publishing import check_one_live, memory_registry, publish, revive, states


def fail_at(platform: MemoryPlatform, number: int, when: When, error: type[BaseException]) -> None:
    def check(called: int, verb: str, moment: When) -> None:
        if (called, moment) == (number, when):
            raise error(f"{verb} {number} {when}")

    platform.calls = 0
    platform.on_call = check


def points(make_package: MakePackage, folder: Path) -> list[tuple[int, When]]:
    """Where a second publish can be hit: before each of its calls, and after each that changes the platform."""
    platform, found = MemoryPlatform(), list[tuple[int, When]]()
    with memory_registry("points") as registry:
        publish(make_package("a"), platform, registry)

        def record(number: int, verb: str, when: When) -> None:
            if when == "before" or verb in ("deploy", "set_revision"):
                found.append((number, when))

        platform.calls, platform.on_call = 0, record
        publish(make_package("b"), platform, registry)
    return found


@pytest.mark.parametrize("error", [DeployFailed, SharedRefused])
@pytest.mark.parametrize("number", [1, 2])
def test_a_refused_deploy_ends_the_release_and_not_the_old_one(
    make_package: MakePackage, registry: Registry, error: type[ReleaseError], number: int
) -> None:
    platform = MemoryPlatform()
    publish(make_package("a"), platform, registry)
    deploys = itertools.count(1)

    def refuse(called: int, verb: str, when: When) -> None:
        if verb == "deploy" and when == "before" and next(deploys) == number:
            raise error("setup() failed")

    platform.on_call = refuse
    with pytest.raises(error):
        publish(make_package("b"), platform, registry)
    assert states(registry) == {"a": "live", "b": "failed"}
    assert platform.on_main("toy") == "a"


@pytest.mark.parametrize("first", [True, False], ids=["first release", "second release"])
def test_an_error_at_any_call_leaves_the_old_release_and_the_next_run_goes_on(
    make_package: MakePackage, tmp_path: Path, first: bool
) -> None:
    for number, when in points(make_package, tmp_path):
        with memory_registry(f"error-{number}-{when}") as registry:
            platform = MemoryPlatform()
            if not first:
                publish(make_package("a"), platform, registry)
            fail_at(platform, number, when, PlatformUnreachable)
            if ends(partial(publish, make_package("b"), platform, registry), PlatformUnreachable):
                assert states(registry).get("b") != "live", f"call {number} {when}"
                assert first or (states(registry)["a"], platform.on_main("toy")) == ("live", "a"), f"call {number} {when}"
            else:
                assert states(registry)["b"] == "live", f"call {number} {when} is one of taking the candidate's name away"
            revive(platform)
            publish(make_package("b"), platform, registry)
            check_one_live(platform, registry, "b")


def ends(deploy: Callable[[], Any], error: type[Exception]) -> bool:
    """Whether the deploy ended with this error; what stops only the tidying up after it does not."""
    try:
        deploy()
    except error:
        return True
    return False


def test_a_deploy_that_was_given_up_leaves_no_revision_that_nobody_knows_of(make_package: MakePackage, registry: Registry) -> None:
    platform = MemoryPlatform()
    publish(make_package("a"), platform, registry)
    deploys = itertools.count(1)

    def die(called: int, verb: str, when: When) -> None:
        if verb == "deploy" and when == "after" and next(deploys) == 1:
            raise PowerCut("after the candidate was deployed")

    platform.on_call = die
    with pytest.raises(PowerCut):
        publish(make_package("b"), platform, registry)
    revive(platform)
    publish(make_package("c"), platform, registry)
    (given_up,) = (row for row in registry.releases() if row["state"] == "failed")
    assert given_up["evidence"]["left_behind"] == {"candidate": "revision-3"}


def test_a_failure_on_main_that_was_found_before_the_power_went_is_not_tried_again(
    make_package: MakePackage, registry: Registry
) -> None:
    platform = MemoryPlatform()
    publish(make_package("a"), platform, registry)
    platform.broken["b", "main"] = {"units": "9"}

    def die(called: int, verb: str, when: When) -> None:
        if verb == "set_revision":
            raise PowerCut("before main was set back")

    platform.on_call = die
    with pytest.raises(PowerCut):
        publish(make_package("b"), platform, registry)
    revive(platform)
    deploys = len(platform.deploys)
    with pytest.raises(SmokeFailed, match=r"billed '9' units.*found by an earlier run"):
        publish(make_package("b"), platform, registry)
    assert len(platform.deploys) == deploys
    assert states(registry) == {"a": "live", "b": "failed"}
    assert platform.on_main("toy") == "a"


def test_main_is_set_back_by_the_next_run_when_it_could_not_be_at_once(make_package: MakePackage, registry: Registry) -> None:
    platform = MemoryPlatform()
    publish(make_package("a"), platform, registry)
    platform.broken["b", "main"] = {"units": "9"}

    def no_way_back(called: int, verb: str, when: When) -> None:
        if verb == "set_revision":
            raise PlatformUnreachable("cable cut")

    platform.on_call = no_way_back
    lines: list[str] = []
    with pytest.raises(SmokeFailed):
        publish(make_package("b"), platform, registry, lines)
    assert any("could not be set back" in line for line in lines)
    assert platform.on_main("toy") == "b"
    with pytest.raises(PlatformUnreachable):
        publish(make_package("c"), platform, registry)  # nothing new before the old harm is undone
    revive(platform)
    platform.broken["c", "candidate"] = {"units": "9"}
    with pytest.raises(SmokeFailed):
        publish(make_package("c"), platform, registry)
    assert platform.on_main("toy") == "a"
    assert states(registry) == {"a": "live", "b": "failed", "c": "failed"}
