"""The REST routes that the SDK's `apps gpus`, `runners` and `queue` commands use beside gRPC."""

import time
from collections import Counter
from datetime import UTC, datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ..accounts import Account
from ..files.access import allowed
from ..fleet.fleet import Fleet
from ..fleet.records import RunnerRow
from ..gateway.gateway import Gateway, Refused
from ..gateway.queueing import RequestQueue
from ..state import State

ANONYMOUS = "anonymous"


class PlaneRest:
    """Answers are about the key's own account; what is another's does not exist."""

    def __init__(self, state: State, fleet: Fleet, gateway: Gateway, queue: RequestQueue) -> None:
        self._state = state
        self._fleet = fleet
        self._gateway = gateway
        self._queue = queue

    def routes(self) -> list[Route]:
        return [
            Route("/applications/metrics", self.metrics),
            Route("/applications/{owner}/{app}/queue", self.queue_size),
            Route("/applications/{owner}/{app}/queue", self.flush_queue, methods=["DELETE"]),
            Route("/runners/{id}", self.runner),
            Route("/logs/history", self.log_history, methods=["POST"]),
            Route("/logs/stream", self.log_stream, methods=["POST"]),
        ]

    async def metrics(self, request: Request) -> Response:
        """GPUs that run, by machine type: of each app, and of all together."""
        account = allowed(self._gateway, request, "read")
        apps: dict[str, Counter[str]] = {
            f"{alias.owner}/{alias.name}": Counter() for alias in self._state.aliases(account.nickname)
        }
        for runner in self._fleet.running():
            counts = apps.get(f"{runner.revision.owner}/{runner.revision.alias}")
            if counts is not None:
                counts[runner.machine_type] += int(runner.revision.settings.get("num_gpus") or 1)
        total = sum(apps.values(), Counter())
        body = {name: {"gpu_count_by_type": dict(counts)} for name, counts in apps.items()}
        return JSONResponse({"apps": body, "summary": {"total_gpu_by_type": dict(total)}})

    async def queue_size(self, request: Request) -> Response:
        waiting = self._queue.waiting(*self._own_app(request, "read"))
        body: dict[str, Any] = {"size": len(waiting)}
        if request.query_params.get("by_user", "").lower() in ("1", "true"):
            body["by_user"] = dict(Counter(_name(ticket.call.caller) for ticket in waiting))
        return JSONResponse(body)

    async def flush_queue(self, request: Request) -> Response:
        """Cancels what waits, of one caller or of all; what runs goes on."""
        waiting = self._queue.waiting(*self._own_app(request, "deploy"))
        wanted = request.query_params.get("caller_user_id")
        chosen = [ticket for ticket in waiting if wanted is None or wanted in _names(ticket.call.caller)]
        self._queue.flush(chosen)
        return JSONResponse({"flushed": len(chosen)})

    async def runner(self, request: Request) -> Response:
        row = self._runner(request, str(request.path_params["id"]))
        ended = None if row.ended_at is None else _iso(row.ended_at)
        return JSONResponse({"id": row.id, "started_at": _iso(row.started_at), "ended_at": ended})

    async def log_history(self, request: Request) -> Response:
        """Lines of a runner, newest first, on one page; as long as the sandbox has not been restarted since."""
        query = request.query_params
        row = self._runner(request, query.get("job_id", ""))
        log = self._fleet.log_of(row.revision)
        since = max(row.started_at, _seconds(query.get("since"), 0.0))
        until = min(row.ended_at or time.time(), _seconds(query.get("until"), time.time()))
        lines = [line for line in (log.since(0) if log else []) if line.source == "user" and since <= line.at <= until]
        items = [
            {"timestamp": _iso(line.at), "message": line.text, "level": "info"}
            for line in reversed(lines)
            if query.get("search", "") in line.text
        ]
        return JSONResponse({"items": items, "next_until": None})

    async def log_stream(self, request: Request) -> Response:
        """Says in the protocol of the stream that there is none."""
        allowed(self._gateway, request, "read")
        line = "logs are not followed by the sandbox; leave out --follow, or read its folder logs/"
        return Response(f"event: error\ndata: {line}\n\n", media_type="text/event-stream")

    def _own_app(self, request: Request, right: str) -> tuple[str, str]:
        account = allowed(self._gateway, request, right)
        owner, name = str(request.path_params["owner"]), str(request.path_params["app"])
        if owner != account.nickname or self._state.alias(owner, name) is None:
            raise Refused(status=404, detail=f"Application '{owner}/{name}' not found.", error_type="not_found")
        return owner, name

    def _runner(self, request: Request, runner_id: str) -> RunnerRow:
        account = allowed(self._gateway, request, "read")
        for row in self._fleet.records.rows(owner=account.nickname):
            if row.id == runner_id:
                return row
        raise Refused(status=404, detail=f"Runner '{runner_id}' not found.", error_type="not_found")


def _name(caller: Account | None) -> str:
    return caller.nickname if caller else ANONYMOUS


def _names(caller: Account | None) -> tuple[str, ...]:
    """What a caller may be named by."""
    return (caller.nickname, caller.user_id, caller.caller_id) if caller else (ANONYMOUS,)


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()


def _seconds(text: str | None, default: float) -> float:
    try:
        return datetime.fromisoformat(text).timestamp() if text else default
    except ValueError as error:
        raise Refused(status=422, detail=f"'{text}' is no ISO time.", error_type="bad_request") from error
