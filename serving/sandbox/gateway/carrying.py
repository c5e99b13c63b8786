"""Carries calls to runners: leases a place, exchanges request and reply, tries again where the rules say so."""

import asyncio
import contextlib
import math
import time
from collections.abc import Callable, Iterator
from urllib.parse import quote

import httpx

from ..errors import NotFound, SandboxError, StartTimedOut, StartupTimedOut
from ..fleet.fleet import Fleet
from ..fleet.runners import Runner
from ..state import Alias, Revision, State
from .admission import Call
from .exchange import Answer, BrokenOff, Unreached, exchange
from .journeys import AtWork, Journey
from .replies import LARGEST_HEADERS, REQUEST_ID, STOP_RUNNER, TIMEOUT_TYPE, Reply, Sender, fault, passed_headers, size_of
from .retries import NO, YES, condition_of, pause, policy_of

REQUEST_SECONDS = 3600.0
CANCEL_SECONDS = 5.0  # that an app has to answer its path for cancellations
LARGEST_HELD = 1 << 20  # bytes of a direct reply that are held before they are sent; longer ones pass through in pieces
GONE = "The runner ended during the request."
TIMED_OUT = "The request took longer than the app's request_timeout."


class Carrier:
    """carry() for one call; cancel() tells its app; at_work() says what is on its way."""

    def __init__(self, state: State, fleet: Fleet) -> None:
        self._state = state
        self._fleet = fleet
        self._journeys: dict[str, Journey] = {}

    def at_work(self) -> list[AtWork]:
        """Open requests, direct and queued, oldest first."""
        return [journey.at_work() for journey in self._journeys.values()]

    async def carry(self, journey: Journey, sender: Sender) -> Reply:
        """One attempt, whose reply goes to the sender at once where it is a stream or long."""
        with self._open(journey):
            return await self._attempt(journey, sender)

    async def carry_on(self, journey: Journey, attempted: Callable[[Journey], None]) -> Reply:
        """As many attempts as the rules allow; `attempted` is told before each that it begins at a runner."""
        with self._open(journey):
            while True:
                reply = await self._attempt(journey, None, attempted)
                if journey.cancelled or not self._is_tried_again(journey, reply):
                    return reply
                if condition := condition_of(reply):
                    journey.used[condition] += 1
                await asyncio.sleep(pause(journey.attempts + journey.failed_starts))

    async def cancel(self, journey: Journey) -> bool:
        """Tell the app as fal tells it: a POST to the request's path with `/cancel` behind it. Whether the app took it."""
        runner, call = journey.runner, journey.call
        if runner is None or not runner.alive:
            return False
        path = quote(call.path.rstrip("/")) + "/cancel"
        with contextlib.suppress(httpx.RequestError):
            reply = await runner.client.post(path, headers=_told(call, call.alias), timeout=CANCEL_SECONDS)
            return reply.is_success
        return False

    @contextlib.contextmanager
    def _open(self, journey: Journey) -> Iterator[None]:
        self._journeys[journey.call.request_id] = journey
        try:
            yield
        finally:
            del self._journeys[journey.call.request_id]

    async def _attempt(self, journey: Journey, sender: Sender | None, attempted: Callable[[Journey], None] | None = None) -> Reply:
        """One reply, from the revision that is live now; a runner that did not see the request is no attempt, the first time."""
        for second in (False, True):
            try:
                return await self._at_a_runner(journey, sender, attempted)
            except Unreached:
                if not second:
                    journey.attempts -= 1
            except StartTimedOut as error:
                return fault(504, str(error), "request_timeout", **{TIMEOUT_TYPE: "user"})
            except SandboxError as error:
                journey.failed_starts += 1
                if isinstance(error, StartupTimedOut):
                    return fault(504, str(error), "startup_timeout")
                return fault(503, str(error), "runner_scheduling_failure")
        return fault(503, "The runner refused the connection.", "runner_connection_refused")

    async def _at_a_runner(self, journey: Journey, sender: Sender | None, attempted: Callable[[Journey], None] | None) -> Reply:
        call = journey.call
        alias, revision = self._live(call)
        if revision is None:
            return fault(404, f"Application '{alias.name}' has no revision.", "not_found")
        # Never without: the fleet would apply the app's request_start_timeout, which counts for its owner's requests alone.
        until = math.inf if call.start_by is None else time.monotonic() + call.start_by - time.time()
        if until < time.monotonic():
            raise StartTimedOut("The request did not begin within the time that its caller gives it.")
        async with self._fleet.lease(revision, until=until, hint=call.hint, low=call.low) as runner:
            journey.board(runner)
            if attempted is not None:
                attempted(journey)
            began = time.monotonic()
            try:
                reply = await self._exchange(call, alias, runner, sender)
            except Unreached:
                runner.lost()
                raise
            finally:
                seconds = time.monotonic() - began
                if call.queued:
                    await asyncio.sleep(0)  # lets lines arrive that the app wrote just before its reply
                journey.alight(seconds)
            if _ends_runner(reply):
                reason = f"a request ended with {reply.status}"
                runner.log.add("agent", f"{reason}: the runner is replaced")
                with contextlib.suppress(NotFound):
                    await self._fleet.stop_runner(runner.id, grace=0.0, reason=reason)
            return reply

    async def _exchange(self, call: Call, alias: Alias, runner: Runner, sender: Sender | None) -> Reply:
        target = quote(call.path).encode() + (b"?" + call.query if call.query else b"")
        headers = (*call.headers, *_told(call, alias).items())
        try:
            async with (
                asyncio.timeout(float(alias.settings.get("request_timeout") or REQUEST_SECONDS)),
                exchange(runner.socket, method=call.method, target=target, headers=headers, body=call.body) as answer,
            ):
                runner.heed(dict(answer.headers))
                return await _received(answer, runner.id, sender)
        except TimeoutError:
            return fault(504, TIMED_OUT, "request_timeout")
        except BrokenOff as broken:
            if broken.begun:
                return fault(502, "The runner's answer broke off.", "runner_incomplete_response")
            return fault(503, GONE, "runner_disconnected")

    def _live(self, call: Call) -> tuple[Alias, Revision | None]:
        alias = self._state.alias(call.alias.owner, call.alias.name) or call.alias
        return alias, self._state.revision(alias.revision)

    def _is_tried_again(self, journey: Journey, reply: Reply) -> bool:
        alias, _ = self._live(journey.call)
        policy = policy_of(alias.settings, no_retry=journey.call.no_retry, asked=journey.call.retries)
        return policy.allows(reply, attempts=journey.attempts + journey.failed_starts, used=journey.used)


async def _received(answer: Answer, runner_id: str, sender: Sender | None) -> Reply:
    """The reply, whole; or passed on as it comes, where somebody waits for it and it is a stream or long."""
    status, said = answer.status, dict(answer.headers)
    headers = passed_headers(status, answer.headers, runner_id)
    ends_runner = _wish(said.get(STOP_RUNNER))
    if (size := size_of(headers)) > LARGEST_HEADERS:
        detail = f"The app's response headers have {size} bytes; at most {LARGEST_HEADERS} pass."
        return fault(500, detail, "runner_server_error")
    length = int(said["content-length"]) if said.get("content-length", "").isdigit() else None
    is_stream = said.get("content-type", "").startswith("text/event-stream")
    if sender is not None and (is_stream or length is None or length > LARGEST_HELD):
        await sender.begin(status, headers, length)
        async for piece in answer.pieces():
            await sender.pass_on(piece)
        return Reply(status=status, headers=headers, body=b"", streamed=True, ends_runner=ends_runner)
    body = b"".join([piece async for piece in answer.pieces()])
    return Reply(status=status, headers=headers, body=body, ends_runner=ends_runner)


def _ends_runner(reply: Reply) -> bool:
    """Whether its runner is terminated: after what the app says, else after 503, a broken connection and request_timeout."""
    if reply.ends_runner is not None:
        return reply.ends_runner
    return reply.status == 503 or reply.error_type in ("request_timeout", "runner_incomplete_response")


def _wish(value: str | None) -> bool | None:
    word = (value or "").lower()
    return True if word in YES else False if word in NO else None


def _told(call: Call, alias: Alias) -> dict[str, str]:
    """What an app hears of the request from the platform alone."""
    told = {REQUEST_ID: call.request_id, "x-fal-endpoint": f"{alias.owner}/{alias.name}{quote(call.path).rstrip('/')}"}
    if call.caller is not None:
        own = call.caller.nickname == alias.owner
        told["x-fal-caller-user-id"] = call.caller.user_id if own else call.caller.caller_id
    return told
