"""Webhooks: what is posted, that it is signed, how often it is tried, and where it never goes."""

import asyncio
import json
import sqlite3
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from serving.sandbox import control
from serving.sandbox.accounts import Account
from serving.sandbox.control import Running
from serving.sandbox.gateway.replies import Refused, Reply
from serving.sandbox.gateway.signing import Signer
from serving.sandbox.gateway.webhooks import PAUSES, Webhooks, receiver_of, webhook_body
from serving.sandbox.tls import prepare_tls
from tests.serving.sandbox.deployer import Deployer, client_of, until
from tests.serving.sandbox.receiver import is_signed, receiving

CALLER = Account(nickname="somebody")
DONE = Reply(status=200, headers=(), body=b'{"images": []}')


@pytest.fixture
def db() -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.row_factory = sqlite3.Row
    yield connection
    connection.close()


def made(db: sqlite3.Connection, folder: Path, pauses: tuple[float, ...] = (0.02, 0.02, 0.02)) -> Webhooks:
    prepare_tls(folder / "tls")
    return Webhooks(db, Signer(folder / "key.pem"), trust=folder / "tls" / "bundle.pem", pauses=pauses)


def run(webhooks: Webhooks, doing: Callable[[], Awaitable[None]]) -> None:
    async def open_meanwhile() -> None:
        webhooks.open()
        try:
            await doing()
        finally:
            await webhooks.close()

    asyncio.run(open_meanwhile())


async def settled(webhooks: Webhooks, request_id: str) -> None:
    deadline = time.monotonic() + 10
    while webhooks.of(request_id)[0].state == "pending":
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("over", ["http", "https"])
def test_a_delivery_is_signed_so_that_a_receiver_can_tell(db: sqlite3.Connection, tmp_path: Path, over: str) -> None:
    webhooks = made(db, tmp_path)
    tls = prepare_tls(tmp_path / "tls") if over == "https" else None
    with receiving(tls=tls) as receiver:

        async def deliver() -> None:
            webhooks.add(receiver.url, request_id="r-1", caller=CALLER, reply=DONE)
            await settled(webhooks, "r-1")

        run(webhooks, deliver)
        [(path, headers, body)] = receiver.got
    keys = Signer(tmp_path / "key.pem").jwks()["keys"]
    assert path == "/hook"
    assert is_signed(headers, body, keys)
    assert not is_signed(headers, body + b" ", keys)
    assert not is_signed(headers | {"x-fal-webhook-user-id": "another"}, body, keys)
    assert headers["x-fal-webhook-user-id"] == CALLER.user_id
    assert abs(int(headers["x-fal-webhook-timestamp"]) - time.time()) < 300
    assert (tmp_path / "key.pem").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("answers", "state", "deliveries"),
    [((500, 404, 200), "delivered", 3), ((503,), "failed", 4), ((302, 200), "failed", 1)],
)
def test_a_delivery_is_tried_again_until_it_is_taken_and_follows_no_redirect(
    db: sqlite3.Connection, tmp_path: Path, answers: tuple[int, ...], state: str, deliveries: int
) -> None:
    webhooks = made(db, tmp_path)
    with receiving(*answers) as receiver:

        async def deliver() -> None:
            webhooks.add(receiver.url, request_id="r-1", caller=CALLER, reply=DONE)
            await settled(webhooks, "r-1")

        run(webhooks, deliver)
        assert [path for path, _, _ in receiver.got] == ["/hook"] * deliveries
        assert len({body for _, _, body in receiver.got}) == 1
    [delivery] = webhooks.of("r-1")
    assert (delivery.state, delivery.deliveries) == (state, deliveries)


def test_a_restart_goes_on_with_what_was_not_delivered(db: sqlite3.Connection, tmp_path: Path) -> None:
    with receiving() as receiver:
        first = made(db, tmp_path, pauses=(0.1, 0.1))

        async def fail() -> None:
            with receiving() as gone:
                pass
            first.add(gone.url, request_id="r-1", caller=None, reply=DONE)
            while first.of("r-1")[0].deliveries == 0:
                await asyncio.sleep(0.01)

        run(first, fail)
        assert first.of("r-1")[0].state == "pending"
        db.execute("UPDATE webhooks SET url = ?", (receiver.url,))
        second = made(db, tmp_path)
        run(second, lambda: settled(second, "r-1"))
        [(_, headers, _)] = receiver.got
    assert headers["x-fal-webhook-user-id"] == "anonymous"
    assert second.of("r-1")[0].state == "delivered"


def test_the_retries_are_those_that_fal_documents() -> None:
    assert len(PAUSES) == 10
    assert 0.9 * 7200 < sum(PAUSES) < 1.1 * 7200


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (200, b'{"a": 1}', {"status": "OK", "error": None, "payload": {"a": 1}}),
        (422, b'{"detail": []}', {"status": "ERROR", "error": "Invalid status code: 422", "payload": {"detail": []}}),
        (200, b"png", {"status": "OK", "payload": None}),
        (200, b"NaN", {"status": "OK", "payload": None}),
    ],
)
def test_what_is_posted_is_the_reply_or_says_why_not(status: int, body: bytes, expected: dict[str, Any]) -> None:
    said = json.loads(webhook_body("r-1", Reply(status=status, headers=(), body=body)))
    assert said["request_id"] == said["gateway_request_id"] == "r-1"
    assert {name: said[name] for name in expected} == expected
    assert ("payload_error" in said) == (said["payload"] is None)


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/a?b=c", "https://127.3.2.1/", "http://[::1]:80/", "http://localhost:99/a"])
def test_an_address_of_this_machine_is_delivered_to(url: str) -> None:
    assert receiver_of(url) == str(httpx.URL(url.replace("localhost", "127.0.0.1")))


@pytest.mark.parametrize(
    "url",
    [
        "https://example.org/hook",
        "http://10.0.0.1/",
        "http://localhost.example.org/",
        "http://127.0.0.1.example.org/",
        "ftp://127.0.0.1/",
        "http://user:secret@127.0.0.1/",
        "/hook",
        "http://0.0.0.0/",
        "http://[::]/",
    ],
)
def test_any_other_address_is_refused(url: str) -> None:
    with pytest.raises(Refused, match="of this machine"):
        receiver_of(url)


def test_the_platform_posts_results_and_publishes_its_key(owner: Deployer, sandbox: Running, home: Path) -> None:
    owner.deploy("hooked", {"version": 1}, auth="SHARED")
    with client_of(sandbox, key=sandbox.caller_key) as caller, receiving() as receiver:
        place = f"/queue/{sandbox.owner}/hooked"
        for body in ({"images": 2}, {"images": 0, "status": 422}):
            answer = caller.post(place, params={"fal_webhook": receiver.url, "own": "1"}, json=body).json()
            assert answer["gateway_request_id"] == answer["request_id"]
        until(lambda: len(receiver.got) == 2)
        keys = caller.get("/.well-known/jwks.json").json()["keys"]
        said = [json.loads(body) for _, _, body in receiver.got]
        assert all(is_signed(headers, body, keys) for _, headers, body in receiver.got)
        assert [(each["status"], each["error"]) for each in said] == [("OK", None), ("ERROR", "Invalid status code: 422")]
        assert said[0]["payload"]["query"] == "own=1"  # what is for the platform does not reach the app
        assert {row["units"] for row in control.ledger(home) if row["app"] == "hooked"} == {"2", "0"}
        refused = caller.post(place, params={"fal_webhook": "https://example.org"}, json={})
    assert (refused.status_code, refused.json()["error_type"]) == (400, "bad_request")
    assert "delivers nowhere else" in refused.json()["detail"]
