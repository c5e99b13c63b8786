"""What releases leave on the platform is removed when nothing goes back to it, and never before."""

from contextlib import suppress
from pathlib import Path

from serving.release import gc
from serving.release.deploy import publish_package
from serving.release.gc import Leftover
from serving.release.lease import deploy_lease
from serving.release.registry import Registry, Row
from serving.release.rollback import roll_back
from serving.release.smoke import SmokePlan
from tests.serving.release.conftest import MakePackage
from tests.serving.release.memory_platform import MemoryPlatform, PowerCut, When

PLAN = SmokePlan(arguments=[{"prompt": "a red fox"}])
ALWAYS = 1e12  # Unix seconds after every deploy here


def publish(package: Path, platform: MemoryPlatform, registry: Registry) -> Row:
    return publish_package(
        package, platform=platform, registry=registry, verdict_hash="v", smoke=PLAN, again=True, progress=lambda line: None
    )


def found(platform: MemoryPlatform, registry: Registry, *, keep: int = 0, before: float = ALWAYS) -> list[Leftover]:
    return gc.leftovers(platform, registry, keep=keep, before=before)


def of_main(platform: MemoryPlatform, listed: list[Leftover]) -> list[str]:
    return [one.revision for one in listed if one.kind == "revision" and platform.places[one.revision][1] == "main"]


def remove(chosen: list[Leftover], platform: MemoryPlatform, registry: Registry, *, keep: int = 0) -> list[Leftover]:
    return gc.remove(chosen, platform=platform, registry=registry, keep=keep, before=ALWAYS, progress=lambda line: None)


def test_what_is_live_and_what_it_could_be_rolled_back_to_stay(make_package: MakePackage, registry: Registry) -> None:
    platform = MemoryPlatform()
    rows = [publish(make_package(name), platform, registry) for name in "abc"]
    platform.deploy(make_package("a"), app="toy", environment="candidate")
    listed = found(platform, registry)
    assert [one.kind for one in listed][:2] == ["candidate", "revision"]
    assert of_main(platform, listed) == [rows[0]["revision"]]
    assert remove(listed, platform, registry) == listed
    assert set(platform.packages) == {rows[1]["revision"], rows[2]["revision"]}
    assert found(platform, registry) == []
    assert ("toy", "candidate") not in platform.aliases
    row = roll_back("toy", platform=platform, registry=registry, reason="worse", progress=lambda line: None)
    assert row["revision"] == rows[1]["revision"]
    registry.verify_journal()


def test_the_newest_are_kept_and_so_is_what_is_young(make_package: MakePackage, registry: Registry) -> None:
    platform = MemoryPlatform()
    for name in "abcabc":
        publish(make_package(name), platform, registry)
    every = of_main(platform, found(platform, registry))
    assert len(every) == 4
    assert of_main(platform, found(platform, registry, keep=3)) == every[:-3]
    assert [one for one in found(platform, registry, before=0.0) if one.kind == "revision"] == []


def test_an_unfinished_release_and_one_under_way_keep_all_of_theirs(make_package: MakePackage, registry: Registry) -> None:
    platform = MemoryPlatform()
    for name in "ab":
        publish(make_package(name), platform, registry)

    def cut(called: int, verb: str, when: When) -> None:
        if verb == "deploy" and when == "after" and len(platform.deploys) == 6:
            raise PowerCut(verb)

    platform.on_call = cut
    with suppress(PowerCut):
        publish(make_package("c"), platform, registry)
    platform.on_call = lambda called, verb, when: None
    assert all(one.kind == "revision" for one in found(platform, registry))
    needed = {row["evidence"]["main_before"]["revision"] for row in registry.releases() if row["state"] == "candidate"}
    assert needed
    assert not needed & {one.revision for one in found(platform, registry)}
    with deploy_lease(registry, target="memory", app="toy"):
        assert found(platform, registry) == []


def test_apps_of_others_are_none_of_its_business(make_package: MakePackage, registry: Registry) -> None:
    platform = MemoryPlatform()
    for environment in (None, "candidate"):
        platform.deploy(make_package("a"), app="hand", environment=environment)
        platform.deploy(make_package("b"), app="hand", environment=environment)
    assert found(platform, registry) == []


def test_what_came_into_use_since_it_was_shown_stays(make_package: MakePackage, registry: Registry) -> None:
    platform = MemoryPlatform()
    rows = [publish(make_package(name), platform, registry) for name in "abc"]
    shown = [one for one in found(platform, registry) if one.revision == rows[0]["revision"]]
    assert of_main(platform, shown) == [rows[0]["revision"]]
    platform.set_revision("toy", rows[0]["revision"], None)
    assert remove(shown, platform, registry) == []
    assert rows[0]["revision"] in platform.packages


def test_the_journal_says_what_was_removed(make_package: MakePackage, registry: Registry) -> None:
    platform = MemoryPlatform()
    rows = [publish(make_package(name), platform, registry) for name in "abc"]
    remove(found(platform, registry), platform, registry)
    collected = [line["row"]["evidence"].get("collected") for line in registry.journal()]
    marks = [(mark["done"], f"revision {rows[0]['revision']}" in mark["what"]) for mark in collected if mark]
    assert marks == [(False, True), (True, True)]
