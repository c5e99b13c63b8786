"""What a runner may answer at its socket, well formed or not, and what is made of it."""

import asyncio
from pathlib import Path

import pytest

from serving.sandbox.gateway.exchange import LARGEST_BLOCK, BrokenOff, Unreached, exchange


def asked(
    folder: Path, said: bytes, *, body: bytes = b"{}", reads: bool = True
) -> tuple[int, tuple[tuple[str, str], ...], bytes, bytes]:
    """Status, headers and body of the answer, and the request as the runner saw it, of a runner that says just these bytes."""
    seen = bytearray()

    async def answering(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if reads:
            seen.extend(await reader.readuntil(b"\r\n\r\n"))
            seen.extend(await reader.readexactly(len(body)))
        writer.write(said)
        await writer.drain()
        writer.close()

    async def asking() -> tuple[int, tuple[tuple[str, str], ...], bytes]:
        async with await asyncio.start_unix_server(answering, str(folder / "s")):
            headers = [("x-own", "1"), ("x-own", "\xe4")]
            async with exchange(folder / "s", method="POST", target=b"/a?b=1", headers=headers, body=body) as answer:
                return answer.status, answer.headers, b"".join([piece async for piece in answer.pieces()])

    return (*asyncio.run(asking()), bytes(seen))


@pytest.mark.parametrize(
    ("said", "status", "body"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\npng", 200, b"png"),
        (
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 422 No\r\nContent-Length: 0\r\n\r\n",
            422,
            b"",
        ),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n", 200, b"abc"),
        (b"HTTP/1.1 200 OK\r\n\r\nuntil it closes", 200, b"until it closes"),
        (b"HTTP/1.0 200 OK\r\n\r\nold", 200, b"old"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b""),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx and more than it said", 200, b"x"),
    ],
)
def test_an_answer_is_read_as_http_says(tmp_path: Path, said: bytes, status: int, body: bytes) -> None:
    found, _, content, _ = asked(tmp_path, said)
    assert (found, content) == (status, body)


def test_the_request_is_sent_as_it_is_given(tmp_path: Path) -> None:
    _, headers, _, seen = asked(tmp_path, b"HTTP/1.1 200 OK\r\nX-A: 1\r\nx-a: \xe4\r\nContent-Length: 0\r\n\r\n", body=b"\x00\xff")
    assert seen == b"POST /a?b=1 HTTP/1.1\r\nhost: runner\r\nx-own: 1\r\nx-own: \xe4\r\ncontent-length: 2\r\n\r\n\x00\xff"
    assert headers == (("x-a", "1"), ("x-a", "\xe4"), ("content-length", "0"))


@pytest.mark.parametrize(
    ("said", "begun"),
    [
        (b"", False),
        (b"HTTP/1.1 200", False),
        (b"HTTP/1.1 600 Odd\r\nContent-Length: 0\r\n\r\n", False),
        (b"\x16\x03\x01 not http at all\r\n\r\n", False),
        (b"HTTP/1.1 200 OK\r\nx: " + b"h" * (LARGEST_BLOCK + 1), False),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab", True),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab", True),
    ],
)
def test_an_answer_that_is_none_is_told_from_one_that_breaks_off(tmp_path: Path, said: bytes, begun: bool) -> None:
    with pytest.raises(BrokenOff) as caught:
        asked(tmp_path, said)
    assert caught.value.begun is begun


def test_nobody_at_the_socket_means_that_nothing_was_seen(tmp_path: Path) -> None:
    async def asking() -> None:
        async with exchange(tmp_path / "none", method="GET", target=b"/", headers=[], body=b""):
            pass

    with pytest.raises(Unreached):
        asyncio.run(asking())
