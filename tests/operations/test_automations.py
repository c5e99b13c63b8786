"""Our events on a real server, and what the automations beside the flows do with each: nothing is taken on trust."""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from prefect import get_client
from prefect.blocks.notifications import CustomWebhookNotificationBlock
from prefect.blocks.webhook import Webhook
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterId
from prefect.client.schemas.objects import FlowRun

from flows.orchestration import automating
from tests.operations.prefect import ROOT, Prefect, until

SAID = {
    "app": "toy",
    "target": "sandbox",
    "revision": "revision-7",
    "code": "errors",
    "level": "alert",
    "text": '30 of 60 requests "failed" {{ 1 + 1 }}',
    "todo": "look at the app's log",
}
RESOURCE = "lorasmith.app.sandbox.toy"


@pytest.fixture(scope="module")
def received() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """A receiver on loopback, and what it was sent."""
    bodies: list[dict[str, Any]] = []

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, format: str, *arguments: Any) -> None: ...

    server = HTTPServer(("127.0.0.1", 0), Receiver)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", bodies
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(scope="module")
def server(
    tmp_path_factory: pytest.TempPathFactory, environment: dict[str, str], received: tuple[str, list[dict[str, Any]]]
) -> Iterator[Prefect]:
    """All deployments, no worker, the block of a person who wants to be told, our automations, and our events."""
    found = Prefect(tmp_path_factory.mktemp("prefect"), environment, workers=())
    try:
        with found.client_settings(), get_client(sync_client=True) as client:
            remarks = automating.create_all(client)
            assert {remark.split()[1] for remark in remarks} >= {"lorasmith-notify-webhook", "lorasmith-notify-slack"}
            Webhook(method="POST", url=f"{received[0]}/told", allow_private_urls=True).save("lorasmith")
            automating.create_all(client)
            notify(client, f"{received[0]}/note")
            assert [one.name for one in client.read_deployments() if one.paused] == []
        emit(found, *(f"lorasmith.monitor.{name}" for name in ("ok", "alert", "pause", "roll-back")))
        yield found
    finally:
        found.end()


def notify(client: SyncPrefectClient, url: str) -> None:
    """The automation of the file for Slack, with a block of another kind in its place: Slack itself is not on loopback."""
    (wanted,) = automating.automations_of(ROOT / "flows" / "automations" / "notify-slack.yaml")
    body = {"subject": "{{subject}}", "body": "{{body}}"}
    CustomWebhookNotificationBlock(name="lorasmith", url=url, json_data=body, allow_private_urls=True).save("lorasmith")
    action = {**wanted["actions"][0], "block": "custom-webhook/lorasmith"}
    automating.put(client, automating.with_ids(client, {**wanted, "name": "notification", "actions": [action]}), [])


def emit(server: Prefect, *names: str) -> None:
    """From a process that ends right after: what it has sent must arrive all the same."""
    code = f"from flows.events import emit\nfor name in {names!r}: emit(name, {RESOURCE!r}, {SAID!r})"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=server.environment, check=True, timeout=60)


def test_a_name_without_its_block_is_said_and_the_others_are_made_once(server: Prefect) -> None:
    with server.client_settings(), get_client(sync_client=True) as client:
        remarks = automating.create_all(client)
        names = [one.name for one in client.read_automations()]
    assert sorted(remark for remark in remarks if "notify" in remark) == [
        "automation lorasmith-notify-email is not made: there is no block sendgrid-email/lorasmith",
        "automation lorasmith-notify-slack is not made: there is no block slack-webhook/lorasmith",
    ]
    for name in ("lorasmith-notify-webhook", "lorasmith-pause-retraining", "lorasmith-roll-back"):
        assert names.count(name) == 1, "though it was made three times"


def test_an_alert_is_posted_to_who_wants_to_be_told(server: Prefect, received: tuple[str, list[dict[str, Any]]]) -> None:
    def told() -> list[dict[str, Any]]:
        return [body for body in received[1] if "event" in body]

    until(lambda: bool(told()), 30, "no webhook came")
    assert told() == [{"event": "lorasmith.monitor.alert", "resource": RESOURCE, "payload": SAID}], "no more than asked for"


def test_a_notification_has_subject_and_body(server: Prefect, received: tuple[str, list[dict[str, Any]]]) -> None:
    def notes() -> list[dict[str, Any]]:
        return [body for body in received[1] if "subject" in body]

    until(lambda: bool(notes()), 30, "no notification came")
    (note,) = notes()
    assert note["subject"] == "alert: toy"
    assert note["body"].splitlines() == [SAID["text"], SAID["todo"], "(lorasmith.monitor.alert, sandbox, errors)"]


def test_an_alert_that_says_so_pauses_the_schedule_of_retraining_alone(server: Prefect) -> None:
    def paused() -> set[str]:
        with server.client_settings(), get_client(sync_client=True) as client:
            return {one.name for one in client.read_deployments() if one.paused}

    until(lambda: bool(paused()), 30, "nothing was paused")
    assert paused() == {"retrain-and-redeploy"}


def test_an_alert_that_says_so_starts_one_rollback_of_what_it_is_about(server: Prefect) -> None:
    def runs() -> list[FlowRun]:
        with server.client_settings(), get_client(sync_client=True) as client:
            wanted = DeploymentFilter(id=DeploymentFilterId(any_=[client.read_deployment_by_name("rollback/rollback").id]))
            return client.read_flow_runs(deployment_filter=wanted)

    until(lambda: bool(runs()), 30, "no run was made")
    (run,) = runs()
    reason = f"monitor: errors: {SAID['text']}"
    assert run.parameters == {"app": "toy", "target": "sandbox", "revision": "revision-7", "reason": reason}


def test_every_event_that_was_sent_is_kept_here_too(server: Prefect, home: Path) -> None:
    kept = [json.loads(line) for line in (home / "logs" / "events.jsonl").read_text().splitlines()]
    assert [line["event"] for line in kept] == [f"lorasmith.monitor.{name}" for name in ("ok", "alert", "pause", "roll-back")]
    assert {line["resource"] for line in kept} == {RESOURCE}
