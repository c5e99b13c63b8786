"""The Prometheus endpoint: fal's names and labels, in a text that Prometheus' own parser reads."""

import time

from prometheus_client.parser import text_string_to_metric_families

from serving.sandbox.accounts import CALLER, OWNER
from serving.sandbox.gateway.journeys import AtWork
from tests.serving.sandbox.desk import Desk, entry

LABELS = {
    "fal_app_runners": {"application", "state", "machine_type"},
    "fal_app_queue_size": {"application"},
    "fal_app_concurrent_requests": {"application"},
    "fal_app_requests_completed": {"application", "method", "status"},
    "fal_app_requests_received": {"application", "method"},
    "fal_app_request_latency": {"application", "le"},
}


def scraped(desk: Desk, **account: str) -> dict[str, dict[tuple[str, ...], float]]:
    """Values by name and labels, in the order of LABELS' words in the text; the parser has checked the form."""
    reply = desk.get("serverless/metrics", **account)
    assert (reply.status_code, reply.headers["content-type"]) == (200, "text/plain; charset=utf-8")
    families = list(text_string_to_metric_families(reply.text))
    assert {family.name for family in families} == set(LABELS)
    assert {family.type for family in families} == {"gauge"}
    for family in families:
        assert all(set(sample.labels) == LABELS[family.name] for sample in family.samples)
    return {family.name: {tuple(sample.labels.values()): sample.value for sample in family.samples} for family in families}


def test_the_last_minute_is_told_by_app_method_status_and_latency() -> None:
    now, app, candidate = time.time(), f"{OWNER}/app", f"{OWNER}/app--candidate"
    with Desk() as desk:
        desk.deploy("app")
        desk.deploy("app--candidate", auth="private")
        for took, fields in (
            (0.2, {}),
            (0.7, {"path": "/fast"}),
            (0.7, {"status": 422}),
            (3.0, {"environment": "candidate", "method": "PUT"}),
            (90.0, {}),
        ):
            desk.ledger.record(entry(ended_at=now - 1, created_at=now - 1 - took, **fields))
        desk.ledger.record(entry(ended_at=now - 61, created_at=now - 62))  # longer ago
        desk.ledger.record(entry(app="gone", ended_at=now - 1))
        found = scraped(desk)
    assert found["fal_app_requests_completed"] == {
        (app, "POST", "200"): 3,
        (app, "POST", "422"): 1,
        (candidate, "PUT", "200"): 1,
    }
    assert found["fal_app_requests_received"] == {(app, "POST"): 3, (candidate, "PUT"): 1}  # one came in before the minute
    latency = found["fal_app_request_latency"]
    assert [latency[app, limit] for limit in ("0.1", "0.25", "1.0", "60.0", "+Inf")] == [0, 1, 3, 3, 4]
    assert latency[candidate, "2.5"] == 0
    assert latency[candidate, "+Inf"] == 1


def test_requests_on_their_way_are_in_the_queue_or_with_a_runner() -> None:
    app = f"{OWNER}/app"
    with Desk() as desk:
        desk.deploy("app")
        desk.deploy("idle")
        desk.open_requests = [at_work("IN_QUEUE"), at_work("IN_QUEUE"), at_work("IN_PROGRESS"), at_work("IN_QUEUE", owner="other")]
        found = scraped(desk)
        assert found["fal_app_queue_size"] == {(app,): 2, (f"{OWNER}/idle",): 0}
        assert found["fal_app_concurrent_requests"] == {(app,): 1, (f"{OWNER}/idle",): 0}
        assert found["fal_app_requests_received"] == {(app, "POST"): 3}


def test_nobody_scrapes_what_is_anothers() -> None:
    with Desk() as desk:
        desk.deploy("app")
        desk.ledger.record(entry())
        assert scraped(desk, account=CALLER) == {name: {} for name in LABELS}


def test_a_name_with_marks_is_escaped() -> None:
    with Desk() as desk:
        desk.deploy('a"b\\c')
        assert scraped(desk)["fal_app_queue_size"] == {(f'{OWNER}/a"b\\c',): 0}


def at_work(state: str, *, owner: str = OWNER) -> AtWork:
    return AtWork(
        request_id="r",
        owner=owner,
        app="app",
        path="/",
        caller=CALLER,
        queued=True,
        created_at=time.time(),
        state=state,
        runner=None if state == "IN_QUEUE" else "one",
    )
