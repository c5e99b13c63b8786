"""Webhooks: a queued request's result is posted to its caller's address, signed, again and again until it is taken."""

import asyncio
import contextlib
import ipaddress
import json
import sqlite3
import ssl
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from ..accounts import Account
from .replies import ANY_ORIGIN, Refused, Reply
from .signing import Signer

# fal documents 15 s for a delivery and 10 retries in 2 hours; that the pauses double is ours: 7 s, 14 s, ... 1 h.
ANSWER_SECONDS = 15.0
PAUSES = tuple(7.0 * 2**number for number in range(10))
IDLE_SECONDS = 60.0
ANONYMOUS = "anonymous"

SCHEMA = """
CREATE TABLE IF NOT EXISTS webhooks (
    number INTEGER PRIMARY KEY, request_id TEXT, user_id TEXT, url TEXT, body BLOB, created_at REAL,
    state TEXT NOT NULL DEFAULT 'pending', deliveries INTEGER NOT NULL DEFAULT 0, due REAL, error TEXT);
CREATE INDEX IF NOT EXISTS webhooks_by_state ON webhooks (state, due);
"""
KEPT = 2000  # of those that are delivered or given up


@dataclass(frozen=True, kw_only=True, slots=True)
class Delivery:
    """How a webhook stands: state is pending, delivered or failed; `error` of the latest try."""

    request_id: str
    state: str
    deliveries: int
    error: str | None


class Webhooks:
    """add() within the transaction that ends the request; what is due is posted while it is open, also after a restart."""

    def __init__(self, db: sqlite3.Connection, signer: Signer, *, trust: Path, pauses: Sequence[float] = PAUSES) -> None:
        """`trust`: PEM file of the authorities that https receivers are checked against. `pauses`: seconds before each retry."""
        self._db = db
        self._signer = signer
        self._trust = trust
        self._pauses = pauses
        self._news = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        db.executescript(SCHEMA)

    def routes(self) -> list[Route]:
        return [Route("/.well-known/jwks.json", self.jwks)]

    async def jwks(self, request: Request) -> JSONResponse:
        return JSONResponse(self._signer.jwks(), headers=ANY_ORIGIN)

    def open(self) -> None:
        self._task = asyncio.create_task(self._work())

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def add(self, url: str, *, request_id: str, caller: Account | None, reply: Reply) -> None:
        user_id = caller.user_id if caller else ANONYMOUS
        row = (request_id, user_id, url, webhook_body(request_id, reply), time.time(), time.time())
        self._db.execute("INSERT INTO webhooks (request_id, user_id, url, body, created_at, due) VALUES (?,?,?,?,?,?)", row)
        self._db.execute(
            "DELETE FROM webhooks WHERE state != 'pending' AND number <= (SELECT max(number) FROM webhooks) - ?", (KEPT,)
        )
        self._news.set()

    def of(self, request_id: str) -> list[Delivery]:
        rows = self._db.execute("SELECT request_id, state, deliveries, error FROM webhooks WHERE request_id = ?", (request_id,))
        return [Delivery(request_id=row[0], state=row[1], deliveries=row[2], error=row[3]) for row in rows]

    async def _work(self) -> None:
        context = ssl.create_default_context(cafile=str(self._trust))
        async with httpx.AsyncClient(verify=context, trust_env=False, timeout=ANSWER_SECONDS) as client:
            while True:
                try:
                    await self._turn(client)
                except sqlite3.OperationalError as error:  # the disk is full, or somebody holds the file: later it is not
                    print(f"webhooks wait: {error}", flush=True)
                    await asyncio.sleep(1)

    async def _turn(self, client: httpx.AsyncClient) -> None:
        """Deliver what is due, or wait until something is."""
        self._news.clear()
        query = "SELECT * FROM webhooks WHERE state = 'pending' AND due <= ? ORDER BY due LIMIT 20"
        due = self._db.execute(query, (time.time(),)).fetchall()
        await asyncio.gather(*(self._deliver(client, row) for row in due))
        if not due:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait(), self._seconds_to_next())

    async def _deliver(self, client: httpx.AsyncClient, row: sqlite3.Row) -> None:
        signed = self._signer.headers(request_id=row["request_id"], user_id=row["user_id"], body=row["body"])
        headers = {"content-type": "application/json", **signed}
        final = False
        try:
            async with (
                asyncio.timeout(ANSWER_SECONDS),
                client.stream("POST", row["url"], content=row["body"], headers=headers) as answer,
            ):
                error = None if answer.is_success else f"it answered {answer.status_code}"
                final = answer.has_redirect_location or answer.is_redirect  # a place nobody agreed to is not asked
        except Exception as fault:  # of the address, the way or the receiver: none of them ends the deliveries to others
            error = str(fault) or type(fault).__name__
        self._note(row, error, final=final)

    def _note(self, row: sqlite3.Row, error: str | None, *, final: bool) -> None:
        deliveries = row["deliveries"] + 1
        state, due = "delivered", None
        if error is not None:
            again = not final and deliveries <= len(self._pauses)
            state, due = ("pending", time.time() + self._pauses[deliveries - 1]) if again else ("failed", None)
            print(f"webhook of request {row['request_id']}, delivery {deliveries}: {error}", flush=True)
        values = (state, due, deliveries, error, row["number"])
        self._db.execute("UPDATE webhooks SET state = ?, due = ?, deliveries = ?, error = ? WHERE number = ?", values)
        if state != "pending":
            self._db.execute("UPDATE webhooks SET body = NULL WHERE number = ?", (row["number"],))

    def _seconds_to_next(self) -> float:
        due = self._db.execute("SELECT min(due) FROM webhooks WHERE state = 'pending'").fetchone()[0]
        return IDLE_SECONDS if due is None else min(IDLE_SECONDS, max(0.01, due - time.time()))


def webhook_body(request_id: str, reply: Reply) -> bytes:
    """What fal posts: `payload` is the reply's JSON, or null with `payload_error` where it has none."""
    ok = 200 <= reply.status < 300
    body: dict[str, object] = {
        "request_id": request_id,
        "gateway_request_id": request_id,
        "status": "OK" if ok else "ERROR",
        "error": None if ok else f"Invalid status code: {reply.status}",
        "payload": None,
    }
    try:
        return json.dumps(body | {"payload": json.loads(reply.body, parse_constant=_no_constant)}, allow_nan=False).encode()
    except (ValueError, RecursionError) as fault:  # no JSON, numbers that JSON has not, nested too deep to be read
        return json.dumps(body | {"payload_error": f"The response is not JSON: {fault}"}).encode()


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON value")


def receiver_of(value: str) -> str:
    """The address of a webhook; Refused where it is not one on this machine, as the sandbox reaches nothing else."""
    try:
        url = httpx.URL(value)
    except httpx.InvalidURL:
        url = httpx.URL("")
    if (
        url.scheme not in ("http", "https")
        or not _is_loopback(url.host)
        or url.userinfo
        or not 0 < (80 if url.port is None else url.port) < 1 << 16
    ):
        detail = f"fal_webhook: '{value[:200]}' is not an http(s) address of this machine (127.0.0.1, ::1, localhost);"
        raise Refused(
            status=400, detail=f"{detail} the sandbox delivers nowhere else, fal delivers to public ones.", error_type="bad_request"
        )
    return str(url.copy_with(host="127.0.0.1")) if url.host == "localhost" else str(url)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
