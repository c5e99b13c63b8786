"""What a command on a rented machine rests on, each for itself: lease, log, the app and its name, the record."""

import json
import time
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

from serving.release.command_log import CommandLog
from serving.release.errors import PackageError
from serving.release.job_lease import LEASE_SECONDS, Lease, leased
from serving.release.lint import KNOWN_KEYS
from serving.release.remote_package import RemoteSettings, build_remote, request_timeout
from serving.release.remote_record import Record, Request
from tests.serving.release.remote_bench import ABOUT, toy_code_in


@pytest.fixture(scope="module")
def toy_code(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toy_code_in(tmp_path_factory.mktemp("code"))


def test_a_job_is_leased_to_one_request_whose_seconds_count_over_its_attempts(tmp_path: Path) -> None:
    with leased(tmp_path, "a") as first, leased(tmp_path, "b") as second:
        assert isinstance(first, Lease)
        assert second == "a"
        first.began -= 50
    with leased(tmp_path, "a") as again:  # the platform tried it once more
        assert isinstance(again, Lease)
        assert again.seconds >= 50
        silent = {"request_id": "a", "used": 50.0, "renewed": time.time() - LEASE_SECONDS - 1}
        (tmp_path / "lease.json").write_text(json.dumps(silent))
        with leased(tmp_path, "b") as other:
            assert isinstance(other, Lease)
            assert other.used == 0.0


def test_events_are_told_once_and_in_order_whatever_else_a_log_holds() -> None:
    told: list[str] = []
    log = CommandLog(told.append)
    log.tell(["INFO: started", 'lorasmith-event 2 {"step": 2}', 'lorasmith-event 1 {"step": 1}', "lorasmith-event 3 {****"])
    log.tell(['lorasmith-event 2 {"step": 2}', "lorasmith-event 4 [4]", "lorasmith-event", 'lorasmith-event 5 {"step": 5}'])
    assert [json.loads(text)["step"] for text in told] == [1, 2, 5]


def test_the_app_is_named_by_what_is_in_it_and_holds_the_code_and_nothing_else(toy_code: Path, tmp_path: Path) -> None:
    settings = RemoteSettings(machine_type="GPU-H100", packages=("safetensors",), secrets=("HF_TOKEN",), seconds=7000)
    (toy_code / "notes.txt").write_text("not code")
    first = build_remote(toy_code, settings, tmp_path / "a")
    (toy_code / "notes.txt").unlink()
    assert build_remote(toy_code, settings, tmp_path / "b").name == first.name
    others = [replace(settings, machine_type="GPU-H200"), replace(settings, packages=("pillow",)), replace(settings, secrets=())]
    assert first.name not in {build_remote(toy_code, other, tmp_path / f"{number}").name for number, other in enumerate(others)}
    toml = tomllib.loads((first.folder / "pyproject.toml").read_text())["tool"]["fal"]["apps"][first.name]
    assert toml.keys() <= KNOWN_KEYS
    assert (toml["auth"], toml["secrets"], toml["num_gpus"], toml["request_timeout"]) == ("private", ["HF_TOKEN"], 1, 4 * 3600)
    assert all("==" in one and "+" not in one for one in toml["requirements"])
    files = {path.relative_to(first.folder).as_posix() for path in first.folder.rglob("*") if path.is_file()}
    code = {"remote/__init__.py", "remote/app.py", "remote/archive.py", "remote/job_lease.py", "toy/__init__.py", "toy/run.py"}
    assert files == {"pyproject.toml", *code}


@pytest.mark.parametrize(("seconds", "hours"), [(60, 1), (3000, 1), (3001, 2), (5 * 3600, 8), (23 * 3600, 24)])
def test_a_request_may_take_whole_hours(seconds: float, hours: int) -> None:
    assert request_timeout(seconds) == hours * 3600


def test_what_no_request_can_hold_is_refused() -> None:
    with pytest.raises(PackageError, match="longer than a request may take"):
        request_timeout(24 * 3600)


def test_a_record_is_whole_after_every_change_and_counts_since_the_job_was_last_done(tmp_path: Path) -> None:
    record = Record(tmp_path / "record.json", ABOUT)
    for state, seconds in (("done", 100.0), ("stopped", 3.0), ("lost", 4.0)):
        record.begin("app")
        record.update(id=state, state=state, seconds=seconds)
    again = Record(tmp_path / "record.json", ABOUT)
    assert again.requests == record.requests
    assert again.seconds == 7.0
    assert isinstance(again.last, Request)
    assert again.last.usd == (2.0, 4.0)
    (tmp_path / "record.json").write_text(json.dumps({"schema": "other/1"}))
    with pytest.raises(ValueError, match="a record of another kind"):
        Record(tmp_path / "record.json", ABOUT)
