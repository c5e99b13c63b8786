"""The gateway: who may call which app, what an app is told, and the ledger row of every request."""

import asyncio
import contextlib
import json
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import httpx
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ..accounts import Account, Keyring
from ..errors import SandboxError
from ..fleet.fleet import Fleet
from ..fleet.runners import Runner
from ..money.ledger import Entry, Ledger
from ..state import Alias, State, split_name

METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]
REQUEST_SECONDS = 3600.0
CANCEL_SECONDS = 5.0  # that an app has to end a request it was told to cancel
ATTEMPTS = 10  # of a request in the queue; a direct one has a single one
CANCELLED = 499
GONE = "The runner ended during the request."
TIMED_OUT = "The request took longer than the app's request_timeout."
UNITS = "x-fal-billable-units"
REQUEST_ID = "x-fal-request-id"
ERROR_TYPE = "x-fal-error-type"
NEEDS_RETRY = "x-fal-needs-retry"
HOP_BY_HOP = frozenset(
    ("connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "te", "trailer", "transfer-encoding", "upgrade")
)
# What a caller says about itself stays at the gateway; all of x-fal-* is the platform's own.
NOT_FORWARDED = HOP_BY_HOP | {"authorization", "cookie", "host", "content-length", "forwarded", "x-forwarded-for"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Call:
    """A request that was let in, as the app shall see it."""

    alias: Alias
    caller: Account | None
    method: str
    path: str
    query: bytes
    headers: Mapping[str, str]
    body: bytes
    request_id: str = field(default_factory=lambda: str(uuid.uuid4()))


@dataclass(frozen=True, kw_only=True, slots=True)
class Reply:
    """What the caller gets; `log_from` and `log_to` bound the runner's lines that were written meanwhile."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    seconds: float
    error_type: str | None = None


class Refused(Exception):
    """A request that reaches no app."""

    def __init__(self, *, status: int, detail: str, error_type: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.error_type = error_type


class Gateway:
    """Lets requests in, and carries them to a runner."""

    def __init__(self, state: State, ledger: Ledger, keyring: Keyring, fleet: Fleet) -> None:
        self._state = state
        self._ledger = ledger
        self._keyring = keyring
        self._fleet = fleet

    def routes(self) -> list[Route]:
        return [Route(path, self.handle, methods=METHODS) for path in ("/{owner}/{app}", "/{owner}/{app}/{path:path}")]

    async def handle(self, request: Request) -> Response:
        """The synchronous route: one request, one reply; a caller that leaves has cancelled."""
        request_id = str(uuid.uuid4())
        try:
            call = await self.admit(request, request_id)
        except Refused as refusal:
            return refusal_response(refusal, request_id)
        runners: list[Runner] = []
        carrying = asyncio.create_task(self.carry(call, started=runners.append))
        leaving = asyncio.create_task(_left(request))
        try:
            await asyncio.wait({carrying, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if not carrying.done():
                await self.cancel(call, carrying, runners[-1] if runners else None)
                return Response(status_code=CANCELLED)
            return reply_response(await carrying, request_id)
        finally:
            leaving.cancel()
            carrying.cancel()

    async def admit(self, request: Request, request_id: str) -> Call:
        """The call behind a request; a refusal is written to the ledger with its status only."""
        owner, name = request.path_params["owner"], request.path_params["app"]
        path = "/" + request.path_params.get("path", "")
        try:
            caller, alias = self._authorise(request, owner, name)
        except Refused as refusal:
            app, environment = split_name(name)
            self._record(request_id, app, environment, None, None, path, status=refusal.status)
            raise
        headers = {k: v for k, v in request.headers.items() if k not in NOT_FORWARDED and not k.startswith("x-fal-")}
        return Call(
            alias=alias,
            caller=caller,
            method=request.method,
            path=path,
            query=request.url.query.encode(),
            headers=headers,
            body=await request.body(),
            request_id=request_id,
        )

    def account(self, request: Request) -> Account | None:
        """The account of the request's key: None without a key, Refused (401) with one that was not issued here."""
        header = request.headers.get("authorization")
        if header is None:
            return None
        account = self._keyring.account_of_header(header)
        if account is None:
            raise Refused(
                status=401, detail="Invalid key: the sandbox accepts only keys that it issued.", error_type="unauthorized"
            )
        return account

    async def carry(
        self,
        call: Call,
        *,
        attempts: int = 1,
        started: Callable[[Runner], None] | None = None,
        wanted: Callable[[], bool] = lambda: True,
    ) -> Reply:
        """Bring the call to a runner of the live revision and write its one ledger row, also where it is cancelled meanwhile.

        Tried again only while it is still wanted.
        """
        began = time.monotonic()
        caller = call.caller.nickname if call.caller else None
        alias = self._live(call)
        try:
            for attempt in range(1, attempts + 1):
                alias, reply = await self._attempt(call, began, started)
                if attempt == attempts or not wanted() or not is_retried(reply):
                    break
        except asyncio.CancelledError:
            app = (split_name(alias.name)[0], alias.environment, alias.revision, caller, call.path)
            self._record(call.request_id, *app, status=CANCELLED, seconds=time.monotonic() - began)
            raise
        app = (split_name(alias.name)[0], alias.environment, alias.revision, caller, call.path)
        self._record(call.request_id, *app, status=reply.status, units=reply.headers.get(UNITS), seconds=reply.seconds)
        return reply

    async def cancel(self, call: Call, carrying: "asyncio.Task[Any]", runner: Runner | None) -> None:
        """End a request that is carried. Its app is told as fal tells it; where that does not help, the connection is closed."""
        if runner is not None and runner.alive:
            path, headers = quote(call.path.rstrip("/")) + "/cancel", {REQUEST_ID: call.request_id}
            with contextlib.suppress(httpx.TransportError):
                reply = await runner.client.post(path, headers=headers, timeout=CANCEL_SECONDS)
                if reply.is_success:
                    await asyncio.wait({carrying}, timeout=CANCEL_SECONDS)
        carrying.cancel()
        await asyncio.gather(carrying, return_exceptions=True)

    async def _attempt(self, call: Call, began: float, started: Callable[[Runner], None] | None) -> tuple[Alias, Reply]:
        """One reply, from the revision that is live now. A runner that answers 503 is killed."""
        unseen = 0
        while True:
            alias = self._live(call)
            revision = self._state.revision(alias.revision)
            if revision is None:
                return alias, _platform_reply(404, f"Application '{alias.name}' has no revision.", "not_found", began)
            try:
                runner = await self._fleet.ready(revision)
            except SandboxError as error:
                return alias, _platform_reply(503, str(error), "runner_scheduling_failure", began)
            async with runner.lease():
                if not runner.alive:
                    continue  # it was told to end while the request waited for a place
                if started is not None:
                    started(runner)
                try:
                    reply = await self._exchange(call, alias, runner, began)
                except httpx.ConnectError:
                    runner.lost()
                    unseen += 1
                    if unseen == 1:
                        continue  # the runner has not seen the request, so another may
                    reply = _platform_reply(503, GONE, "runner_disconnected", began)
                except httpx.TimeoutException:
                    reply = _platform_reply(
                        504, "The request took longer than the app's request_timeout.", "request_timeout", began
                    )
                except httpx.RequestError:  # it broke off, or its answer is none
                    reply = _platform_reply(503, GONE, "runner_disconnected", began)
            if reply.status == 503 and reply.error_type is None:
                runner.log.add("agent", "the app answered 503: the runner is replaced")
                await runner.stop(grace=0.0)
            return alias, reply

    def _live(self, call: Call) -> Alias:
        return self._state.alias(call.alias.owner, call.alias.name) or call.alias

    async def _exchange(self, call: Call, alias: Alias, runner: Runner, began: float) -> Reply:
        path = quote(call.path)
        told = {REQUEST_ID: call.request_id, "x-fal-endpoint": f"{alias.owner}/{alias.name}{path.rstrip('/')}"}
        if call.caller is not None:
            told["x-fal-caller-user-id"] = call.caller.caller_id
        url = httpx.URL("http://runner" + path, query=call.query or None)
        timeout = float(alias.settings.get("request_timeout") or REQUEST_SECONDS)
        reply = await runner.client.request(call.method, url, headers={**call.headers, **told}, content=call.body, timeout=timeout)
        headers = {
            k: v for k, v in reply.headers.items() if k not in HOP_BY_HOP and k not in ("content-length", "content-encoding")
        }
        return Reply(status=reply.status_code, headers=headers, body=reply.content, seconds=time.monotonic() - began)

    def _authorise(self, request: Request, owner: str, name: str) -> tuple[Account | None, Alias]:
        caller = self.account(request)
        alias = self._state.alias(owner, name)
        if caller is None and (alias is None or alias.auth_mode != "public"):
            raise Refused(status=401, detail="Authentication is required to access this application.", error_type="unauthorized")
        if alias is None:
            raise Refused(status=404, detail=f"Application '{owner}/{name}' not found.", error_type="not_found")
        if alias.auth_mode == "private" and caller is not None and caller.nickname != owner:
            raise Refused(status=403, detail=f"Application '{owner}/{name}' is private.", error_type="forbidden")
        return caller, alias

    def _record(
        self,
        request_id: str,
        app: str,
        environment: str,
        revision: str | None,
        caller: str | None,
        path: str,
        *,
        status: int,
        units: str | None = None,
        seconds: float = 0.0,
    ) -> None:
        entry = Entry(
            request_id=request_id,
            app=app,
            environment=environment,
            revision=revision,
            caller=caller,
            path=path,
            status=status,
            units=units,
            seconds=seconds,
        )
        self._ledger.record(entry)


def is_retried(reply: Reply) -> bool:
    """Whether the queue tries again: as the app says in its header, else after 503 and 504."""
    said = reply.headers.get(NEEDS_RETRY)
    if said is not None and (reply.status >= 500 or reply.status == 429):
        return said == "1"
    return reply.status in (503, 504)


def refusal_response(refusal: Refused, request_id: str) -> JSONResponse:
    headers = {REQUEST_ID: request_id, ERROR_TYPE: refusal.error_type}
    return JSONResponse({"detail": refusal.detail, "error_type": refusal.error_type}, refusal.status, headers=headers)


def reply_response(reply: Reply, request_id: str) -> Response:
    return Response(reply.body, reply.status, headers={**reply.headers, REQUEST_ID: request_id})


async def _left(request: Request) -> None:
    """Returns when the caller has closed the connection; the body was read before."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _platform_reply(status: int, detail: str, error_type: str, began: float) -> Reply:
    """A fault of the platform, in the form that clients read; it carries no units."""
    body: dict[str, Any] = {"detail": detail, "error_type": error_type}
    headers = {"content-type": "application/json", ERROR_TYPE: error_type}
    return Reply(
        status=status, headers=headers, body=json.dumps(body).encode(), seconds=time.monotonic() - began, error_type=error_type
    )
