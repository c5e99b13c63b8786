"""The queue protocol: submit, status with logs, its stream, result, cancel, webhook."""

import asyncio
import json
import re
import sqlite3
import traceback
import uuid
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from ..state import State
from .admission import Call
from .gateway import METHODS, Gateway, result_of
from .journeys import AtWork, Journey
from .replies import ANY_ORIGIN, REQUEST_ID, Refused, Reply, cancelled, fault, preflight_response, refusal_response, said
from .retries import CONNECTION_ERROR, YES, policy_of
from .statuses import Answer, check_reader, completed, shown
from .tickets import Outcome, Stored, Tickets
from .webhooks import Webhooks, receiver_of

# Clients name a request under `owner/app`; the longer form of fal's documentation, with the route between, is understood too.
ABOUT = re.compile(r"(?:.*/)?requests/(?P<id>[0-9a-f-]{36})(?:/(?P<action>status/stream|status|cancel|response))?/?")
LOOK_SECONDS = 0.1
COMMENT_SECONDS = 15.0
AGAIN_SECONDS = 1.0  # until a result is written that the disk did not take


@dataclass(kw_only=True, eq=False, slots=True)
class Ticket:
    """One open request."""

    journey: Journey
    webhook: str | None = None
    task: asyncio.Task[Reply] | None = None

    @property
    def call(self) -> Call:
        return self.journey.call

    @property
    def waits(self) -> bool:
        return self.journey.runner is None


class RequestQueue:
    """Open requests in order of arrival, each with a task that carries it; those that are done lie in Tickets."""

    def __init__(self, gateway: Gateway, state: State, tickets: Tickets, webhooks: Webhooks, address: str) -> None:
        self._gateway = gateway
        self._state = state
        self._stored = tickets
        self._webhooks = webhooks
        self._base = f"https://{address}/queue"
        self._open: dict[str, Ticket] = {}
        self._telling: set[asyncio.Task[bool]] = set()
        self._closing = False

    def routes(self) -> list[Route]:
        place = "/queue/{owner}/{app}"
        return [Route(path, self.handle, methods=METHODS) for path in (place, place + "/{path:path}")]

    def open(self) -> None:
        """Carry on what the former daemon left: who waited waits, who was at a runner has lost it and is tried again."""
        for stored in self._stored.open(self._state):
            journey = Journey(call=stored.call, attempts=stored.attempts, used=stored.used, cancelled=stored.cancelled)
            ticket = Ticket(journey=journey, webhook=stored.webhook)
            if reply := self._lost(stored):
                self._finish(ticket, reply)
            else:
                journey.used[CONNECTION_ERROR] += stored.begun
                self._start(ticket)

    async def close(self) -> None:
        """Stop carrying; what is open stays so for the next daemon."""
        self._closing = True
        tasks = [ticket.task for ticket in self._open.values() if ticket.task is not None]
        for task in (*tasks, *self._telling):
            task.cancel()
        await asyncio.gather(*tasks, *self._telling, return_exceptions=True)

    def at_work(self) -> list[AtWork]:
        """Open requests, direct and queued, oldest first."""
        return self._gateway.at_work()

    def waiting(self, owner: str, name: str) -> list[Ticket]:
        """The requests of an app that no runner has, in the order in which they will be served."""
        here = [ticket for ticket in self._open.values() if ticket.waits and ticket.call.alias.name == name]
        return sorted((ticket for ticket in here if ticket.call.alias.owner == owner), key=lambda ticket: ticket.call.low)

    def flush(self, tickets: Iterable[Ticket]) -> None:
        """Cancel them."""
        for ticket in list(tickets):
            self._cancel(ticket)

    async def handle(self, request: Request) -> Response:
        """Submissions and everything under /requests/{id}."""
        request_id = str(uuid.uuid4())
        if response := preflight_response(request):
            return response
        try:
            if about := ABOUT.fullmatch(request.path_params.get("path", "")):
                return self._about(request, about["id"], about["action"] or "")
            return self._submitted(request, await self._gateway.admission.admit(request, request_id, queued=True))
        except Refused as refusal:
            return refusal_response(refusal, request_id)

    def _submitted(self, request: Request, call: Call) -> Response:
        try:
            self._check_length(call, request.query_params.get("fal_max_queue_length"))
            wanted = request.query_params.get("fal_webhook")
            webhook = receiver_of(wanted) if wanted else None
        except Refused as refusal:
            raise self._gateway.admission.turn_away(call, refusal) from None
        ticket = Ticket(journey=Journey(call=call), webhook=webhook)
        self._stored.add(call, webhook=webhook)
        self._start(ticket)
        body = {
            "status": "IN_QUEUE",
            "gateway_request_id": call.request_id,
            "queue_position": self._position(ticket),
            **self._urls(call.alias.owner, call.alias.name, call.request_id),
        }
        return said(body, 200, call.request_id)

    def _check_length(self, call: Call, longest: str | None) -> None:
        if longest is None or not re.fullmatch("[0-9]{1,9}", longest):
            return
        waiting = len(self.waiting(call.alias.owner, call.alias.name))
        if waiting > int(longest):
            detail = f"{waiting} requests wait, more than the {longest} of fal_max_queue_length."
            raise Refused(status=429, detail=detail, error_type="queue_length_exceeded")

    def _start(self, ticket: Ticket) -> None:
        self._open[ticket.call.request_id] = ticket
        ticket.task = asyncio.create_task(self._gateway.carrier.carry_on(ticket.journey, self._begun))
        ticket.task.add_done_callback(lambda task: self._ended(ticket, task))

    def _begun(self, journey: Journey) -> None:
        self._stored.begin(journey.call.request_id, attempts=journey.attempts, used=journey.used)

    def _ended(self, ticket: Ticket, task: "asyncio.Task[Reply]") -> None:
        if not task.cancelled():
            self._settle(ticket, result_of(task))
        elif not self._closing:
            self._settle(ticket, cancelled())

    def _settle(self, ticket: Ticket, reply: Reply) -> None:
        """_finish() until it is written: a request that can not be has not ended, and is the next daemon's where this one ends."""
        try:
            self._finish(ticket, reply)
        except sqlite3.OperationalError as error:  # the disk is full, or somebody holds the file
            print(f"request {ticket.call.request_id} can not be written down yet: {error}", flush=True)
            if not self._closing:
                asyncio.get_running_loop().call_later(AGAIN_SECONDS, self._settle, ticket, reply)
        except sqlite3.Error as error:  # the reply is one that no database takes
            traceback.print_exception(error)
            self._finish(ticket, fault(500, f"The reply can not be kept: {error}.", "internal_error"))

    def _finish(self, ticket: Ticket, reply: Reply) -> None:
        """Result, ledger row and webhook at once: whatever happens to the daemon, a request has one row, and its result fits it."""
        journey, request_id = ticket.journey, ticket.call.request_id
        # What was done before the cancellation reached it is billed, so it is handed out.
        stopped = journey.cancelled and reply.status >= 300
        answer = cancelled() if stopped else reply
        with self._stored.together():
            self._stored.finish(
                request_id,
                answer,
                attempts=journey.attempts,
                seconds=journey.seconds,
                lines=journey.lines(),
                cancelled=stopped,
            )
            self._gateway.ledger.record(journey.entry(reply))
            if ticket.webhook is not None:
                self._webhooks.add(ticket.webhook, request_id=request_id, caller=ticket.call.caller, reply=answer)
        self._open.pop(request_id, None)

    def _lost(self, stored: Stored) -> Reply | None:
        """How a request ends that a runner had when the daemon ended; None where it is tried again."""
        if stored.cancelled:
            return cancelled()
        policy = policy_of(stored.call.alias.settings, no_retry=stored.call.no_retry, asked=stored.call.retries)
        ended = fault(503, "The runner ended with the sandbox, during the request.", "runner_connection_error")
        if stored.begun and not policy.allows(ended, attempts=stored.attempts, used=stored.used):
            return ended
        return None

    def _about(self, request: Request, request_id: str, action: str) -> Response:
        account = self._gateway.account(request)
        ticket, outcome = self._open.get(request_id), self._stored.outcome(request_id)
        at = self._place(ticket, outcome)
        named = (request.path_params["owner"], request.path_params["app"])
        if at is None or at[:2] != named or not check_reader(account, at[2], changes=request.method != "GET"):
            return said({"status": "NOT_FOUND", "detail": f"Request '{request_id}' not found."}, 404, request_id)
        logs = request.query_params.get("logs", "").lower() in YES
        match request.method, action:
            case "GET", "status/stream":
                headers = {REQUEST_ID: request_id, "cache-control": "no-cache", **ANY_ORIGIN}
                return StreamingResponse(self._events(request_id, logs=logs), media_type="text/event-stream", headers=headers)
            case "GET", "status":
                status = self._status(request_id, logs=logs)
                return said(status, 200 if outcome else 202, request_id)
            case "GET", "" | "response":
                if outcome is None:
                    raise Refused(status=400, detail="Request is still in progress.", error_type="bad_request")
                return Answer(outcome.reply, request_id)
            case "PUT", "cancel":
                if ticket is None:
                    return said({"status": "ALREADY_COMPLETED"}, 400, request_id)
                self._cancel(ticket)
                return said({"status": "CANCELLATION_REQUESTED"}, 202, request_id)
        raise Refused(status=405, detail=f"{request.method} is not possible here.", error_type="bad_request")

    def _status(self, request_id: str, *, logs: bool) -> dict[str, Any]:
        ticket, outcome = self._open.get(request_id), self._stored.outcome(request_id)
        owner, name, caller = self._place(ticket, outcome) or ("", "", None)
        lines = ticket.journey.lines() if ticket is not None else outcome.lines if outcome is not None else []
        seen = shown(self._state, owner, name, caller, lines) if logs else None
        urls = self._urls(owner, name, request_id)
        if ticket is None:
            assert outcome is not None
            return urls | completed(outcome, seen)
        if ticket.waits:
            return urls | {"status": "IN_QUEUE", "queue_position": self._position(ticket), "logs": seen}
        return urls | {"status": "IN_PROGRESS", "logs": seen}

    async def _events(self, request_id: str, *, logs: bool) -> AsyncIterator[str]:
        """The status whenever it is another, as server-sent events; a comment now and then keeps the connection."""
        last: dict[str, Any] = {}
        quiet = 0.0
        while last.get("status") != "COMPLETED":
            status = self._status(request_id, logs=logs)
            if status != last:
                last, quiet = status, 0.0
                yield f"data: {json.dumps(status)}\n\n"
                continue
            await asyncio.sleep(LOOK_SECONDS)
            quiet += LOOK_SECONDS
            if quiet >= COMMENT_SECONDS:
                quiet = 0.0
                yield ": still here\n\n"

    def _cancel(self, ticket: Ticket) -> None:
        """Out of the queue at once; where a runner has it the app is told, and how it ends is the app's."""
        ticket.journey.cancelled = True
        self._stored.cancel(ticket.call.request_id)
        assert ticket.task is not None
        if ticket.waits:
            ticket.task.cancel()
            return
        telling = asyncio.create_task(self._gateway.carrier.cancel(ticket.journey))
        self._telling.add(telling)
        telling.add_done_callback(self._telling.discard)

    def _place(self, ticket: Ticket | None, outcome: Outcome | None) -> tuple[str, str, str | None] | None:
        """Owner, alias and caller of a request."""
        if ticket is not None:
            call = ticket.call
            return call.alias.owner, call.alias.name, call.caller.nickname if call.caller else None
        return (outcome.owner, outcome.alias, outcome.caller) if outcome is not None else None

    def _position(self, ticket: Ticket) -> int:
        """How many requests of the app are before this one."""
        waiting = self.waiting(ticket.call.alias.owner, ticket.call.alias.name)
        return waiting.index(ticket) if ticket in waiting else 0

    def _urls(self, owner: str, name: str, request_id: str) -> dict[str, str]:
        url = f"{self._base}/{owner}/{name}/requests/{request_id}"
        return {"request_id": request_id, "response_url": url, "status_url": f"{url}/status", "cancel_url": f"{url}/cancel"}
