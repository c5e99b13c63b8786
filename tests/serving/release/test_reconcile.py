"""Every way in which registry and platform can disagree is seen, and mended or reported; what is live and right is not touched."""

import json
from contextlib import suppress
from pathlib import Path

import pytest

from serving.release import reconcile
from serving.release.differences import View, differences, unneeded_revisions
from serving.release.errors import JournalBroken, ReleaseError
from serving.release.lease import deploy_lease
from serving.release.platform import Revision
from serving.release.registry import Registry
from serving.release.retire import lift
from tests.serving.release.memory_platform import MemoryPlatform, When
from tests.serving.release.reconcile_world import World, sealed


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return sealed(tmp_path_factory.mktemp("packages"))


@pytest.fixture
def platform() -> MemoryPlatform:
    return MemoryPlatform()


@pytest.fixture
def world(platform: MemoryPlatform, registry: Registry, packages: dict[str, Path]) -> World:
    return World(platform, registry, packages)


def in_order(world: World) -> None:
    assert world.kinds(wake=True) == []
    row = world.registry.live("toy", "memory")
    assert row is not None
    assert world.platform.aliases["toy", "main"] == row["revision"]
    world.registry.verify_journal()


def test_after_a_publish_nothing_is_left_to_say(world: World) -> None:
    world.publish("a")
    assert {one.level for one in world.seen()} <= {"notice"}
    world.platform.aliases.pop(("toy", "candidate"), None)
    assert world.seen() == []


def test_the_same_package_under_another_revision_is_recorded(world: World) -> None:
    world.publish("a")
    world.by_hand("a")
    before = dict(world.platform.aliases)
    assert world.kinds() == [("same_package", "main", "safe")]
    assert world.repair()[0] == "same_package"
    assert world.platform.aliases["toy", "main"] == before["toy", "main"]
    in_order(world)


def test_another_package_on_main_is_a_question(world: World) -> None:
    row = world.publish("a")
    world.by_hand("b")
    assert ("replaced", "main", "ask") in world.kinds()
    assert "replaced" not in world.repair(safe_only=True)
    assert world.platform.on_main("toy") == "b"
    assert "replaced" in world.repair()
    assert world.platform.aliases["toy", "main"] == row["revision"]
    in_order(world)


def test_another_package_is_reported_alone_where_the_recorded_one_is_gone(world: World) -> None:
    row = world.publish("a")
    world.by_hand("b")
    world.platform.delete_revision(row["revision"])
    assert ("replaced", "main", "report") in world.kinds()
    assert "replaced" not in world.repair()


def test_a_runner_is_woken_with_leave_only(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.publish("a")
    world.by_hand("a")
    awake = world.platform.revisions

    def asleep(app: str, environment: str | None) -> list[Revision]:
        return [Revision(revision=one.revision, created_at=one.created_at, runners=0) for one in awake(app, environment)]

    monkeypatch.setattr(world.platform, "revisions", asleep)
    world.platform.on_call = lambda number, verb, when: pytest.fail("called it") if verb == "call" else None
    assert ("unconfirmed", "main", "report") in world.kinds()
    world.platform.on_call = lambda number, verb, when: None
    assert ("same_package", "main", "safe") in world.kinds(wake=True)


def test_a_live_release_whose_app_is_gone_is_a_question_and_then_failed(world: World) -> None:
    world.publish("a")
    world.platform.delete("toy", None)
    assert ("gone", "main", "ask") in world.kinds()
    assert "gone" in world.repair()
    assert world.registry.live("toy", "memory") is None
    assert world.kinds() == []


def test_an_app_that_nobody_recorded_is_reported_and_never_touched(world: World) -> None:
    world.publish("a")
    for environment in (None, "candidate"):
        world.platform.deploy(world.packages["hand"], app="hand", environment=environment)
    wanted = [("orphan", "main", "report"), ("orphan", "candidate", "report")]
    assert [one for one in world.kinds() if one[0] == "orphan"] == wanted
    assert world.repair("hand") == []
    assert {place for app, place in world.platform.aliases if app == "hand"} == {"main", "candidate"}


def test_a_candidate_that_was_left_over_is_removed(world: World) -> None:
    world.publish("a")
    world.platform.deploy(world.packages["b"], app="toy", environment="candidate")
    assert world.kinds() == [("candidate_left", "candidate", "safe")]
    assert world.repair() == ["candidate_left"]
    assert ("toy", "candidate") not in world.platform.aliases
    in_order(world)


def test_after_a_rollback_nothing_is_left_to_mend(world: World) -> None:
    world.publish("a")
    world.publish("b")
    world.roll_back()
    assert [one for one in world.seen() if one.place == "candidate"] == []
    assert world.kinds() == []


def test_the_name_of_a_candidate_that_is_through_is_a_notice(world: World) -> None:
    """A deploy that was killed as it tidied up left it: who watches the exit code is not woken by it."""
    row = world.publish("a")
    world.platform.aliases["toy", "candidate"] = row["candidate_revision"]
    assert [(one.kind, one.place) for one in world.seen() if one.place == "candidate"] == [("candidate", "candidate")]
    assert world.kinds() == []


def test_a_release_whose_process_died_is_given_up_only_when_asked(world: World) -> None:
    first = world.publish("a")
    world.killed(11, lambda: world.publish("b"))
    (begun,) = [row for row in world.registry.releases() if row["state"] in ("intent", "candidate")]
    assert ("unfinished", "main", "ask") in world.kinds()
    assert world.repair(safe_only=True) == []
    assert world.registry.by_package("toy", begun["package"], "memory") == begun
    assert world.repair()[0] == "unfinished"
    assert world.platform.aliases["toy", "main"] == first["revision"]
    in_order(world)


def test_a_deploy_that_is_under_way_is_left_alone(world: World) -> None:
    world.publish("a")
    world.killed(11, lambda: world.publish("b"))
    with deploy_lease(world.registry, target="memory", app="toy"):
        assert [(one.kind, one.level) for one in world.seen()] == [("busy", "notice")]
        assert world.repair() == []


def test_main_is_set_back_where_it_could_not_be_before(world: World) -> None:
    first = world.publish("a")
    world.platform.broken["b", "main"] = {"units": "9"}

    def no_way_back(called: int, verb: str, when: When) -> None:
        if verb == "set_revision":
            raise ReleaseError("cable cut")

    world.platform.on_call = no_way_back
    with pytest.raises(ReleaseError):
        world.publish("b")
    world.platform.on_call = lambda called, verb, when: None
    pending = {row["evidence"].get("set_back") for row in world.registry.releases()}
    assert "pending" in pending
    world.repair()
    assert world.platform.aliases["toy", "main"] == first["revision"]
    in_order(world)


def test_an_app_that_is_not_shared_is_a_question(world: World) -> None:
    world.publish("a")
    world.platform.set_auth("toy", "private", None)
    assert ("not_shared", "main", "ask") in world.kinds()
    world.repair()
    assert world.platform.auth["toy", "main"] == "shared"
    in_order(world)


@pytest.mark.parametrize("mode", ["private", "delete"])
def test_a_retirement_that_was_killed_is_finished(world: World, mode: str) -> None:
    for number in range(1, 9):
        if world.registry.live("toy", "memory") is None:
            with suppress(ReleaseError):
                lift("toy", registry=world.registry, target="memory", reason="again")
            world.publish("a")
        world.killed(number, lambda: world.retire(mode))
        world.repair(safe_only=True)
        if world.registry.live("toy", "memory") is not None:  # killed before it was begun
            continue
        assert world.kinds() == []
        assert (
            (world.platform.auth["toy", "main"] == "private")
            if mode == "private"
            else ("toy", "main") not in world.platform.aliases
        )


@pytest.mark.parametrize("mode", ["private", "delete"])
def test_a_retired_app_that_answers_again_is_a_question(world: World, mode: str) -> None:
    world.publish("a")
    world.retire(mode)
    world.by_hand("a")
    assert world.kinds() == [("retired_answers", "main", "ask")]
    assert world.repair() == ["retired_answers"]
    assert world.kinds() == []


def test_a_rollback_that_was_killed_is_finished(world: World) -> None:
    first = world.publish("a")
    world.publish("b")
    world.killed(2, world.roll_back)
    assert ("rollback_unfinished", "main", "safe") in world.kinds()
    world.repair(safe_only=True)
    live = world.registry.live("toy", "memory")
    assert live is not None
    assert (live["id"], world.platform.aliases["toy", "main"]) == (first["id"], first["revision"])
    in_order(world)


def test_old_revisions_are_a_notice_and_those_that_are_needed_are_none_of_them(world: World) -> None:
    for name in "abcabc":
        world.publish(name)
    (view,) = reconcile.look(world.platform, world.registry)
    assert view.live is not None
    former = next(row for row in view.rows if row["id"] == view.live["evidence"]["former"])
    every = {one.revision for one in unneeded_revisions(view, keep=0)}
    assert not every & {view.live["revision"], former["revision"]}
    assert len(every) == len(view.revisions) - 2
    assert [one.revision for one in unneeded_revisions(view, keep=1)] == sorted(every, key=lambda name: int(name.split("-")[1]))[
        :-1
    ]
    assert unneeded_revisions(view, keep=99) == []
    assert [one.level for one in world.seen() if one.kind == "old_revisions"] == ["notice"]


def test_each_repair_stands_in_the_journal_before_and_after(world: World) -> None:
    world.publish("a")
    world.platform.set_auth("toy", "private", None)
    world.repair()
    marks = [line["row"]["evidence"].get("repaired") for line in world.registry.journal()]
    shared = [mark["done"] for mark in marks if mark and mark["kind"] == "not_shared"]
    assert shared == [False, True]


def test_a_repair_that_fails_is_tried_again(world: World) -> None:
    world.publish("a")
    world.platform.set_auth("toy", "private", None)

    def refuse(called: int, verb: str, when: When) -> None:
        if verb == "set_auth":
            raise ReleaseError("no")

    world.platform.on_call = refuse
    with pytest.raises(ReleaseError):
        world.repair()
    world.platform.on_call = lambda called, verb, when: None
    assert "not_shared" in world.repair()
    in_order(world)


def test_a_broken_journal_comes_first(world: World) -> None:
    world.publish("a")
    with world.registry.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE releases SET revision = 'x'")
    with pytest.raises(JournalBroken):
        world.seen()


def test_what_is_said_is_json(world: World) -> None:
    world.publish("a")
    world.platform.set_auth("toy", "private", None)
    (said,) = [one.as_json() for one in world.seen() if one.kind == "not_shared"]
    assert json.loads(json.dumps(said)) == said
    assert set(said) == {"kind", "app", "place", "release", "found", "remedy", "level"}


def test_an_app_without_anything_is_in_order() -> None:
    assert differences(View(app="toy", rows=(), main=None, candidate=None)) == []
