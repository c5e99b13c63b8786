"""What a server is given before workers may come: what differs from prefect.yaml is told, and automations name what they need."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from flows.errors import FlowError
from flows.orchestration import automating, provisioning

WANTED: dict[str, Any] = {
    "name": "publish",
    "entrypoint": "flows/publish.py:publish",
    "tags": ["b", "a"],
    "concurrency_limit": {"limit": 1, "collision_strategy": "CANCEL_NEW"},
    "work_pool": {"name": "cpu", "work_queue_name": "default"},
    "schedules": [{"cron": "7 6 * * *", "timezone": "UTC", "slug": "daily"}],
}


def found(**changes: Any) -> Any:
    there = {
        "work_pool_name": "cpu",
        "work_queue_name": "default",
        "global_concurrency_limit": SimpleNamespace(limit=1),
        "concurrency_options": SimpleNamespace(collision_strategy=SimpleNamespace(value="CANCEL_NEW")),
        "tags": ["a", "b"],
        "enforce_parameter_schema": True,
        "parameters": {},
        "schedules": [SimpleNamespace(slug="daily"), SimpleNamespace(slug="an operator's own")],
    }
    return SimpleNamespace(**there | changes)


@pytest.mark.parametrize(
    ("there", "said"),
    [
        (found(), []),
        (None, ["publish is missing"]),
        (found(work_pool_name="gpu"), ["publish: pool is 'gpu', not 'cpu'"]),
        (found(global_concurrency_limit=None), ["publish: limit is None, not 1", "publish: collision is None, not 'CANCEL_NEW'"]),
        (found(global_concurrency_limit=SimpleNamespace(limit=3)), ["publish: limit is 3, not 1"]),
        (found(tags=["a"]), ["publish: tags is ['a'], not ['a', 'b']"]),
        (found(schedules=[]), ["publish: schedule daily is missing"]),
        (found(enforce_parameter_schema=False), ["publish: schema enforced is False, not True"]),
        (found(parameters={"n": 1}), ["publish: parameters is {'n': 1}, not {}"]),
    ],
)
def test_differences_are_named(there: Any, said: list[str]) -> None:
    assert provisioning.differences(WANTED, there) == said


@pytest.mark.parametrize("file", sorted(automating.FOLDER.glob("*.yaml")), ids=lambda file: file.stem)
def test_every_automation_is_one_that_prefect_reads(file: Path) -> None:
    from prefect.events.schemas.automations import AutomationCore

    ids = "00000000-0000-0000-0000-000000000000"
    for wanted in automating.automations_of(file):
        actions = [named(action, ids) for action in wanted["actions"]]
        made = AutomationCore.model_validate({**wanted, "actions": actions})
        assert made.name == wanted["name"]
        assert wanted.keys() <= AutomationCore.model_fields.keys(), "Prefect would drop a key in silence"
        assert wanted["trigger"].keys() <= type(made.trigger).model_fields.keys()


def named(action: dict[str, Any], ids: str) -> dict[str, Any]:
    """An action with ids in place of names."""
    names = {"deployment": {"source": "selected", "deployment_id": ids}, "block": {"block_document_id": ids}}
    return {key: value for key, value in action.items() if key not in names} | {
        name: value for key in names if key in action for name, value in names[key].items()
    }


def test_a_file_without_an_automation_is_named(tmp_path: Path) -> None:
    file = tmp_path / "broken.yaml"
    file.write_text("name: nothing\ntrigger: {}\n")
    with pytest.raises(FlowError, match=r"broken\.yaml: an automation needs name, trigger and actions"):
        automating.automations_of(file)


def test_names_of_automations_are_given_once() -> None:
    names = [wanted["name"] for file in automating.FOLDER.glob("*.yaml") for wanted in automating.automations_of(file)]
    assert len(names) == len(set(names))
