"""One request and its answer at a runner's unix socket, on a connection of its own: so it is known what the runner has seen."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h11

from .replies import Pairs

PIECE = 1 << 16
LARGEST_BLOCK = 1 << 17  # of an answer's headers, before we say what is too large


class Unreached(Exception):
    """Nobody took the connection: the runner has not seen the request."""


class BrokenOff(Exception):
    """The connection ended before the answer did; `begun` where the answer's head had arrived."""

    def __init__(self, *, begun: bool) -> None:
        super().__init__("the connection ended")
        self.begun = begun


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """The head of an answer, names in lower case; pieces() gives its body as it arrives, once."""

    status: int
    headers: Pairs
    pieces: Callable[[], AsyncIterator[bytes]]


@asynccontextmanager
async def exchange(
    socket: Path, *, method: str, target: bytes, headers: Iterable[tuple[str, str]], body: bytes
) -> AsyncIterator[Answer]:
    """The answer; Unreached or BrokenOff where there is none. The connection is closed at the end, however that comes."""
    try:
        reader, writer = await asyncio.open_unix_connection(str(socket))
    except OSError as error:
        raise Unreached from error
    connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=LARGEST_BLOCK)
    try:
        own = [("host", "runner"), *headers, ("content-length", str(len(body)))]
        # In one piece, and without `connection: close`: a server that closes before it has read all resets its own answer away.
        writer.write(_head(connection, method, target, own) + body)
        with contextlib.suppress(ConnectionError):
            await writer.drain()
        head = await _next(connection, reader, begun=False)
        while isinstance(head, h11.InformationalResponse):
            head = await _next(connection, reader, begun=False)
        if not isinstance(head, h11.Response) or head.status_code not in range(200, 600):
            raise BrokenOff(begun=False)
        pairs = tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in head.headers)
        yield Answer(status=head.status_code, headers=pairs, pieces=lambda: _pieces(connection, reader))
    finally:
        writer.close()


def _head(connection: h11.Connection, method: str, target: bytes, headers: list[tuple[str, str]]) -> bytes:
    raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
    return connection.send(h11.Request(method=method, target=target, headers=raw)) or b""


async def _pieces(connection: h11.Connection, reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    while not isinstance(event := await _next(connection, reader, begun=True), h11.EndOfMessage):
        assert isinstance(event, h11.Data)
        yield bytes(event.data)


async def _next(connection: h11.Connection, reader: asyncio.StreamReader, *, begun: bool) -> Any:
    """The next event of the answer."""
    try:
        while (event := connection.next_event()) is h11.NEED_DATA:
            connection.receive_data(await reader.read(PIECE))
    except (h11.RemoteProtocolError, ConnectionError) as error:
        raise BrokenOff(begun=begun) from error
    return event
