"""The queue protocol: submit, status with logs, result, cancel. Tickets live in memory and end with the daemon."""

import asyncio
import uuid
from collections import OrderedDict
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ..accounts import Account
from ..fleet.agent_process import RunnerLog
from ..fleet.runners import Runner
from .gateway import ATTEMPTS, CANCELLED, METHODS, REQUEST_ID, Call, Gateway, Refused, Reply, refusal_response, reply_response

KEPT_TICKETS = 2000


@dataclass(kw_only=True, slots=True)
class Ticket:
    """One submitted request; its state is what is set: nothing (queued), runner and log (running), reply (done), cancelled."""

    call: Call
    task: asyncio.Task[None] | None = None
    runner: Runner | None = None
    log: RunnerLog | None = None
    log_from: int = 0
    log_to: int | None = None
    reply: Reply | None = None
    cancelled: bool = False

    @property
    def done(self) -> bool:
        return self.reply is not None or self.cancelled


class RequestQueue:
    """Tickets in order of arrival; the runner's places decide which is served next."""

    def __init__(self, gateway: Gateway, address: str) -> None:
        self._gateway = gateway
        self._base = f"https://{address}/queue"
        self._tickets: OrderedDict[str, Ticket] = OrderedDict()
        self._ending: set[asyncio.Task[None]] = set()

    def routes(self) -> list[Route]:
        place = "/queue/{owner}/{app}"
        return [Route(path, self.handle, methods=METHODS) for path in (place, place + "/{path:path}")]

    async def handle(self, request: Request) -> Response:
        """Submissions and everything under /requests/{id}."""
        path = request.path_params.get("path", "")
        request_id = str(uuid.uuid4())
        try:
            if path.startswith("requests/"):
                return self._about(request, *path.split("/")[1:3])
            if request.query_params.get("fal_webhook"):
                raise Refused(
                    status=400, detail="Webhooks are not part of the sandbox: poll the status instead.", error_type="bad_request"
                )
            return self._submitted(await self._gateway.admit(request, request_id))
        except Refused as refusal:
            return refusal_response(refusal, request_id)

    async def close(self) -> None:
        tasks = [ticket.task for ticket in self._tickets.values() if ticket.task is not None] + list(self._ending)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _submitted(self, call: Call) -> JSONResponse:
        ticket = Ticket(call=call)
        self._tickets[call.request_id] = ticket
        ticket.task = asyncio.create_task(self._work(ticket))
        self._forget_old()
        url = f"{self._base}/{call.alias.owner}/{call.alias.name}/requests/{call.request_id}"
        body = {
            "request_id": call.request_id,
            "response_url": url,
            "status_url": f"{url}/status",
            "cancel_url": f"{url}/cancel",
            "status": "IN_QUEUE",
            "queue_position": self._position(ticket),
        }
        return JSONResponse(body, headers={REQUEST_ID: call.request_id})

    async def _work(self, ticket: Ticket) -> None:
        def started(runner: Runner) -> None:
            ticket.runner, ticket.log, ticket.log_from = runner, runner.log, runner.log.total

        ticket.reply = await self._gateway.carry(
            ticket.call, attempts=ATTEMPTS, started=started, wanted=lambda: not ticket.cancelled
        )
        if ticket.reply.status < 300:  # done before the cancellation reached it: what is billed is handed out
            ticket.cancelled = False
        if ticket.log is not None:
            await asyncio.sleep(0)  # lets lines arrive that the app wrote just before its reply
            ticket.log_to = ticket.log.total

    def _about(self, request: Request, request_id: str, action: str = "") -> Response:
        ticket = self._ticket(request, request_id)
        match request.method, action:
            case "GET", "status":
                return self._status(ticket, with_logs=request.query_params.get("logs", "").lower() in ("1", "true"))
            case "GET", "":
                return self._result(ticket)
            case "PUT", "cancel":
                return self._cancel(ticket)
        raise Refused(status=405, detail=f"{request.method} is not possible here.", error_type="bad_request")

    def _ticket(self, request: Request, request_id: str) -> Ticket:
        """Only who submitted a request may ask about it; to others it does not exist."""
        account: Account | None = self._gateway.account(request)
        ticket = self._tickets.get(request_id)
        if account is None and (ticket is None or ticket.call.caller is not None):
            raise Refused(status=401, detail="Authentication is required to access this request.", error_type="unauthorized")
        if ticket is None or ticket.call.caller != account:
            raise Refused(status=404, detail=f"Request '{request_id}' not found.", error_type="not_found")
        return ticket

    def _status(self, ticket: Ticket, *, with_logs: bool) -> JSONResponse:
        body: dict[str, Any] = {"request_id": ticket.call.request_id, "logs": _log_entries(ticket) if with_logs else None}
        if ticket.done:
            body |= {"status": "COMPLETED", "metrics": {}}
            if ticket.reply is not None:
                body["metrics"] = {"inference_time": round(ticket.reply.seconds, 4)}
            if ticket.cancelled:
                body |= {"error": "The request was cancelled.", "error_type": "request_cancelled"}
            elif ticket.reply is not None and ticket.reply.error_type:
                body |= {"error": ticket.reply.body.decode(), "error_type": ticket.reply.error_type}
        elif ticket.log is not None:
            body |= {"status": "IN_PROGRESS"}
        else:
            body |= {"status": "IN_QUEUE", "queue_position": self._position(ticket)}
        return JSONResponse(body, 200 if ticket.done else 202, headers={REQUEST_ID: ticket.call.request_id})

    def _result(self, ticket: Ticket) -> Response:
        if ticket.cancelled:
            raise Refused(status=CANCELLED, detail="The request was cancelled.", error_type="request_cancelled")
        if ticket.reply is None:
            raise Refused(status=400, detail="Request is still in progress.", error_type="bad_request")
        return reply_response(ticket.reply, ticket.call.request_id)

    def _cancel(self, ticket: Ticket) -> JSONResponse:
        headers = {REQUEST_ID: ticket.call.request_id}
        if ticket.done:
            return JSONResponse({"status": "ALREADY_COMPLETED"}, 400, headers=headers)
        ticket.cancelled = True
        assert ticket.task is not None
        ending = asyncio.create_task(self._gateway.cancel(ticket.call, ticket.task, ticket.runner))
        self._ending.add(ending)
        ending.add_done_callback(self._ending.discard)
        return JSONResponse({"status": "CANCELLATION_REQUESTED"}, 202, headers=headers)

    def _position(self, ticket: Ticket) -> int:
        ahead = (other for other in self._tickets.values() if other.call.alias.name == ticket.call.alias.name)
        return sum(1 for other in ahead if not other.done and other.log is None and other is not ticket)

    def _forget_old(self) -> None:
        while len(self._tickets) > KEPT_TICKETS and next(iter(self._tickets.values())).done:
            self._tickets.popitem(last=False)


def _log_entries(ticket: Ticket) -> list[dict[str, str]]:
    if ticket.log is None:
        return []
    count = (ticket.log_to or ticket.log.total) - ticket.log_from
    lines = [line for line in ticket.log.since(ticket.log_from)[:count] if line.source == "user"]
    return [
        {"message": line.text, "level": "STDOUT", "source": "USER", "timestamp": datetime.fromtimestamp(line.at, UTC).isoformat()}
        for line in lines
    ]
