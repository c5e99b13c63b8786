"""One request to a server on loopback, by the bytes or by the words, and what must be true of every answer."""

import http.client
import json
import socket
from collections.abc import Mapping
from contextlib import suppress

from tests.serving.app.fuzz import UNITS

JSON = {"content-type": "application/json"}
OK = b'{"prompt":"ok"}'


def asked(
    port: int,
    path: str,
    body: bytes,
    *,
    method: str = "POST",
    headers: Mapping[str, str] = JSON,
    units: str | None = "0",
) -> tuple[int, bytes]:
    """Status and body of one request; its units are stated once, and are as said."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request(method, path, body=body, headers=dict(headers))
        response = connection.getresponse()
        stated, answer = response.headers.get_all(UNITS), response.read()
    finally:
        connection.close()
    images = len(json.loads(answer).get("images", ())) if response.status == 200 else 0
    assert stated == [units or str(images)]
    return response.status, answer


def raw(port: int, sent: list[bytes]) -> bytes:
    """Everything that comes back for these bytes, until the server closes the connection.

    One that refuses closes with what it did not read, which resets the connection: what it had said by then is what came back.
    """
    received = b""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        with suppress(ConnectionResetError, BrokenPipeError):
            for part in sent:
                connection.sendall(part)
        with suppress(ConnectionResetError):
            while more := connection.recv(65536):
                received += more
    return received
