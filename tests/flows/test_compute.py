"""The trainer as a child: its events become progress, its own line and code come back."""

import json
from pathlib import Path

import pytest

from flows.errors import StepFailed, StepKilled
from flows.machines.compute import failure, launch_trainer, new_events, show


class Seen:
    """A bar that remembers."""

    def __init__(self) -> None:
        self.lines: list[tuple[float, float | None, str]] = []

    def update(self, done: float, total: float | None = None, note: str = "") -> None:
        self.lines.append((done, total, note))


def test_a_trainer_that_refuses_its_input_says_why_with_its_own_code(tmp_path: Path) -> None:
    arguments = ["train", "--config", str(tmp_path / "nowhere.json"), "--out", str(tmp_path / "out"), "--work", str(tmp_path)]
    events = tmp_path / "events.jsonl"
    with pytest.raises(StepFailed, match=r"nowhere\.json") as error:
        launch_trainer([*arguments, "--events", str(events)], events=events, log=tmp_path / "log", bar=Seen())
    assert error.value.exit_code == 2
    assert "\n" not in str(error.value)


def test_modules_in_the_folder_of_the_caller_are_not_taken_for_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("training", "flows"):
        (tmp_path / f"{name}.py").write_text("raise RuntimeError('a module of the caller')")
    monkeypatch.chdir(tmp_path)
    events = tmp_path / "events.jsonl"
    arguments = ["train", "--config", "nowhere.json", "--out", "out", "--work", "work", "--events", str(events)]
    with pytest.raises(StepFailed, match=r"nowhere\.json"):
        launch_trainer(arguments, events=events, log=tmp_path / "log", bar=Seen())


def test_half_a_line_waits_for_its_end(tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl"
    file.write_text('{"event": "step", "step": 1}\n{"event": "st')
    with file.open() as reader:
        assert [event["step"] for event in new_events(reader)] == [1]
        with file.open("a") as writer:
            writer.write('ep", "step": 2}\n')
        assert [event["step"] for event in new_events(reader)] == [2]


@pytest.mark.parametrize(
    ("event", "line"),
    [
        ({"event": "stage", "stage": "encode", "total": 80}, (0, 80, "(encode)")),
        ({"event": "step", "stage": "train", "step": 3, "total": 9, "loss": 0.5}, (3, 9, "(train) loss 0.5000")),
    ],
)
def test_events_become_progress(event: dict[str, object], line: tuple[float, float, str]) -> None:
    bar = Seen()
    show(event, bar)
    assert bar.lines == [line]


@pytest.mark.parametrize(
    ("events", "says", "code"),
    [
        ([], "said nothing", 1),
        ([{"event": "step", "step": 1}], "said nothing", 1),
        ([{"event": "error", "message": "loss is not a number", "exit_code": 1}], "loss is not a number", 1),
        ([{"event": "error", "message": "stopped", "exit_code": 130}], "stopped", 130),
    ],
)
def test_the_last_event_is_the_reason(events: list[dict[str, object]], says: str, code: int, tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl"
    file.write_text("".join(json.dumps(event) + "\n" for event in events))
    found = failure(file, tmp_path / "log", 1)
    assert says in str(found)
    assert found.exit_code == code
    assert isinstance(found, StepKilled) is (says == "said nothing")
