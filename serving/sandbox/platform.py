"""The platform, put together: state, runners, gateway, storage and control plane behind one TLS port."""

import asyncio
import json
from collections.abc import Mapping
from email.utils import formatdate
from pathlib import Path
from typing import Any

import grpc
import isolate_proto as proto
import uvicorn
from isolate_proto.configuration import GRPC_OPTIONS
from starlette.applications import Starlette
from starlette.middleware import Middleware
from uvicorn.server import ServerState

from .accounts import Keyring, ensure_keys
from .files.data_files import DataFiles
from .files.storage import Storage, refused
from .fleet.fleet import Fleet
from .fleet.runners import socket_folder
from .gateway.gateway import Gateway, Refused
from .gateway.queueing import RequestQueue
from .gateway.signing import Signer
from .gateway.tickets import Tickets
from .gateway.webhooks import Webhooks
from .money.ledger import Ledger
from .money.models_api import ModelsApi
from .money.owner_api import OwnerApi
from .money.prices import Prices
from .money.rest import unknown
from .mux import Prompt, listen
from .plane.control_plane import ControlPlane, KeyCheck
from .plane.rest import PlaneRest
from .recording import Record, RecordedRest, RecordedRpcs
from .server import GRPC_SOCKET, hosts
from .state import State
from .tls import prepare_tls
from .web.guard import Guard
from .web.live import Live
from .web.pages import Pages
from .web.relay import Relay
from .web.sessions import Sessions
from .web.visits import Visits


class Platform:
    """open() serves, close() leaves no process and no socket."""

    def __init__(
        self, folder: Path, *, instance: str, shared_enabled: bool, record: Path | None = None, environments: str = "local"
    ) -> None:
        self._folder = folder
        self._instance = instance
        self._shared_enabled = shared_enabled
        (folder / "fal-config.toml").write_text("check_updates = false\n")
        self._keys = ensure_keys(folder / "keys.json")
        self._state = State(folder / "state.db")
        self._keyring = Keyring(folder / "keys.json", self._state.db)
        self._record = Record(record) if record is not None else None
        self._ledger = Ledger(self._state.db)
        self._fleet = Fleet(folder, self._state, self._runner_platform, environments=environments)
        self._address = ""
        self._connections = ServerState()
        self._http: uvicorn.Config | None = None
        self._queue: RequestQueue | None = None
        self._webhooks: Webhooks | None = None
        self._front: asyncio.Server | None = None
        self._grpc: Any = None
        self._sweeper: asyncio.Task[None] | None = None
        self._clock: asyncio.Task[None] | None = None

    async def open(self, port: int) -> int:
        """The port that was bound on 127.0.0.1; a port of 0 prefers the one of the last time, so that addresses last."""
        context = prepare_tls(self._folder / "tls")
        socket_folder()
        self._front = await self._listen(port, context)
        actual = int(self._front.sockets[0].getsockname()[1])
        (self._folder / "port.json").write_text(json.dumps(actual))
        self._address = f"127.0.0.1:{actual}"
        gateway = Gateway(self._state, self._ledger, self._keyring, self._fleet)
        trust = self._folder / "tls" / "bundle.pem"
        self._webhooks = Webhooks(self._state.db, Signer(self._folder / "webhook-key.pem"), trust=trust)
        self._queue = RequestQueue(gateway, self._state, Tickets(self._state.db), self._webhooks, self._address)
        self._http = uvicorn.Config(
            self._routes(gateway, self._queue), lifespan="off", ws="none", access_log=False, log_level="warning"
        )
        self._http.load()
        self._clock = asyncio.create_task(self._tell_time())
        await self._open_control_plane()
        self._sweeper = asyncio.create_task(self._fleet.sweep())
        self._webhooks.open()
        self._queue.open()
        return actual

    async def close(self) -> None:
        if self._front is not None:
            self._front.close()
        if self._queue is not None:
            await self._queue.close()
        if self._webhooks is not None:
            await self._webhooks.close()
        for task in (self._sweeper, self._clock):
            if task is not None:
                task.cancel()
        await self._fleet.close()
        if self._grpc is not None:
            await self._grpc.stop(0.5)
        self._state.close()
        if self._record is not None:
            self._record.close()

    async def _listen(self, port: int, context: Any) -> asyncio.Server:
        remembered = self._folder / "port.json"
        if port == 0 and remembered.exists():
            try:
                return await listen(json.loads(remembered.read_text()), context, self._http_protocol, GRPC_SOCKET)
            except ValueError:
                remembered.unlink()
        return await listen(port, context, self._http_protocol, GRPC_SOCKET)

    async def _tell_time(self) -> None:
        """For ever: the Date of every answer, which uvicorn's own server would set."""
        while True:
            self._connections.default_headers = [(b"date", formatdate(usegmt=True).encode())]
            await asyncio.sleep(1)

    def _http_protocol(self) -> asyncio.Protocol:
        assert self._http is not None
        return Prompt(self._http, self._connections, {})

    async def _open_control_plane(self) -> None:
        recorded = [RecordedRpcs(self._record)] if self._record is not None else []
        self._grpc = grpc.aio.server(interceptors=[KeyCheck(self._keyring), *recorded], options=GRPC_OPTIONS)
        assert self._queue is not None
        rooms = (self._state, self._keyring, self._fleet)
        plane = ControlPlane(*rooms, self._address, shared_enabled=self._shared_enabled, at_work=self._queue.at_work)
        proto.register_controller(plane, self._grpc)
        self._grpc.add_insecure_port(f"unix:{GRPC_SOCKET}")
        await self._grpc.start()

    def _routes(self, gateway: Gateway, queue: RequestQueue) -> Starlette:
        visits = Visits(gateway, Sessions(), self._address)
        pages = Pages(self._state, gateway, visits, instance=self._instance)
        live = Live(self._state, self._fleet, queue, Prices(self._state.db), visits)
        storage = Storage(self._folder, self._state, gateway, self._address)
        inner = Starlette(routes=[*storage.routes(), *queue.routes()], exception_handlers={Refused: refused})
        relay = Relay(inner, visits, self._keys)
        web = (*visits.routes(), *pages.routes(), *live.routes(), *relay.routes(), *pages.last_routes())
        files = (*storage.routes(), *DataFiles(self._folder, gateway).routes())
        plane = PlaneRest(self._state, self._fleet, gateway, queue).routes()
        assert self._webhooks is not None
        owner = OwnerApi(self._state, self._ledger, self._keyring, self._fleet, queue)
        models = ModelsApi(self._state, self._ledger, self._keyring, self._fleet.records)
        money = (*owner.routes(), *models.routes(), unknown())
        calls = (*self._webhooks.routes(), *queue.routes(), *gateway.routes())
        rooms = (*web, *files, *plane, *money, *calls)  # the first that fits answers
        middleware = [Middleware(Guard, address=self._address)]
        if self._record is not None:
            middleware.append(Middleware(RecordedRest, routes=rooms, record=self._record))
        return Starlette(routes=list(rooms), exception_handlers={Refused: refused}, middleware=middleware)

    def _runner_platform(self, owner: str) -> Mapping[str, str]:
        """What the platform sets in a runner of `owner`."""
        bundle = str(self._folder / "tls" / "bundle.pem")
        own = {"FAL_KEY": self._keys[owner], "FAL_CONFIG_PATH": "/dev/null", "SSL_CERT_FILE": bundle}
        own |= dict.fromkeys(("NO_PROXY", "no_proxy"), "127.0.0.1")  # uploads come here, whatever proxy downloads go through
        return own | hosts(self._address)
