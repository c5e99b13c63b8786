"""Exactly one live release, whatever fails and wherever the process dies."""

import threading
from pathlib import Path
from typing import Any

import pytest

from serving.release.budget import Budget
from serving.release.deploy import publish_package
from serving.release.errors import (
    DeployBusy,
    OverBudget,
    PackageError,
    SmokeFailed,
    Tampered,
)
from serving.release.golden import Golden, GoldenPlan
from serving.release.registry import Registry
from tests.serving.release.conftest import MakePackage
from tests.serving.release.memory_platform import MemoryPlatform, When, png
from tests.serving.release.publishing import PLAN, memory_registry, publish, states


def test_a_package_goes_to_candidate_then_main_and_is_live(make_package: MakePackage, registry: Registry) -> None:
    platform = MemoryPlatform()
    row = publish(make_package("a"), platform, registry)
    assert row == registry.live("toy", "memory")
    assert [place for _, place, _ in platform.deploys] == ["candidate", "main"]
    assert (row["candidate_revision"], row["revision"]) == ("revision-1", "revision-2")
    assert row["urls"]["run"] == "https://run.example.org/memory/toy"
    for place in ("candidate", "main"):
        evidence = row["evidence"][place]
        assert evidence["unauthenticated_status"] == evidence["wrong_key_status"] == 401
        assert evidence["images"] == evidence["units"] == 2
        assert evidence["health"]["package"] == row["package"]
        assert evidence["requests"][0]["request_id"].startswith("request-")
    assert [line["event"] for line in registry.journal()] == ["intent", "note", "candidate", *["note"] * 4, "live"]
    registry.verify_journal()


def test_the_same_package_again_changes_nothing(make_package: MakePackage, registry: Registry) -> None:
    platform = MemoryPlatform()
    first = publish(make_package("a"), platform, registry)
    lines = registry.journal()
    assert publish(make_package("a"), platform, registry) == first
    assert len(platform.deploys) == 2
    assert registry.journal() == lines


def test_a_new_package_retires_the_old_one_and_the_old_one_may_return(make_package: MakePackage, registry: Registry) -> None:
    platform = MemoryPlatform()
    publish(make_package("a"), platform, registry)
    publish(make_package("b"), platform, registry)
    assert states(registry) == {"a": "retired", "b": "live"}
    publish(make_package("a"), platform, registry)
    assert states(registry) == {"a": "live", "b": "retired"}
    assert platform.on_main("toy") == "a"


def test_a_live_release_that_somebody_replaced_is_deployed_again(make_package: MakePackage, registry: Registry) -> None:
    platform = MemoryPlatform()
    publish(make_package("a"), platform, registry)
    old = platform.aliases["toy", "main"]
    publish(make_package("b"), platform, registry)
    platform.set_revision("toy", old, None)
    row = publish(make_package("b"), platform, registry)
    assert row["state"] == "live"
    assert platform.on_main("toy") == "b"


def test_a_late_deploy_of_the_live_package_is_adopted(make_package: MakePackage, registry: Registry) -> None:
    platform = MemoryPlatform()
    publish(make_package("a"), platform, registry)
    late = platform.deploy(make_package("a"), app="toy", environment=None)
    assert publish(make_package("a"), platform, registry)["revision"] == late.revision
    assert len(platform.deploys) == 3


FAULTS: list[tuple[str, dict[str, Any], str]] = [
    ("open to strangers", {"stranger": 200}, "expected 401"),
    ("wrong package", {"health_package": "x"}, "/health says package 'x'"),
    ("unhealthy", {"health_status": 500}, "/health answered 500"),
    ("bills too much", {"units": "3"}, "delivered 2 images and billed '3' units"),
    ("bills nothing", {"units": None}, "billed None units"),
    ("delivers too little", {"images": 1, "units": "1"}, "asked for 2 images and got 1"),
    ("no picture", {"url": "data:image/png;base64,AAAA"}, "is no picture"),
    ("no data", {"url": "http://127.0.0.1/x.png"}, "neither a base64 data URI nor https"),
    ("error", {"status": 500}, "was answered 500"),
    ("bills bad input", {"invalid_units": "1"}, "expected 422 with '0'"),
    ("takes bad input", {"invalid_status": 200}, "expected 422 with '0'"),
]


@pytest.mark.parametrize("place", ["candidate", "main"])
@pytest.mark.parametrize(("fault", "message"), [row[1:] for row in FAULTS], ids=[row[0] for row in FAULTS])
def test_a_release_that_fails_its_smoke_test_leaves_the_old_one_live(
    make_package: MakePackage, place: str, fault: dict[str, Any], message: str
) -> None:
    platform = MemoryPlatform()
    with memory_registry("smoke") as registry:
        publish(make_package("a"), platform, registry)
        platform.broken["b", place] = fault
        with pytest.raises(SmokeFailed, match=message) as caught:
            publish(make_package("b"), platform, registry)
        assert "\n" not in str(caught.value)
        assert caught.value.exit_code == 5
        assert states(registry) == {"a": "live", "b": "failed"}
        assert platform.on_main("toy") == "a"
        platform.broken.clear()
        publish(make_package("b"), platform, registry)
        assert states(registry) == {"a": "retired", "b": "live"}
        registry.verify_journal()


def test_the_candidate_answers_no_more_once_its_release_has_ended(make_package: MakePackage, registry: Registry) -> None:
    platform = MemoryPlatform()
    publish(make_package("a"), platform, registry)
    assert ("toy", "candidate") not in platform.aliases
    platform.broken["b", "candidate"] = {"units": "9"}
    with pytest.raises(SmokeFailed):
        publish(make_package("b"), platform, registry)
    assert ("toy", "candidate") not in platform.aliases
    platform.deploy(make_package("c"), app="toy", environment="candidate")  # somebody else's: of no release on record
    publish(make_package("a"), platform, registry)
    assert ("toy", "candidate") in platform.aliases


@pytest.mark.parametrize(
    ("budget", "fault", "says"),
    [
        (Budget(latency_seconds=0.1), {}, "over its budget: median 0.25 s"),
        (Budget(), {"status": 503, "units": "0"}, "over its budget: 2 of 3 requests failed"),
        (Budget(error_budget=0.7), {"status": 503, "units": "0"}, None),
    ],
)
def test_a_candidate_that_is_over_its_budget_never_reaches_main(
    make_package: MakePackage, registry: Registry, budget: Budget, fault: dict[str, Any], says: str | None
) -> None:
    platform = MemoryPlatform()
    publish(make_package("a"), platform, registry)
    golden = GoldenPlan(requests=[Golden(arguments={"seed": seed, "num_images": 1}, expected=png()) for seed in (1, 2)])

    def break_golden(called: int, verb: str, when: When) -> None:
        row = registry.releases()[-1]
        if "candidate" in row["evidence"] and row["state"] == "candidate" and "budget" not in row["evidence"]:
            platform.broken["b", "candidate"] = fault
        else:
            platform.broken.clear()

    platform.on_call = break_golden
    if says is None:
        publish(make_package("b"), platform, registry, golden=golden, budget=budget)
        assert states(registry) == {"a": "retired", "b": "live"}
        return
    with pytest.raises(OverBudget, match=says):
        publish(make_package("b"), platform, registry, golden=golden, budget=budget)
    assert states(registry) == {"a": "live", "b": "failed"}
    assert [place for _, place, content in platform.deploys if content == "b"] == ["candidate"]
    (failed,) = (row for row in registry.releases() if row["state"] == "failed")
    assert failed["evidence"]["budget"]["fault"] in failed["evidence"]["reason"]


def test_golden_pictures_are_drawn_by_the_candidate_and_timed_against_what_is_live(
    make_package: MakePackage, registry: Registry
) -> None:
    platform = MemoryPlatform()
    golden = GoldenPlan(requests=[Golden(arguments={"seed": 1, "num_images": 1}, expected=png())], said=())
    first = publish(make_package("a"), platform, registry, golden=golden)
    second = publish(make_package("b"), platform, registry, golden=golden)
    assert first["evidence"]["golden"]["pictures"][0]["psnr"] == 100.0
    assert first["evidence"]["budget"]["live"] == {"requests": 0, "images": 0, "units": 0}
    assert second["evidence"]["budget"]["live"] == {"requests": 1, "images": 1, "units": 1}
    assert second["evidence"]["budget"]["latency"]["live_seconds"] == 0.25


def test_a_release_without_samples_says_that_no_picture_was_compared(make_package: MakePackage, registry: Registry) -> None:
    row = publish(make_package("a"), MemoryPlatform(), registry)
    assert row["evidence"]["golden"]["said"] == ["no samples of an evaluation were given, so no picture is compared"]


def test_two_deploys_of_one_app_at_once_one_wins_and_the_other_says_why(make_package: MakePackage, registry: Registry) -> None:
    platform = MemoryPlatform()
    inside, leave = threading.Event(), threading.Event()

    def wait(called: int, verb: str, when: When) -> None:
        inside.set()
        assert leave.wait(20)

    platform.on_call = wait
    winner = threading.Thread(target=publish, args=(make_package("a"), platform, registry))
    winner.start()
    assert inside.wait(20)
    other = Registry(registry.engine.url.render_as_string(), clock=registry.clock)
    try:
        with pytest.raises(DeployBusy, match="app 'toy' is being deployed to memory by process"):
            publish(make_package("b"), MemoryPlatform(), other)
    finally:
        other.close()
        leave.set()
        winner.join(20)
    assert states(registry) == {"a": "live"}


def test_a_deploy_waits_for_the_one_before_it_and_says_for_whom(make_package: MakePackage, registry: Registry) -> None:
    platform, lines = MemoryPlatform(), list[str]()
    inside, leave = threading.Event(), threading.Event()

    def wait(called: int, verb: str, when: When) -> None:
        inside.set()
        assert leave.wait(20)

    platform.on_call = wait
    winner = threading.Thread(target=publish, args=(make_package("a"), platform, registry))
    winner.start()
    assert inside.wait(20)
    other = Registry(registry.engine.url.render_as_string(), clock=registry.clock)

    def heard(line: str) -> None:
        lines.append(line)
        leave.set()

    try:
        row = publish_package(
            make_package("b"), platform=platform, registry=other, verdict_hash="v", smoke=PLAN, wait=20.0, progress=heard
        )
    finally:
        other.close()
        leave.set()
        winner.join(20)
    assert row["state"] == "live"
    assert states(registry) == {"a": "retired", "b": "live"}
    assert "waiting up to 20 s: app 'toy' is being deployed to memory by process" in lines[0]


def test_a_folder_that_is_no_package_is_refused(tmp_path: Path, registry: Registry) -> None:
    with pytest.raises(PackageError, match="is no package"):
        publish(tmp_path, MemoryPlatform(), registry)
    assert registry.releases() == []


def test_a_package_that_was_changed_is_refused(make_package: MakePackage, registry: Registry) -> None:
    package = make_package("a")
    (package / "content.txt").write_text("b")
    with pytest.raises(Tampered, match=r"content\.txt was changed"):
        publish(package, MemoryPlatform(), registry)
    assert registry.releases() == []
