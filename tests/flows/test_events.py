"""Events: a line on the disk each time, a message to Prefect where a server is named, and nobody's work stops for either."""

import json
import threading
from pathlib import Path
from typing import Any

import pytest

from flows import events
from flows.events import emit, events_file


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LORASMITH_HOME", str(tmp_path))
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path / "prefect"))
    return tmp_path


def lines() -> list[dict[str, Any]]:
    return [json.loads(line) for line in events_file().read_text().splitlines()]


def test_an_event_is_a_line_with_its_moment_and_nothing_is_started_for_it() -> None:
    emit("lorasmith.monitor.warn", "lorasmith.app.sandbox.toy", {"where": Path("/x"), "number": 3})
    (line,) = lines()
    assert line.pop("at").endswith("+00:00")
    assert line == {
        "event": "lorasmith.monitor.warn",
        "resource": "lorasmith.app.sandbox.toy",
        "payload": {"where": "/x", "number": 3},
    }
    assert events_file().stat().st_mode & 0o077 == 0


def test_lines_of_many_at_once_never_mix() -> None:
    def many(number: int) -> None:
        for _ in range(20):
            events.keep({"event": "x", "who": number, "text": "a" * 5000})

    threads = [threading.Thread(target=many, args=[number]) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(lines()) == 160
    assert {len(line["text"]) for line in lines()} == {5000}


def test_a_disk_that_takes_nothing_stops_nobody(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (home / "logs").mkdir()
    (home / "logs" / "events.jsonl").mkdir()
    emit("dataset.updated", "dataset.styles", {})
    assert "event dataset.updated is not kept" in capsys.readouterr().err


def test_names_of_others_are_not_ours_to_send() -> None:
    with pytest.raises(AssertionError, match="ours begin with"):
        emit("prefect.flow-run.Completed", "x", {})
