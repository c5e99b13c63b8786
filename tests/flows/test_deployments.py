"""prefect.yaml: Prefect drops unknown keys in silence, so this reads the file with its own eyes."""

import importlib
import inspect
from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect._internal.schemas.validators import validate_cron_string

ROOT = Path(__file__).resolve().parents[2]
FILE: dict[str, Any] = yaml.safe_load((ROOT / "prefect.yaml").read_text())
KEYS = {
    "name",
    "entrypoint",
    "description",
    "tags",
    "concurrency_limit",
    "enforce_parameter_schema",
    "work_pool",
    "schedules",
    "parameters",
    "version",
    "triggers",
}


def flow_of(deployment: dict[str, Any]) -> Any:
    file, _, function = deployment["entrypoint"].partition(":")
    return getattr(importlib.import_module(file.removesuffix(".py").replace("/", ".")), function)


def test_the_deployments_are_there() -> None:
    names = [each["name"] for each in FILE["deployments"]]
    assert names[:4] == ["publish", "train", "retrain-and-redeploy", "data-sensor"]
    assert names[4:] == ["license-report", "monitor", "watch", "rollback", "share"]


@pytest.mark.parametrize("deployment", FILE["deployments"], ids=lambda each: each["name"])
def test_deployment_is_what_prefect_reads(deployment: dict[str, Any]) -> None:
    assert set(deployment) <= KEYS
    assert deployment["work_pool"]["name"] in {"gpu", "cpu"}
    assert "job_variables" not in deployment["work_pool"], "secrets in job variables would be stored in plain text"
    assert set(deployment.get("parameters", {})) <= set(inspect.signature(flow_of(deployment).fn).parameters)


SCHEDULED = [each for each in FILE["deployments"] if each["name"] not in ("publish", "train", "rollback", "share")]


@pytest.mark.parametrize("deployment", SCHEDULED, ids=lambda each: each["name"])
def test_schedules_parse_and_keep_an_operators_pause(deployment: dict[str, Any]) -> None:
    for schedule in deployment["schedules"]:
        assert set(schedule) == {"cron", "timezone", "slug"}, "`active: true` would wake what an operator paused"
        assert validate_cron_string(schedule["cron"])
        assert schedule["cron"].split()[0] not in ("0", "*", "*/15"), "on the hour everybody runs"


@pytest.mark.parametrize("deployment", SCHEDULED, ids=lambda each: each["name"])
def test_scheduled_flows_need_no_parameters(deployment: dict[str, Any]) -> None:
    parameters = inspect.signature(flow_of(deployment).fn).parameters
    assert [name for name, each in parameters.items() if each.default is inspect.Parameter.empty] == []
