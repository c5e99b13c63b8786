"""One TLS port for two protocols: HTTP/1.1 is answered here, HTTP/2 (gRPC) is carried to the control plane's unix socket."""

import asyncio
import contextlib
import ssl
from collections.abc import Callable

from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

from .errors import PortInUse, SandboxError

LOOPBACK = "127.0.0.1"
HEAD_SECONDS = 30.0  # that a client may take to say what it wants


async def listen(port: int, context: ssl.SSLContext, http: Callable[[], asyncio.Protocol], grpc_socket: str) -> asyncio.Server:
    """Serve on 127.0.0.1:port (0: any free one); there is no way to bind anything else."""
    loop = asyncio.get_running_loop()
    try:
        return await loop.create_server(lambda: _Front(http, grpc_socket), LOOPBACK, port, ssl=context, ssl_handshake_timeout=10)
    except OSError as error:
        raise PortInUse(
            f"port {port} on {LOOPBACK} is in use by another program; choose another with --port, or 0 for any"
        ) from error
    except OverflowError as error:
        raise SandboxError(f"port {port} is not between 0 and 65535") from error


class Prompt(H11Protocol):
    """HTTP/1.1 that waits for nobody: a connection ends where nothing is under way and nothing was asked since the last look."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._look(object())

    def connection_lost(self, exc: Exception | None) -> None:
        self._looking.cancel()
        super().connection_lost(exc)

    def _look(self, before: object) -> None:
        latest: RequestResponseCycle | None = self.cycle
        if latest is before and (latest is None or latest.response_complete):
            self.transport.close()
            return
        self._looking = asyncio.get_running_loop().call_later(HEAD_SECONDS, self._look, latest)


class _Front(asyncio.Protocol):
    """Looks at what the handshake agreed on, then steps aside."""

    def __init__(self, http: Callable[[], asyncio.Protocol], grpc_socket: str) -> None:
        self._http = http
        self._grpc_socket = grpc_socket

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        chosen = transport.get_extra_info("ssl_object").selected_alpn_protocol()
        inner = _Pipe(self._grpc_socket) if chosen == "h2" else self._http()
        transport.set_protocol(inner)
        inner.connection_made(transport)


class _Pipe(asyncio.Protocol):
    """Bytes of one connection, to and from the unix socket, no faster than the slower side takes them."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._task: asyncio.Task[None] | None = None
        self._incoming = asyncio.StreamReader(limit=1 << 20)
        self._inner = asyncio.StreamReaderProtocol(self._incoming)
        self._outgoing: asyncio.StreamWriter | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._inner.connection_made(transport)
        self._outgoing = asyncio.StreamWriter(transport, self._inner, self._incoming, asyncio.get_running_loop())
        self._task = asyncio.create_task(self._carry(self._incoming, self._outgoing))

    def data_received(self, data: bytes) -> None:
        self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        return self._inner.eof_received()

    def pause_writing(self) -> None:
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        self._inner.resume_writing()

    def connection_lost(self, error: Exception | None) -> None:
        self._inner.connection_lost(error)
        if self._task is not None:
            self._task.cancel()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream_reader, upstream_writer = await asyncio.open_unix_connection(self._path)
        try:
            tasks = {asyncio.create_task(_copy(reader, upstream_writer)), asyncio.create_task(_copy(upstream_reader, writer))}
            try:
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in tasks:
                    task.cancel()
        finally:
            upstream_writer.close()
            writer.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
