"""The automations of flows/automations/*.yaml on a Prefect server: made or replaced by name, and asleep where somebody paused them.

A file is what `prefect automation create --from-file` reads, and may name a deployment as `deployment: flow/name` and a block as
`block: type/name` where Prefect wants their ids.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from flows.errors import FlowError
from flows.orchestration.orchestrator import SOURCE

if TYPE_CHECKING:
    from uuid import UUID

    from prefect.client.orchestration import SyncPrefectClient
    from prefect.events.schemas.automations import Automation

FOLDER = SOURCE / "flows" / "automations"


def create_all(client: "SyncPrefectClient", folder: Path = FOLDER) -> list[str]:
    """Every automation of the folder; a remark for each that waits for something which is not on the server."""
    there: dict[str, list[Automation]] = {}
    for one in client.read_automations():
        there.setdefault(one.name, []).append(one)
    remarks = []
    for file in sorted(folder.glob("*.yaml")):
        for wanted in automations_of(file):
            try:
                resolved = with_ids(client, wanted)
            except LookupError as lack:
                remarks.append(f"automation {wanted['name']} is not made: {lack.args[0]}")
                continue
            put(client, resolved, there.get(wanted["name"], []))
    return remarks


def automations_of(file: Path) -> list[dict[str, Any]]:
    """What a file holds: one automation, a list of them, or a list below `automations`."""
    content = yaml.safe_load(file.read_text())
    if isinstance(content, dict):
        content = content.get("automations", [content])
    for each in content or []:
        if not isinstance(each, dict) or not {"name", "trigger", "actions"} <= each.keys():
            raise FlowError(f"{file}: an automation needs name, trigger and actions")
    return list(content or [])


def put(client: "SyncPrefectClient", wanted: Mapping[str, Any], there: "list[Automation]") -> None:
    """Make it, or give the first of its name this content; more of its name go."""
    from prefect.events.schemas.automations import AutomationCore

    if not there:
        client.create_automation(AutomationCore.model_validate(wanted))
        return
    first, *others = there
    client.update_automation(first.id, AutomationCore.model_validate({**wanted, "enabled": first.enabled}))
    for one in others:
        client.delete_automation(one.id)


def with_ids(client: "SyncPrefectClient", wanted: Mapping[str, Any]) -> dict[str, Any]:
    """The automation with ids for the names in its actions; LookupError says what is not there."""
    return {**wanted, "actions": [action_with_ids(client, dict(action)) for action in wanted["actions"]]}


def action_with_ids(client: "SyncPrefectClient", action: dict[str, Any]) -> dict[str, Any]:
    if name := action.pop("deployment", None):
        action |= {"source": "selected", "deployment_id": str(deployment_id(client, name))}
    if name := action.pop("block", None):
        action["block_document_id"] = str(block_id(client, name))
    return action


def deployment_id(client: "SyncPrefectClient", name: str) -> "UUID":
    from prefect.exceptions import ObjectNotFound

    try:
        return client.read_deployment_by_name(name).id
    except ObjectNotFound:
        raise LookupError(f"there is no deployment {name}") from None


def block_id(client: "SyncPrefectClient", name: str) -> "UUID":
    """Of a block as `slack-webhook/lorasmith`, which a person has made with its secret in it."""
    from prefect.exceptions import ObjectNotFound

    kind, _, block = name.partition("/")
    try:
        return client.read_block_document_by_name(block, kind, include_secrets=False).id
    except ObjectNotFound:
        raise LookupError(f"there is no block {name}") from None


def paused(client: "SyncPrefectClient") -> set[str]:
    """Names of the automations that are asleep."""
    return {one.name for one in client.read_automations() if not one.enabled}


def pause_again(client: "SyncPrefectClient", names: Iterable[str]) -> None:
    """Put to sleep what `prefect deploy` woke: it makes the triggers of deployments anew."""
    asleep = set(names)
    for one in client.read_automations():
        if one.enabled and one.name in asleep:
            client.pause_automation(one.id)
