"""Every call of the SDK's CLI and API and of the client works unmodified against the sandbox, and sends what it always sent."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import isolate_proto as proto
import pytest

from serving.sandbox.plane.access import RIGHT_OF
from tests.contracts.calls import CALLS
from tests.contracts.record import RECORDED, fits, made

NAMES = [call.name for call in CALLS]
# Said in one line to be no part of the sandbox; the first two are sent by nothing that the SDK's CLI offers.
NOT_EMULATED = {"Map", "InteractiveRun", "ShellRunner"}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("conformance")


@pytest.fixture(scope="module")
def outcomes(home: Path) -> Iterator[dict[str, dict[str, Any]]]:
    with made(home) as found:
        yield found


@pytest.fixture(scope="module")
def recorded() -> dict[str, Any]:
    calls: dict[str, Any] = json.loads(RECORDED.read_text())["calls"]
    return calls


@pytest.mark.parametrize("name", NAMES)
def test_a_call_ends_and_says_as_it_should(outcomes: dict[str, dict[str, Any]], name: str) -> None:
    outcome = outcomes[name]
    assert fits(outcome), f"exit {outcome['code']}, wanted {outcome['wanted']} and {outcome['says']}; said: {outcome['output']}"


@pytest.mark.parametrize("name", NAMES)
def test_a_call_sends_what_is_recorded(outcomes: dict[str, dict[str, Any]], recorded: dict[str, Any], name: str) -> None:
    assert outcomes[name]["sent"] == recorded[name], (
        "the SDK or the client sends something else now: python -m tests.contracts.record"
    )


def test_what_was_downloaded_is_what_was_uploaded(outcomes: dict[str, Any], home: Path) -> None:
    assert (home / "package" / "back.txt").read_text() == "small"


def test_the_record_is_of_these_calls_and_reaches_every_method(recorded: dict[str, Any]) -> None:
    assert list(recorded) == NAMES
    reached = {line["rpc"] for lines in recorded.values() for line in lines if "rpc" in line}
    assert reached | NOT_EMULATED == set(RIGHT_OF)
    service = proto.controller_pb2.DESCRIPTOR.services_by_name["IsolateController"]
    assert set(RIGHT_OF) == {method.name for method in service.methods}


def test_no_value_is_in_the_record_and_no_secret_in_any_file(outcomes: dict[str, Any], home: Path) -> None:
    record = (home / "record.jsonl").read_text()
    assert not re.search(r"planted|sandbox-owner|sandbox-[0-9a-f]{16}|direct|\bpickled\b", record)
    state = ("state.db", "state.db-wal", "state.db-shm")
    files = [path for path in home.rglob("*") if path.is_file() and path.name not in state]
    assert len(files) > 10
    assert [path for path in files if b"planted" in path.read_bytes()] == []
