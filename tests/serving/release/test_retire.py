"""A takedown holds: nobody but the owner is answered, wherever it was killed, and only a deliberate act undoes it."""

import itertools
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from serving.release import gc
from serving.release.deploy import publish_package
from serving.release.differences import differences
from serving.release.errors import DeployBusy, NotRetired, NoWayBack, PlatformError, UnknownRelease
from serving.release.lease import deploy_lease
from serving.release.platform import FalPlatform
from serving.release.reconcile import look, repair
from serving.release.registry import Registry, Row, sqlite_url
from serving.release.retire import Mode, lift, retire, retirement_in_force
from serving.release.rollback import roll_back
from serving.release.smoke import SmokePlan
from tests.serving.release.conftest import MakePackage, MakeToy
from tests.serving.release.memory_platform import MemoryPlatform, PowerCut, When

PLAN = SmokePlan(arguments=[{"prompt": "a red fox"}])
MODES: tuple[Mode, ...] = ("private", "delete")


def publish(package: Path, platform: MemoryPlatform, registry: Registry) -> Row:
    return publish_package(
        package, platform=platform, registry=registry, verdict_hash="v", smoke=PLAN, again=True, progress=lambda line: None
    )


def take_down(platform: MemoryPlatform, registry: Registry, mode: Mode = "private", reason: str = "takedown", **named: Any) -> Row:
    return retire("toy", platform=platform, registry=registry, reason=reason, mode=mode, progress=lambda line: None, **named)


def is_down(platform: MemoryPlatform, mode: Mode) -> bool:
    if ("toy", "candidate") in platform.aliases:
        return False
    return ("toy", "main") not in platform.aliases if mode == "delete" else platform.auth["toy", "main"] == "private"


def test_without_a_live_release_the_one_that_changed_last_is_retired_whatever_the_clock_said(tmp_path: Path) -> None:
    platform = MemoryPlatform()
    moments = itertools.count()
    backwards = Registry(
        sqlite_url(tmp_path / "home"), clock=lambda: datetime(2026, 1, 1, tzinfo=UTC) - timedelta(hours=next(moments))
    )
    rows = [backwards.insert_intent(app="toy", package=name, target="memory", verdict_hash="v") for name in ("a", "b")]
    for row in reversed(rows):
        backwards.advance(row["id"], "failed", reason="smoke")
    (view,) = look(platform, backwards)
    assert view.latest is not None
    assert view.latest["id"] == rows[0]["id"]
    assert take_down(platform, backwards)["id"] == rows[0]["id"]
    backwards.close()


@pytest.mark.parametrize("mode", MODES)
def test_a_retired_app_answers_nobody_else_and_says_why(make_package: MakePackage, registry: Registry, mode: Mode) -> None:
    platform = MemoryPlatform()
    publish(make_package("a"), platform, registry)
    platform.deploy(make_package("b"), app="toy", environment="candidate")
    row = take_down(platform, registry, mode)
    assert is_down(platform, mode)
    assert registry.live("toy", "memory") is None
    assert row["state"] == "retired"
    assert row["evidence"]["barred"] == "takedown"
    retirement = row["evidence"]["retirement"]
    assert (retirement["reason"], retirement["mode"], retirement["state"]) == ("takedown", mode, "done")
    events = [(line["event"], (line["row"]["evidence"].get("retirement") or {}).get("state")) for line in registry.journal()]
    assert events[-2:] == [("note", "intent"), ("retired", "done")]
    registry.verify_journal()


def test_the_intent_comes_before_the_platform_and_what_is_put_aside_between_them(
    make_package: MakePackage, registry: Registry
) -> None:
    platform = MemoryPlatform()
    publish(make_package("a"), platform, registry)
    platform.calls = 0
    seen: list[tuple[int, str]] = []

    def before() -> None:
        live = registry.live("toy", "memory")
        assert live is not None
        seen.append((platform.calls, live["evidence"]["retirement"]["state"]))

    take_down(platform, registry, before=before)
    assert seen == [(0, "intent")]


def test_a_second_time_changes_nothing(make_package: MakePackage, registry: Registry) -> None:
    platform = MemoryPlatform()
    publish(make_package("a"), platform, registry)
    first = take_down(platform, registry)
    lines = registry.journal()
    assert take_down(platform, registry, "delete", reason="another") == first
    assert registry.journal() == lines
    platform.auth["toy", "main"] = "public"  # by hand
    take_down(platform, registry)
    assert is_down(platform, "private")


@pytest.mark.parametrize("mode", MODES)
def test_a_kill_at_any_call_is_finished_by_the_next_run_as_it_was_asked_for(
    make_package: MakePackage, tmp_path: Path, mode: Mode
) -> None:
    for number in itertools.count(1):
        registry = Registry(f"sqlite:///file:retire-{mode}-{number}?mode=memory&cache=shared&uri=true")
        platform = MemoryPlatform()
        publish(make_package("a"), platform, registry)
        platform.deploy(make_package("b"), app="toy", environment="candidate")
        calls = platform.calls

        def cut(called: int, verb: str, when: When, last: int = calls + number) -> None:
            if called >= last and when == "after":
                raise PowerCut(verb)

        platform.on_call = cut
        with suppress(PowerCut):
            take_down(platform, registry, mode)
        finished = platform.calls < calls + number
        platform.on_call = lambda called, verb, when: None
        row = take_down(platform, registry, "delete" if mode == "private" else "private", reason="another")
        assert (row["state"], row["evidence"]["retirement"]["reason"]) == ("retired", "takedown"), f"call {number}"
        assert is_down(platform, mode), f"call {number}"
        registry.verify_journal()
        registry.close()
        if finished:
            break
    assert number > 4


def test_what_was_unfinished_is_given_up_and_main_never_set_back(make_package: MakePackage, registry: Registry) -> None:
    platform = MemoryPlatform()
    publish(make_package("a"), platform, registry)

    def cut(called: int, verb: str, when: When) -> None:
        if verb == "deploy" and when == "after" and len(platform.deploys) == 4:
            raise PowerCut(verb)

    platform.on_call = cut
    with suppress(PowerCut):
        publish(make_package("b"), platform, registry)
    set_back: list[str] = []
    platform.on_call = lambda called, verb, when: set_back.append(verb) if verb == "set_revision" else None
    take_down(platform, registry, "delete")
    assert set_back == []
    assert is_down(platform, "delete")
    assert {row["state"] for row in registry.releases()} == {"retired", "failed"}


def test_a_platform_that_does_not_obey_is_told_of(
    make_package: MakePackage, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    platform = MemoryPlatform()
    publish(make_package("a"), platform, registry)
    with monkeypatch.context() as patch:
        patch.setattr(platform, "set_auth", lambda app, mode, environment: None)
        with pytest.raises(PlatformError, match="still serves 'toy' as shared"):
            take_down(platform, registry)
    live = registry.live("toy", "memory")
    assert live is not None
    assert live["evidence"]["retirement"]["state"] == "intent"
    assert take_down(platform, registry)["state"] == "retired"


def test_an_app_of_which_nothing_is_on_record_is_not_touched(make_package: MakePackage, registry: Registry) -> None:
    platform = MemoryPlatform()
    platform.deploy(make_package("a"), app="toy", environment=None)
    with pytest.raises(UnknownRelease, match="was never released"):
        take_down(platform, registry)
    assert platform.auth["toy", "main"] == "shared"


def test_a_deploy_that_is_under_way_is_not_cut_off(make_package: MakePackage, registry: Registry) -> None:
    platform = MemoryPlatform()
    publish(make_package("a"), platform, registry)
    with deploy_lease(registry, target="memory", app="toy"), pytest.raises(DeployBusy):
        take_down(platform, registry)
    assert platform.auth["toy", "main"] == "shared"


def test_a_retirement_is_in_force_until_it_is_lifted_on_purpose(make_package: MakePackage, registry: Registry) -> None:
    platform = MemoryPlatform()
    with pytest.raises(NotRetired):
        lift("toy", registry=registry, target="memory", reason="none")
    publish(make_package("a"), platform, registry)
    assert retirement_in_force(registry, "toy", "memory") is None
    take_down(platform, registry)
    with pytest.raises(NoWayBack):
        roll_back("toy", platform=platform, registry=registry, reason="oh", progress=lambda line: None)
    assert retirement_in_force(registry, "toy", "memory") is not None
    assert retirement_in_force(registry, "toy", "fal") is None
    row = lift("toy", registry=registry, target="memory", reason="the licensor agreed")
    assert row["evidence"]["retirement"]["lifted"] == "the licensor agreed"
    assert retirement_in_force(registry, "toy", "memory") is None
    assert is_down(platform, "private"), "lifting deploys nothing"
    live = publish(make_package("a"), platform, registry)
    assert platform.auth["toy", "main"] == "shared"
    assert live["state"] == "live"


def test_on_the_sandbox_the_whole_life_of_an_app_from_release_to_takedown(
    sandbox: FalPlatform, registry: Registry, make_toy: MakeToy
) -> None:
    package = make_toy("aged", app="aged")

    def kinds() -> list[str]:
        return [one.kind for view in look(sandbox, registry) if view.app == "aged" for one in differences(view)]

    def called(key: Any) -> int:
        return sandbox.call("aged", {"prompt": "a red fox", "num_images": 1}, key=key).status

    first = publish_package(package, platform=sandbox, registry=registry, verdict_hash="v", smoke=PLAN, progress=lambda line: None)
    by_hand = sandbox.deploy(package, app="aged", environment=None)
    sandbox.set_auth("aged", "private", None)
    assert "same_package" in kinds()
    done, _ = repair(sandbox, registry, "aged", agreed=lambda one: True, progress=lambda line: None)
    assert [one.kind for one in done if one.place == "main"] == ["same_package", "not_shared"]
    assert kinds() == []
    live = registry.live("aged", "sandbox")
    assert live is not None
    assert live["revision"] == by_hand.revision
    old = [one for one in gc.leftovers(sandbox, registry, keep=0, before=1e12) if one.app == "aged"]
    assert {one.revision for one in old} == {first["revision"], first["candidate_revision"]}
    assert gc.remove(old, platform=sandbox, registry=registry, keep=0, before=1e12, progress=lambda line: None) == old
    assert [one.revision for one in sandbox.revisions("aged", None)] == [by_hand.revision]
    assert sandbox.alias("aged", "candidate") is None
    assert (called("caller"), called("owner")) == (200, 200)
    retire("aged", platform=sandbox, registry=registry, reason="takedown", mode="private", progress=lambda line: None)
    assert called("caller") in (401, 403)
    assert called("owner") == 200
    lift("aged", registry=registry, target="sandbox", reason="it may")
    row = retire("aged", platform=sandbox, registry=registry, reason="takedown", mode="delete", progress=lambda line: None)
    assert called("owner") == called("caller") == 404
    assert row["state"] == "retired"
    assert kinds() in ([], ["old_revisions"])
    registry.verify_journal()
