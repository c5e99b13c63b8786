"""The platform, put together: state, runners, gateway, storage and control plane behind one TLS port."""

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import grpc
import isolate_proto as proto
import uvicorn
from isolate_proto.configuration import GRPC_OPTIONS
from starlette.applications import Starlette
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from .accounts import Keyring, ensure_keys
from .files.storage import Storage, refused
from .fleet.fleet import Fleet
from .fleet.runners import socket_folder
from .gateway.gateway import Gateway, Refused
from .gateway.queueing import RequestQueue
from .money.ledger import Ledger
from .mux import listen
from .plane.control_plane import ControlPlane, KeyCheck
from .server import GRPC_SOCKET, hosts
from .state import State
from .tls import prepare_tls
from .web.pages import Pages


class Platform:
    """open() serves, close() leaves no process and no socket."""

    def __init__(self, folder: Path, *, instance: str, shared_enabled: bool) -> None:
        self._folder = folder
        self._instance = instance
        self._shared_enabled = shared_enabled
        (folder / "fal-config.toml").write_text("check_updates = false\n")
        self._keys = ensure_keys(folder / "keys.json")
        self._keyring = Keyring(folder / "keys.json")
        self._state = State(folder / "state.db")
        self._ledger = Ledger(self._state.db)
        self._fleet = Fleet(folder, self._state, self._runner_platform)
        self._address = ""
        self._connections = ServerState()
        self._http: uvicorn.Config | None = None
        self._queue: RequestQueue | None = None
        self._front: asyncio.Server | None = None
        self._grpc: Any = None
        self._sweeper: asyncio.Task[None] | None = None

    async def open(self, port: int) -> int:
        """The port that was bound on 127.0.0.1; a port of 0 prefers the one of the last time, so that addresses last."""
        context = prepare_tls(self._folder / "tls")
        socket_folder()
        self._front = await self._listen(port, context)
        actual = int(self._front.sockets[0].getsockname()[1])
        (self._folder / "port.json").write_text(json.dumps(actual))
        self._address = f"127.0.0.1:{actual}"
        gateway = Gateway(self._state, self._ledger, self._keyring, self._fleet)
        self._queue = RequestQueue(gateway, self._address)
        self._http = uvicorn.Config(
            self._routes(gateway, self._queue), lifespan="off", ws="none", access_log=False, log_level="warning"
        )
        self._http.load()
        await self._open_control_plane()
        self._sweeper = asyncio.create_task(self._fleet.sweep())
        return actual

    async def close(self) -> None:
        if self._front is not None:
            self._front.close()
        if self._queue is not None:
            await self._queue.close()
        if self._sweeper is not None:
            self._sweeper.cancel()
        await self._fleet.close()
        if self._grpc is not None:
            await self._grpc.stop(0.5)
        self._state.close()

    async def _listen(self, port: int, context: Any) -> asyncio.Server:
        remembered = self._folder / "port.json"
        if port == 0 and remembered.exists():
            try:
                return await listen(json.loads(remembered.read_text()), context, self._http_protocol, GRPC_SOCKET)
            except ValueError:
                remembered.unlink()
        return await listen(port, context, self._http_protocol, GRPC_SOCKET)

    def _http_protocol(self) -> asyncio.Protocol:
        assert self._http is not None
        return H11Protocol(self._http, self._connections, {})

    async def _open_control_plane(self) -> None:
        self._grpc = grpc.aio.server(interceptors=[KeyCheck(self._keyring)], options=GRPC_OPTIONS)
        plane = ControlPlane(self._state, self._keyring, self._fleet, self._address, shared_enabled=self._shared_enabled)
        proto.register_controller(plane, self._grpc)
        self._grpc.add_insecure_port(f"unix:{GRPC_SOCKET}")
        await self._grpc.start()

    def _routes(self, gateway: Gateway, queue: RequestQueue) -> Starlette:
        pages = Pages(self._state, gateway, instance=self._instance)
        storage = Storage(self._folder, self._state, gateway, self._address)
        rooms = (*pages.routes(), *storage.routes(), *queue.routes(), *gateway.routes())  # the first that fits answers
        return Starlette(routes=list(rooms), exception_handlers={Refused: refused})

    def _runner_platform(self, owner: str) -> Mapping[str, str]:
        """What the platform sets in a runner of `owner`."""
        bundle = str(self._folder / "tls" / "bundle.pem")
        own = {"FAL_KEY": self._keys[owner], "FAL_CONFIG_PATH": "/dev/null", "SSL_CERT_FILE": bundle}
        return own | hosts(self._address)
