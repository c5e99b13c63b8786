"""On probation: health and the platform's record decide; a release that fails its callers goes back by itself."""

import hashlib
from datetime import timedelta
from typing import Any

import pytest

from serving.release.budget import Budget
from serving.release.deploy import publish_package
from serving.release.errors import PlatformError, PlatformUnreachable, RolledBack
from serving.release.package import _package_hash
from serving.release.platform import Seen
from serving.release.probation import Watched, on_probation, watch
from serving.release.registry import Registry, Row
from serving.release.smoke import SmokePlan
from tests.serving.release.conftest import Clock, MakePackage
from tests.serving.release.memory_platform import MemoryPlatform

CONTENTS = {_package_hash({"content.txt": hashlib.sha256(name.encode()).hexdigest()}): name for name in "ab"}
PLAN = SmokePlan(arguments=[{"prompt": "a red fox"}])
BUDGET = Budget(min_requests=10, error_budget=0.1, watch_minutes=10)


@pytest.fixture
def platform() -> MemoryPlatform:
    return MemoryPlatform()


@pytest.fixture
def row(make_package: MakePackage, platform: MemoryPlatform, registry: Registry) -> Row:
    """`b`, which took over from `a`."""
    publish(make_package, "a", platform, registry)
    return publish(make_package, "b", platform, registry)


def publish(make_package: MakePackage, name: str, platform: MemoryPlatform, registry: Registry) -> Row:
    row = publish_package(
        make_package(name),
        platform=platform,
        registry=registry,
        verdict_hash="v",
        smoke=PLAN,
        budget=BUDGET,
        progress=lambda line: None,
    )
    platform.seen.clear()  # of the smoke tests
    return row


def seen(
    platform: MemoryPlatform, registry: Registry, *, ok: int = 0, failed: int = 0, refused: int = 0, later: float = 0.0
) -> None:
    """Requests of callers that ended just now, or `later` seconds from now."""
    at = registry.clock().timestamp() + later
    for status, count in ((200, ok), (503, failed), (422, refused)):
        rows = [Seen(request_id="request", status=status, seconds=1.0, units=1.0, ended_at=at) for _ in range(count)]
        platform.seen.setdefault(("toy", "main"), []).extend(rows)


def look(row: Row, platform: MemoryPlatform, registry: Registry) -> Watched:
    return watch(row, platform=platform, registry=registry, progress=lambda line: None, pause=0.0)


def states(registry: Registry) -> dict[str, str]:
    return {CONTENTS[row["package"]]: row["state"] for row in registry.releases()}


@pytest.mark.parametrize(
    ("requests", "state"),
    [
        ({"ok": 90, "failed": 10}, "watched"),
        ({"ok": 89, "failed": 11}, "rolled back"),
        ({"failed": 9}, "watched"),  # too few to judge
        ({"failed": 10}, "rolled back"),
        ({"refused": 100}, "watched"),  # the callers' own
        ({}, "watched"),
        ({"failed": 50, "later": -3600.0}, "watched"),  # before it was live
        ({"failed": 50, "later": 3600.0}, "watched"),  # after its probation
    ],
)
def test_failures_of_callers_in_its_time_decide(
    row: Row, platform: MemoryPlatform, registry: Registry, requests: dict[str, Any], state: str
) -> None:
    seen(platform, registry, **requests)
    lines = len(registry.journal())
    found = look(row, platform, registry)
    assert found.state == state
    if state == "watched":
        assert len(registry.journal()) == lines
        assert states(registry) == {"a": "retired", "b": "live"}
    else:
        assert states(registry) == {"a": "live", "b": "failed"}
        assert platform.on_main("toy") == "a"
        assert found.live["evidence"]["restored"]["reason"] == f"on probation: {found.text}"
        registry.verify_journal()


@pytest.mark.parametrize("fault", [{"health_status": 503}, {"health_package": "another"}])
def test_a_release_that_is_not_well_goes_back(
    row: Row, platform: MemoryPlatform, registry: Registry, fault: dict[str, Any], make_package: MakePackage
) -> None:
    platform.broken["b", "main"] = fault
    assert look(row, platform, registry).state == "rolled back"
    assert states(registry) == {"a": "live", "b": "failed"}
    platform.broken.clear()
    with pytest.raises(RolledBack, match="on probation: /health"):
        publish(make_package, "b", platform, registry)


def test_one_bad_answer_of_health_is_asked_again(row: Row, platform: MemoryPlatform, registry: Registry) -> None:
    platform.broken["b", "main"] = {"health_status": 503}

    def mend(number: int, verb: str, when: str) -> None:
        if verb == "call" and when == "after":
            platform.broken.clear()

    platform.on_call = mend
    assert look(row, platform, registry).state == "watched"


def test_it_has_passed_when_its_time_is_over(row: Row, platform: MemoryPlatform, registry: Registry) -> None:
    assert on_probation(row)
    seen(platform, registry, ok=30)
    clock = registry.clock
    assert isinstance(clock, Clock)
    clock.now += timedelta(minutes=10)
    found = look(row, platform, registry)
    assert (found.state, found.live["evidence"]["probation"]["text"][:26]) == ("passed", "0 of 30 requests failed (0")
    assert not on_probation(found.live)


def test_a_first_release_that_fails_stays_and_is_said_to_have_failed(
    make_package: MakePackage, platform: MemoryPlatform, registry: Registry
) -> None:
    row = publish(make_package, "a", platform, registry)
    seen(platform, registry, failed=10)
    found = look(row, platform, registry)
    assert found.state == "failed"
    assert "not rolled back" in found.text
    assert states(registry) == {"a": "live"}
    assert found.live["evidence"]["probation"]["state"] == "failed"
    assert on_probation(found.live)
    lines = registry.journal()
    assert look(found.live, platform, registry) == found  # as long as it is live, and nothing is written again
    assert registry.journal() == lines


def test_a_platform_without_a_record_leaves_the_health_to_judge_by(row: Row, platform: MemoryPlatform, registry: Registry) -> None:
    def hide(number: int, verb: str, when: str) -> None:
        if verb == "requests":
            raise PlatformError("404")

    platform.on_call = hide
    found = look(row, platform, registry)
    assert (found.state, found.text) == ("watched", "the platform does not show its record: 404")


def test_a_platform_that_is_away_says_nothing_about_the_release(row: Row, platform: MemoryPlatform, registry: Registry) -> None:
    def away(number: int, verb: str, when: str) -> None:
        raise PlatformUnreachable("no route")

    platform.on_call = away
    with pytest.raises(PlatformUnreachable):
        look(row, platform, registry)
    assert states(registry) == {"a": "retired", "b": "live"}


def test_what_somebody_else_put_on_main_is_reported_and_not_judged(row: Row, platform: MemoryPlatform, registry: Registry) -> None:
    platform.set_revision("toy", "revision-1", None)
    found = look(row, platform, registry)
    assert found.state == "unknown"
    assert "main runs revision revision-1" in found.text


def test_a_rollback_that_was_begun_is_finished(row: Row, platform: MemoryPlatform, registry: Registry) -> None:
    former = row["evidence"]["former"]
    begun = registry.advance(row["id"], "live", rollback={"to": former, "reason": "it fails", "state": "failed"})
    assert on_probation(begun)
    assert look(begun, platform, registry).state == "rolled back"
    assert states(registry) == {"a": "live", "b": "failed"}
