"""The way back: what was live before is live again; what may not come back does not, and nothing comes back by itself."""

import hashlib
from typing import Any

import pytest

from serving.release.deploy import publish_package
from serving.release.errors import DeployFailed, NotPermitted, NoWayBack, PlatformUnreachable, RolledBack, SmokeFailed
from serving.release.package import _package_hash
from serving.release.registry import Registry, Row
from serving.release.rollback import roll_back
from serving.release.smoke import SmokePlan
from tests.serving.release.conftest import MakePackage
from tests.serving.release.memory_platform import MemoryPlatform, When

CONTENTS = {_package_hash({"content.txt": hashlib.sha256(name.encode()).hexdigest()}): name for name in "abc"}
PLAN = SmokePlan(arguments=[{"prompt": "a red fox"}])


@pytest.fixture
def platform() -> MemoryPlatform:
    return MemoryPlatform()


@pytest.fixture
def rows(make_package: MakePackage, platform: MemoryPlatform, registry: Registry) -> dict[str, Row]:
    """`a`, `b` and `c` were published one after the other."""
    return {name: publish(make_package, name, platform, registry) for name in "abc"}


def publish(make_package: MakePackage, name: str, platform: MemoryPlatform, registry: Registry, **named: Any) -> Row:
    return publish_package(
        make_package(name), platform=platform, registry=registry, verdict_hash="v", smoke=PLAN, progress=lambda line: None, **named
    )


def back(platform: MemoryPlatform, registry: Registry, **named: Any) -> Row:
    return roll_back("toy", platform=platform, registry=registry, reason="too green", progress=lambda line: None, **named)


def states(registry: Registry) -> dict[str, str]:
    return {CONTENTS[row["package"]]: row["state"] for row in registry.releases()}


def test_the_release_before_is_live_again_with_a_smoke_test_and_nothing_is_deployed(
    rows: dict[str, Row], platform: MemoryPlatform, registry: Registry
) -> None:
    deploys = len(platform.deploys)
    row = back(platform, registry)
    assert states(registry) == {"a": "retired", "b": "live", "c": "retired"}
    assert row["revision"] == rows["b"]["revision"] == platform.aliases["toy", "main"]
    assert len(platform.deploys) == deploys
    assert row["evidence"]["after_rollback"]["images"] == 2
    assert row["evidence"]["restored"] == {"from": rows["c"]["id"], "reason": "too green"}
    assert [line["event"] for line in registry.journal()][-3:] == ["note", "retired", "live"]
    assert back(platform, registry)["id"] == rows["a"]["id"]  # and one further back
    registry.verify_journal()


@pytest.mark.parametrize("by", ["id", "revision"])
def test_a_release_can_be_named_by_how_it_begins(
    rows: dict[str, Row], platform: MemoryPlatform, registry: Registry, by: str
) -> None:
    named = rows["a"][by] if by == "revision" else rows["a"]["id"][:10]
    assert back(platform, registry, to=named)["id"] == rows["a"]["id"]
    assert platform.on_main("toy") == "a"


@pytest.mark.parametrize("to", ["no-such", "revision-", "", "live"])
def test_what_names_no_former_release_is_refused_with_those_that_there_are(
    rows: dict[str, Row], platform: MemoryPlatform, registry: Registry, to: str
) -> None:
    lines = registry.journal()
    with pytest.raises(NoWayBack, match=rows["a"]["id"]):
        back(platform, registry, to=rows["c"]["revision"] if to == "live" else to)
    assert registry.journal() == lines
    assert platform.on_main("toy") == "c"


def test_a_first_release_has_no_way_back(make_package: MakePackage, platform: MemoryPlatform, registry: Registry) -> None:
    with pytest.raises(NoWayBack, match="has no live release"):
        back(platform, registry)
    publish(make_package, "a", platform, registry)
    with pytest.raises(NoWayBack, match="took over from none that could come back"):
        back(platform, registry)


@pytest.mark.parametrize(
    ("mark", "says"),
    [
        ({"review": {"needed": True, "changes": ["the licence now bars commercial use"]}}, "the licence now bars commercial use"),
        ({"barred": "takedown of 3 May"}, "takedown of 3 May"),
    ],
)
def test_a_release_whose_licences_wait_or_that_was_taken_down_does_not_come_back(
    rows: dict[str, Row], platform: MemoryPlatform, registry: Registry, mark: dict[str, Any], says: str
) -> None:
    registry.advance(rows["b"]["id"], "retired", **mark)
    with pytest.raises(NotPermitted, match=says):
        back(platform, registry)
    assert states(registry)["c"] == "live"


def test_the_package_that_was_rolled_back_is_deployed_again_on_purpose_only(
    rows: dict[str, Row], make_package: MakePackage, platform: MemoryPlatform, registry: Registry
) -> None:
    back(platform, registry)
    with pytest.raises(RolledBack, match=r"too green.*--again") as refused:
        publish(make_package, "c", platform, registry)
    assert refused.value.exit_code == 4
    assert platform.on_main("toy") == "b"
    publish(make_package, "c", platform, registry, again=True)
    assert states(registry) == {"a": "retired", "b": "retired", "c": "live"}
    assert back(platform, registry)["id"] == rows["b"]["id"]


def test_a_deliberate_try_that_failed_is_no_leave_to_deploy_it_again(
    rows: dict[str, Row], make_package: MakePackage, platform: MemoryPlatform, registry: Registry
) -> None:
    back(platform, registry)
    platform.broken["c", "candidate"] = {"units": "9"}
    with pytest.raises(SmokeFailed):
        publish(make_package, "c", platform, registry, again=True)
    platform.broken.clear()
    with pytest.raises(RolledBack, match=r"too green.*--again"):
        publish(make_package, "c", platform, registry)
    assert platform.on_main("toy") == "b"
    publish(make_package, "c", platform, registry, again=True)
    publish(make_package, "a", platform, registry)
    assert publish(make_package, "c", platform, registry)["state"] == "live"  # it was live again, and was not rolled back since


def test_a_former_release_that_fails_its_smoke_test_does_not_stay(
    rows: dict[str, Row], platform: MemoryPlatform, registry: Registry
) -> None:
    platform.broken["b", "main"] = {"units": "9"}
    with pytest.raises(SmokeFailed, match="billed '9' units"):
        back(platform, registry)
    assert states(registry) == {"a": "retired", "b": "retired", "c": "live"}
    assert platform.on_main("toy") == "c"
    live = registry.live("toy", "memory")
    assert live is not None
    assert live["evidence"]["rollback"] is None
    assert "billed '9' units" in live["evidence"]["rollback_failed"]["reason"]
    assert back(platform, registry, to=rows["a"]["id"])["id"] == rows["a"]["id"]


def test_a_revision_that_does_not_come_up_any_more_leaves_what_is_live(
    rows: dict[str, Row], platform: MemoryPlatform, registry: Registry
) -> None:
    def refuse(number: int, verb: str, when: When) -> None:
        if verb == "set_revision":
            raise DeployFailed("setup failed: the weights are gone")

    platform.on_call = refuse
    with pytest.raises(DeployFailed):
        back(platform, registry)
    platform.on_call = lambda number, verb, when: None
    assert states(registry)["c"] == "live"
    assert platform.on_main("toy") == "c"
    publish_again = registry.live("toy", "memory")
    assert publish_again is not None
    assert not publish_again["evidence"]["rollback"]


@pytest.mark.parametrize("then", ["roll back", "publish b", "publish c"])
def test_a_rollback_that_lost_the_platform_is_finished_by_whatever_runs_next(
    rows: dict[str, Row], make_package: MakePackage, platform: MemoryPlatform, registry: Registry, then: str
) -> None:
    def cut(number: int, verb: str, when: When) -> None:
        if verb == "set_revision" and when == "after":
            raise PlatformUnreachable("cable cut")

    platform.on_call = cut
    with pytest.raises(PlatformUnreachable):
        back(platform, registry)
    platform.on_call = lambda number, verb, when: None
    assert states(registry)["c"] == "live"
    if then == "roll back":
        back(platform, registry, to=rows["a"]["id"])  # the one that was begun comes first
    elif then == "publish b":
        publish(make_package, "b", platform, registry)
    else:
        with pytest.raises(RolledBack):
            publish(make_package, "c", platform, registry)
    assert states(registry) == {"a": "retired", "b": "live", "c": "retired"}
    assert platform.on_main("toy") == "b"


def test_an_unfinished_deploy_is_given_up_first(
    rows: dict[str, Row], platform: MemoryPlatform, registry: Registry, make_package: MakePackage
) -> None:
    back(platform, registry)

    def cut(number: int, verb: str, when: When) -> None:
        if verb == "deploy" and when == "after" and platform.aliases["toy", "main"] != rows["b"]["revision"]:
            raise PlatformUnreachable("cable cut")
        if verb == "set_revision":
            raise PlatformUnreachable("cable cut")

    platform.on_call = cut
    with pytest.raises(PlatformUnreachable):
        publish(make_package, "c", platform, registry, again=True)
    platform.on_call = lambda number, verb, when: None
    assert platform.on_main("toy") == "c"
    assert back(platform, registry, to=rows["a"]["id"])["state"] == "live"
    assert states(registry) == {"a": "live", "b": "retired", "c": "failed"}
    assert platform.on_main("toy") == "a"


def test_a_revision_that_the_platform_has_lost_is_refused_before_anything_is_touched(
    rows: dict[str, Row], platform: MemoryPlatform, registry: Registry
) -> None:
    platform.delete_revision(rows["b"]["revision"])
    lines = registry.journal()
    with pytest.raises(NoWayBack, match=rf"{rows['b']['revision']} .* is gone from memory: publish it again"):
        back(platform, registry)
    assert registry.journal() == lines
    assert back(platform, registry, to=rows["a"]["id"])["id"] == rows["a"]["id"]


def test_a_platform_that_lost_everything_in_the_middle_of_a_rollback_does_not_keep_the_app_from_being_published(
    rows: dict[str, Row], make_package: MakePackage, platform: MemoryPlatform, registry: Registry
) -> None:
    registry.advance(rows["c"]["id"], "live", rollback={"to": rows["b"]["id"], "reason": "too green", "state": "retired"})
    platform.packages.clear()
    platform.aliases.clear()
    with pytest.raises(NoWayBack, match="is gone from memory"):
        publish(make_package, "c", platform, registry)
    publish(make_package, "c", platform, registry)
    assert states(registry) == {"a": "retired", "b": "retired", "c": "live"}
    assert platform.on_main("toy") == "c"
