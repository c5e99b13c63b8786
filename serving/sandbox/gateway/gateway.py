"""The synchronous route: one request, one reply, one row; a caller that leaves has cancelled."""

import asyncio
import traceback
import uuid

from starlette.requests import Request
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from ..accounts import Account, Keyring
from ..fleet.fleet import Fleet
from ..money.ledger import Ledger
from ..state import State
from .admission import Admission
from .carrying import CANCEL_SECONDS, Carrier
from .journeys import AtWork, Journey
from .replies import CANCELLED, Refused, Reply, Sender, fault, preflight_response, refusal_response

__all__ = ["Gateway", "Refused", "refusal_response"]  # the last two: for the other rooms, which refuse in the same form

METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
LEFT = "client_disconnected"


class Gateway:
    """Lets requests in, carries them to a runner, writes the ledger. An ASGI app, so that replies can pass through in pieces."""

    def __init__(self, state: State, ledger: Ledger, keyring: Keyring, fleet: Fleet) -> None:
        self.admission = Admission(state, ledger, keyring)
        self.carrier = Carrier(state, fleet)
        self.ledger = ledger

    def routes(self) -> list[Route]:
        return [Route(path, self, methods=METHODS) for path in ("/{owner}/{app}", "/{owner}/{app}/{path:path}")]

    def account(self, request: Request) -> Account | None:
        """The account of the request's key: None without a key, Refused (401) with one that was not issued here."""
        return self.admission.account(request)

    def at_work(self) -> list[AtWork]:
        """Open requests, direct and queued, oldest first."""
        return self.carrier.at_work()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request, request_id = Request(scope, receive), str(uuid.uuid4())
        if response := preflight_response(request):
            await response(scope, receive, send)
            return
        try:
            journey = Journey(call=await self.admission.admit(request, request_id))
        except Refused as refusal:
            await refusal_response(refusal, request_id)(scope, receive, send)
            return
        await self._serve(journey, receive, Sender(send, request_id))

    async def _serve(self, journey: Journey, receive: Receive, sender: Sender) -> None:
        carrying = asyncio.create_task(self.carrier.carry(journey, sender))
        leaving = asyncio.create_task(_left(receive))
        try:
            await asyncio.wait({carrying, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if not carrying.done():
                reply = await self._abandoned(journey, carrying)
                self.ledger.record(journey.entry(reply, status=CANCELLED, error_type=LEFT))
                return
            reply = result_of(carrying)
            self.ledger.record(journey.entry(reply))
            if reply.streamed:
                await sender.end()
            elif not sender.begun:  # else it broke off: without an end, the connection is cut
                await sender.whole(reply)
        finally:
            leaving.cancel()
            carrying.cancel()

    async def _abandoned(self, journey: Journey, carrying: "asyncio.Task[Reply]") -> Reply:
        """What the app answered to the cancellation; where it takes none, the connection is closed."""
        journey.cancelled = True
        if await self.carrier.cancel(journey):
            await asyncio.wait({carrying}, timeout=CANCEL_SECONDS)
        if carrying.done():
            return result_of(carrying)
        carrying.cancel()
        await asyncio.gather(carrying, return_exceptions=True)
        return fault(CANCELLED, "The caller left.", LEFT)


def result_of(carrying: "asyncio.Task[Reply]") -> Reply:
    """The reply; a fault of the sandbox's own is one too, and its traceback goes to the daemon's log."""
    if error := carrying.exception():
        traceback.print_exception(error)
        return fault(500, "The sandbox failed; its log says where.", "internal_error")
    return carrying.result()


async def _left(receive: Receive) -> None:
    """Returns when the caller has closed the connection; the body was read before."""
    while (await receive())["type"] != "http.disconnect":
        pass
