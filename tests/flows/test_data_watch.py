"""A dataset folder under watch: once for every new state that has come to rest, also after a kill, and never without a listener."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from flows import events
from flows.books.records import write_json
from flows.data_sensor import data_sensor
from flows.datasets import content_of
from flows.errors import FlowError, JobError
from flows.retrain import draws_on
from flows.retraining import data_watch
from flows.retraining.data_watch import ServerAway, settled, tell, told, update, watched
from flows.targets import job_file
from tests.flows.published import release, toy_job

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "home"
    monkeypatch.setenv("LORASMITH_HOME", str(folder))
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    return folder


@pytest.fixture
def pictures(home: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    (folder / "fox.txt").write_text("a fox")
    return folder


@pytest.fixture
def heard(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[dict[str, Any]]]:
    """A listener on loopback that says that it is well, and what was sent to it."""

    class Healthy(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/api/health" else 404)
            self.end_headers()

        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Healthy)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("PREFECT_API_URL", f"http://127.0.0.1:{server.server_port}/api")
    sent: list[dict[str, Any]] = []
    monkeypatch.setattr(
        events, "send", lambda name, resource, payload: sent.append({"name": name, "resource": resource, **payload})
    )
    yield sent
    server.shutdown()
    server.server_close()


def look(folder: Path) -> bool:
    """One look; whether there was something to tell."""
    state = settled(folder, settle=0)
    found = update(folder, state) if state else None
    if found:
        tell(found)
    return found is not None


def test_each_new_content_is_told_once(pictures: Path, heard: list[dict[str, Any]]) -> None:
    assert look(pictures)
    assert not look(pictures)
    (pictures / "owl.txt").write_text("an owl")
    assert look(pictures)
    assert not look(pictures)
    first, second = heard
    assert (first["name"], first["folder"], first["before"]) == ("dataset.updated", str(pictures), None)
    assert second["before"] == first["sha256"] != second["sha256"]
    assert first["resource"] == second["resource"]
    assert first["resource"].startswith("dataset.pictures-")
    kept = [json.loads(line) for line in events.events_file().read_text().splitlines()]
    assert [line["payload"]["sha256"] for line in kept] == [first["sha256"], second["sha256"]]


def test_a_folder_that_was_only_touched_or_taken_back_before_it_was_told_is_none(
    pictures: Path, heard: list[dict[str, Any]]
) -> None:
    assert look(pictures)
    os.utime(pictures / "fox.txt", (1, 1))
    (pictures / ".hidden").write_text("of a file browser")
    assert not look(pictures)
    assert len(heard) == 1


def test_a_set_that_is_being_copied_has_not_come_to_rest(pictures: Path) -> None:
    number = 0

    def copy(_seconds: float) -> None:
        nonlocal number
        number += 1
        if number <= 5:
            (pictures / f"{number}.txt").write_text("one more")

    state = settled(pictures, settle=0.05, wait=copy)
    assert state
    assert number > 5
    assert state.sha256 == content_of(pictures)
    number = -(10**9)
    assert settled(pictures, settle=0.05, wait=lambda _: copy(0), patience=0.2) is None


def test_what_changes_while_it_is_read_is_waited_for_again(pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = content_of
    late = iter(["late.txt"])

    def slow(folder: Path) -> str:
        found = read(folder)
        for name in late:
            (folder / name).write_text("came while it was read")
        return found

    monkeypatch.setattr(data_watch, "content_of", slow)
    state = settled(pictures, settle=0)
    assert state
    assert state.sha256 == read(pictures)


def test_without_a_server_nothing_is_lost(pictures: Path, home: Path) -> None:
    with pytest.raises(ServerAway, match="lorasmith server up") as fault:
        look(pictures)
    assert fault.value.exit_code == 5
    assert told(pictures) is None
    assert not (home / "logs" / "events.jsonl").exists()


def test_the_watch_says_once_that_nobody_listens_and_tells_when_somebody_does(
    pictures: Path, heard: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    address, looks = os.environ["PREFECT_API_URL"], 0
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")

    def wait(_seconds: float) -> None:
        nonlocal looks
        looks += 1
        if looks == 3:
            monkeypatch.setenv("PREFECT_API_URL", address)
        if looks == 5:
            (pictures / "owl.txt").write_text("an owl")

    first, second, third = islice(watched(pictures, every=0, settle=0, wait=wait), 3)
    assert isinstance(first, ServerAway)
    assert looks >= 5
    assert not isinstance(second, ServerAway)
    assert not isinstance(third, ServerAway)
    assert third.before == second.state.sha256
    assert len(heard) == 2


def test_a_watch_that_is_killed_before_it_remembers_tells_again_and_one_that_remembers_does_not(
    pictures: Path, heard: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(folder: Path, state: data_watch.State) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(data_watch, "keep", killed)
        with pytest.raises(KeyboardInterrupt):
            look(pictures)
    assert look(pictures)
    assert not look(pictures)
    assert [one["sha256"] for one in heard] == [heard[0]["sha256"]] * 2


def test_the_command_names_what_is_wrong_in_one_line(home: Path, pictures: Path, tmp_path: Path) -> None:
    def run(folder: Path) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "flows.cli.main", "data", "watch", str(folder), "--once", "--settle", "0"]
        return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=dict(os.environ), check=False)

    away = run(pictures)
    assert (away.returncode, away.stdout) == (5, "")
    assert away.stderr == "lorasmith: no Prefect server is up to hear of it: start one with `lorasmith server up`\n"
    missing = run(tmp_path / "elsewhere")
    assert (missing.returncode, missing.stderr.count("\n")) == (2, 1)
    assert "there is no such folder to watch" in missing.stderr
    with pytest.raises(JobError):
        settled(tmp_path / "elsewhere", settle=0)


@pytest.mark.parametrize(
    ("folder", "drawn"),
    [("data/pictures", True), ("data", True), ("data/pictures/sub", False), ("data/held_out", True), ("data2", False)],
)
def test_only_apps_whose_dataset_it_is_are_looked_at(home: Path, tmp_path: Path, folder: str, drawn: bool) -> None:
    part = {"path": str(tmp_path / "data" / "pictures"), "held_out": str(tmp_path / "data" / "held_out")}
    release = {"app": "toy", "target": "sandbox"}
    write_json(job_file("toy", "sandbox"), toy(part))
    assert draws_on(release, str(tmp_path / folder)) is drawn
    assert not draws_on(release, "hf://ann/foxes")


def test_a_hub_dataset_is_named_by_its_name(home: Path) -> None:
    write_json(job_file("toy", "sandbox"), toy({"path": "hf://ann/foxes@main"}))
    release = {"app": "toy", "target": "sandbox"}
    assert draws_on(release, "hf://ann/foxes")
    assert draws_on(release, "hf://ann/foxes@" + "0" * 40)
    assert not draws_on(release, "hf://ann/fox")
    assert not draws_on(release, "/ann/foxes")


def test_the_sensor_tells_of_each_folder_of_what_is_live_once(home: Path, tmp_path: Path, heard: list[dict[str, Any]]) -> None:
    for name in ("fox", "owl"):  # they share their held-out pictures
        release(toy_job(tmp_path, name))
    assert sorted(Path(one["folder"]).name for one in data_sensor.fn(settle=0)) == ["fox", "held_out", "owl"]
    (tmp_path / "fox" / "new.txt").write_text("a caption")
    (told_now,) = data_sensor.fn(settle=0)
    assert told_now["folder"] == str(tmp_path / "fox")
    (tmp_path / "owl").rename(tmp_path / "gone")
    (tmp_path / "fox" / "new.txt").write_text("another caption")
    with pytest.raises(FlowError, match="owl: there is no such folder to watch"):
        data_sensor.fn(settle=0)
    assert len(heard) == 5, "one folder that is gone keeps no other from its look"


def toy(dataset: dict[str, Any]) -> dict[str, Any]:
    texts = {"title": "T", "short_description": "S"}
    return {"name": "toy", "base": {"ref": "a/b"}, "dataset": dataset, "serving": {"app": "toy"}, "listing": texts}
