"""gc shows what nothing needs, removes what it showed and no more, and leaves what a run or a release could want."""

import json
import os
import shutil
import socket
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flows import garbage, home_garbage
from flows.errors import JobError
from flows.references import Stored, needed, stored
from flows.store import Artefact, digest, make
from flows.targets import registry_url
from serving.release.registry import Registry, Row

LONG_AGO = time.time() - 90 * 86400
DAY = 86400.0


@pytest.fixture(autouse=True)
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LORASMITH_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("LORASMITH_REGISTRY", raising=False)
    return tmp_path / "home"


def artefact(house: Path, kind: str, inputs: Mapping[str, Any], files: Mapping[str, Any], *, old: bool = True) -> Artefact:
    def build(out: Path) -> None:
        for name, content in files.items():
            (out / name).write_text(content if isinstance(content, str) else json.dumps(content))

    made = make(house, kind, inputs, build)
    if old:
        age(made.path.parent)
    return made


def age(path: Path) -> None:
    for one in (*path.rglob("*"), path):
        os.utime(one, (LONG_AGO, LONG_AGO))


def chain(house: Path, name: str, *, old: bool = True) -> dict[str, Artefact]:
    """All that one release was made from, and what was made of it, as a publish leaves it."""
    package_hash, verdict_hash, dataset_hash = (digest([name, part]) for part in ("package", "verdict", "dataset"))
    made = {"verdict": artefact(house, "verdict", {"hash": verdict_hash}, {"verdict.json": {"hash": verdict_hash}}, old=old)}
    made["dataset"] = artefact(house, "dataset", {"of": name}, {"manifest.json": {"hash": dataset_hash}}, old=old)
    made["adapter"] = artefact(house, "adapter", {"dataset": dataset_hash}, {"adapter.safetensors": name * 1000}, old=old)
    made["evaluated"] = artefact(house, "bundle", {"adapter": made["adapter"].key}, {"manifest.json": {"raw": name}}, old=old)
    made["bundle"] = artefact(house, "bundle", {"evaluated": made["evaluated"].key}, {"manifest.json": {"sealed": name}}, old=old)
    (sealed,) = {one for one in stored(house) if one.path == made["bundle"].path.parent}
    of_bundle = next(iter(sealed.names - {made["bundle"].key}))
    inputs = {"bundle": of_bundle, "verdict": verdict_hash, "code": [digest("code")]}
    made["package"] = artefact(house, "package", inputs, {"package.json": {"hash": package_hash}}, old=old)
    made["gallery"] = artefact(house, "gallery", {"package": package_hash}, {"one.png": name}, old=old)
    release = {"release": [package_hash, "r"], "materials": [made["gallery"].key]}
    made["listing"] = artefact(house, "listing", release, {"listing.json": {}}, old=old)
    return made


def release(name: str, *, at: float = LONG_AGO) -> Row:
    with closing(Registry(registry_url(), clock=lambda: datetime.fromtimestamp(at, UTC))) as registry:
        hashes = {"package": digest([name, "package"]), "verdict_hash": digest([name, "verdict"])}
        row = registry.insert_intent(app="toy", target="sandbox", **hashes)
        registry.advance(row["id"], "candidate")
        return registry.advance(row["id"], "live", revision=name)


def shown() -> garbage.Found:
    return garbage.found("sandbox", age=30 * DAY, keep=2, platform=False)


def paths(found: garbage.Found) -> set[Path]:
    return {path for item in found.items for path in item.paths}


def folders(made: Mapping[str, Artefact]) -> set[Path]:
    return {one.path.parent for one in made.values()}


def test_what_a_live_a_former_and_a_young_release_need_stays_and_the_rest_goes(house: Path) -> None:
    chains = {name: chain(house, name) for name in ("first", "second", "third", "recent", "never")}
    for name in ("first", "second", "third"):
        release(name)
    assert paths(shown()) == folders(chains["first"]) | folders(chains["recent"]) | folders(chains["never"])
    with closing(Registry(registry_url())) as registry:  # its release failed a moment ago
        row = registry.insert_intent(
            app="toy", target="sandbox", package=digest(["recent", "package"]), verdict_hash=digest(["recent", "verdict"])
        )
        registry.advance(row["id"], "failed", reason="smoke")
    found = shown()
    assert paths(found) == folders(chains["first"]) | folders(chains["never"])
    assert garbage.removed(found, "sandbox").bytes == found.bytes > 0
    left = {one.path for one in stored(house)}
    assert left == folders(chains["second"]) | folders(chains["third"]) | folders(chains["recent"])
    assert shown().items == ()


def test_what_was_made_or_found_of_late_stays(house: Path) -> None:
    chain(house, "young", old=False)
    old = artefact(house, "dataset", {"of": "again"}, {"manifest.json": {}})
    assert paths(shown()) == {old.path.parent}
    assert make(house, "dataset", {"of": "again"}, lambda out: None).found
    assert shown().items == ()


def test_what_it_says_is_what_goes_to_the_byte(house: Path) -> None:
    chain(house, "never")
    log = house / "logs" / "platform.log"
    entry = house / "cache" / "latents" / "ab" / "abcdef"
    work = house / "work" / "0123456789abcdef" / "checkpoint"
    half = house / "store" / "adapter" / ".0123-x" / "content"
    for file in (log, entry, work, half):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"x" * 1000)
        age(file.parent)
    before = size(house)
    found = shown()
    assert {item.kind for item in found.items} >= {"log", "cache", "work", "half-made", "package", "dataset"}
    gone = garbage.removed(found, "sandbox")
    assert gone.bytes == found.bytes
    assert {item.name for item in gone.items} == {item.name for item in found.items}
    assert before - size(house) == found.bytes
    assert not any(path.exists() for path in paths(found))
    assert not list(house.rglob(f"{home_garbage.ASIDE}*"))


def size(folder: Path) -> int:
    kept = [path for path in folder.rglob("*") if path.is_file() and "registry.db" not in path.name]
    return sum(path.stat().st_size for path in kept)


def test_while_a_run_makes_something_nothing_of_the_house_is_touched(house: Path) -> None:
    old = artefact(house, "dataset", {"of": "old"}, {"manifest.json": {}})
    found = shown()
    inside, leave = threading.Event(), threading.Event()

    def build(out: Path) -> None:
        inside.set()
        assert leave.wait(20)

    run = threading.Thread(target=make, args=(house, "adapter", {"of": "run"}, build))
    run.start()
    try:
        assert inside.wait(20)
        during = shown()
        assert during.items == ()
        assert "a run is at work" in during.as_text()
        gone = garbage.removed(found, "sandbox")
        assert gone.items == ()
        assert "stays, since it came into use" in gone.as_text()
    finally:
        leave.set()
        run.join(20)
    assert old.path.exists()
    assert garbage.removed(found, "sandbox").items == found.items


def test_what_changed_since_it_was_shown_stays(house: Path) -> None:
    log = house / "logs" / "a.log"
    log.parent.mkdir(parents=True)
    log.write_text("old")
    age(log.parent)
    found = shown()
    log.write_text("new")
    assert garbage.removed(found, "sandbox").items == ()
    assert log.read_text() == "new"


def test_what_a_killed_gc_left_is_found_again(house: Path) -> None:
    old = artefact(house, "dataset", {"of": "old"}, {"manifest.json": {}})
    folder = old.path.parent
    os.replace(folder, folder.with_name(f"{home_garbage.ASIDE}{folder.name}"))
    (item,) = shown().items
    assert item.kind == "half-made"
    garbage.removed(shown(), "sandbox")
    assert [path for path in (house / "store" / "dataset").iterdir() if path.is_dir()] == []


def test_the_last_run_and_bases_that_are_waited_for_keep_theirs(house: Path) -> None:
    made = chain(house, "shown")
    waited = artefact(house, "verdict", {"hash": digest("base")}, {"verdict.json": {"hash": digest("base")}})
    (house / "bases").mkdir()
    (house / "bases" / "x.json").write_text(json.dumps({"base": "a/b", "accepted": digest("base"), "latest": digest("base")}))
    (house / "runs").mkdir()
    last = {"package": digest(["shown", "package"]), "bundle": str(made["bundle"].path), "listing": str(made["listing"].path)}
    (house / "runs" / "last.json").write_text(json.dumps(last))
    assert paths(shown()) == set()
    assert waited.path.exists()


def booked(house: Path, name: str, *, old: bool = True, said: str | None = "line", **run: Any) -> tuple[Path, ...]:
    """An entry of the book of runs and its lines; said None: there are none, run None: no entry."""
    folder = house / "runs"
    folder.mkdir(parents=True, exist_ok=True)
    record, log = folder / f"{name}.json", folder / f"{name}.log"
    if run:
        record.write_text(json.dumps({"run": name, "begun_at": "2026-01-01T00:00:00+00:00", **run}))
    if said is not None:
        log.write_text(said)
    there = tuple(path for path in (record, log) if path.exists())
    for path in there if old else ():
        os.utime(path, (LONG_AGO, LONG_AGO))
    return there


def test_runs_that_ended_long_ago_go_with_their_lines_and_those_that_could_go_on_stay(house: Path) -> None:
    gone = [booked(house, state, state=state) for state in ("done", "failed", "interrupted")]
    here: dict[str, Any] = {"host": socket.gethostname(), "pid": psutil.Process().pid, "started": psutil.Process().create_time()}
    killed = here | {"started": here["started"] - 1000}
    gone.append(booked(house, "killed", state="running", process=killed))
    gone.append(booked(house, "unlogged", state="done", said=None))
    gone.append(booked(house, "lines-alone"))
    booked(house, "running", state="running", process=here)
    booked(house, "elsewhere", state="running", process=killed | {"host": "another"})
    booked(house, "waiting", state="waiting")
    booked(house, "young", old=False, state="done")
    booked(house, "last", state="done", said=None)
    (house / "runs" / "last.json").write_text(json.dumps({"run": "last"}))
    found = shown()
    assert {item.kind for item in found.items} == {"run"}
    assert paths(found) == {path for some in gone for path in some}
    assert garbage.removed(found, "sandbox").items == found.items
    left = {path.stem for path in (house / "runs").iterdir()}
    assert left == {"running", "elsewhere", "waiting", "young", "last"}


def test_sandbox_leftovers_go_and_those_of_its_revisions_stay(house: Path) -> None:
    from serving.sandbox.state import Revision, State, stage_key

    folder = house / "sandbox"
    for name in ("files", "stages", "objects", "logs"):
        (folder / name).mkdir(parents=True)
    files = (("f" * 64, "app.py"),)
    state = State(folder / "state.db")
    state.add_revision(
        Revision(
            id="r", owner="o", alias="a", environment="main", entrypoint="a:A", files=files, settings={}, health=None, metadata={}
        )
    )
    state.close()
    needed_stage, spare_stage = folder / "stages" / stage_key(files), folder / "stages" / "spare"
    for stage in (needed_stage, spare_stage):
        stage.mkdir()
    for path in (folder / "files" / ("f" * 64), folder / "files" / ("e" * 64), folder / "objects" / "o", folder / "logs" / "l.log"):
        path.write_text("x" * 10)
    age(folder)
    found = shown()
    assert paths(found) == {folder / "files" / ("e" * 64), folder / "objects" / "o", folder / "logs" / "l.log", spare_stage}
    garbage.removed(found, "sandbox")
    assert needed_stage.exists()
    assert (folder / "files" / ("f" * 64)).exists()
    assert not any(path.exists() for path in paths(found))


@pytest.mark.parametrize("text", ["", "30", "d", "1 d", "-1d", "1y"])
def test_an_age_that_is_none_is_named(text: str) -> None:
    with pytest.raises(JobError, match="write a number and h, d or w"):
        garbage.seconds(text)
    assert garbage.seconds("2w") == 14 * DAY == garbage.seconds("336h")


names = st.sampled_from([digest(number) for number in range(8)])


@given(
    graph=st.lists(st.tuples(names, st.frozensets(names, max_size=3)), max_size=8, unique_by=lambda row: row[0]),
    roots=st.frozensets(names, max_size=3),
)
@settings(max_examples=80, deadline=None)
def test_whatever_refers_to_whatever_nothing_that_is_needed_is_left_out(
    graph: list[tuple[str, frozenset[str]]], roots: frozenset[str]
) -> None:
    everything = [Stored(kind="any", path=Path(name), names=frozenset({name}), refers=refers) for name, refers in graph]
    kept = needed(everything, roots)
    for one in everything:
        if one.path in kept:
            assert {other.path for other in everything if other.names & one.refers} <= kept
            assert one.names & roots or any(one.names & other.refers for other in everything if other.path in kept)
        assert (one.path in kept) or not one.names & roots


def test_a_removal_is_one_step_for_whoever_looks(house: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = artefact(house, "dataset", {"of": "old"}, {"manifest.json": {}, "big": "x" * 100})
    found = shown()
    steps = list[bool]()
    remove: Callable[..., None] = shutil.rmtree

    def watched(path: Path, **named: Any) -> None:
        steps.append(old.path.parent.exists())
        remove(path, **named)

    monkeypatch.setattr(shutil, "rmtree", watched)
    garbage.removed(found, "sandbox")
    assert steps == [False]
