"""A link of a caller's reaches public servers only, whatever it is written like and wherever it leads."""

import asyncio
import ipaddress
import ssl
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from serving.app.errors import BadPicture
from serving.app.requests.addresses import is_public
from serving.app.requests.downloads import MAX_REDIRECTS, Internet, download
from serving.app.requests.places import Places
from tests.serving.app.public_server import NAMES, Answer, PublicServer, body, public_server, redirect

LIMIT, PLACES = 1000, Places("test", at_once=4)
NOT_PUBLIC = """
0.0.0.0 0.1.2.3 10.0.0.1 100.64.0.1 100.100.100.200 127.0.0.1 127.8.9.1 168.63.129.16 169.254.169.254 169.254.170.2 172.16.0.1
172.31.255.255 192.0.0.192 192.0.2.1 192.88.99.1 192.168.1.1 198.18.0.1 198.51.100.7 203.0.113.9 224.0.0.1 239.255.255.250
240.0.0.1 255.255.255.255 :: ::1 ::127.0.0.1 ::ffff:127.0.0.1 ::ffff:10.0.0.1 ::ffff:169.254.169.254 ::ffff:0:127.0.0.1
64:ff9b::7f00:1 64:ff9b::a9fe:a9fe 64:ff9b:1::1 100::1 2001::1 2001:0:7f00:1:: 2001:db8::1 2002:7f00:1::1 2002:a00:1::1
2002:808:808::1 3fff::1 5f00::1 4000::1 fc00::1 fd00:ec2::254 fd12:3456::1 fe80::1 fe80::1%eth0 fec0::1 ff02::1
127.1 2130706433 0x7f000001 localhost
"""
NO_LINKS = """
http://pictures.example.com/ ftp://pictures.example.com/ file:///etc/passwd gopher://pictures.example.com/
//pictures.example.com/ pictures.example.com /a.png https: https:// https:///a.png
https://127.0.0.1/ https://127.1/ https://2130706433/ https://0x7f000001/ https://0x7f.0.0.1/ https://0177.0.0.1/
https://017700000001/ https://1.1.1.1/ https://127.0.0.1.:443/ https://①②⑦.⓪.⓪.①/ https://127。0。0。1/
https://[::1]/ https://[::ffff:127.0.0.1]/ https://[64:ff9b::7f00:1]/ https://[fe80::1%25eth0]/
https://localhost/ https://ⓛocalhost/ https://metadata/ https://pictures.example.1/ https://pictures.example.0x1/
https://user@pictures.example.com/ https://user:word@pictures.example.com/ https://a\\@127.0.0.1/
https://pictures.example.com:80/ https://pictures.example.com:8443/ https://pictures.example.com:99999/
https://pictures.example.com:x/ https://.example.com/ https://pictures..example.com/ https://-.example.com/
https://exa%6dple.com/ https://a_.b.c%00.com/
"""
LONG_OR_SPLIT = [
    "",
    "https://a b.example.com/",
    "https://a\n.example.com/",
    f"https://{'a' * 300}.com/",
    f"https://a.example.com/{'a' * 70_000}",
]


@pytest.mark.parametrize(
    "address", ["1.1.1.1", "8.8.8.8", "93.184.216.34", "2606:4700:4700::1111", "64:ff9b::808:808", "::ffff:8.8.8.8"]
)
def test_addresses_of_public_servers_are_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize("address", NOT_PUBLIC.split())
def test_what_is_no_public_address_is_refused(address: str) -> None:
    assert not is_public(address)


@given(st.ip_addresses() | st.ip_addresses(v=4) | st.ip_addresses(network="2000::/3"))
@hypothesis_settings(deadline=None, max_examples=400, derandomize=True)
def test_a_public_address_is_one_to_the_standard_library_too(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    if is_public(str(address)):
        inside = ipaddress.ip_address(address.packed[-4:]) if address.version == 6 and address not in PUBLIC_V6 else address
        kinds = ("private", "multicast", "reserved", "loopback", "link_local", "unspecified")
        assert inside.is_global
        assert not any(getattr(inside, f"is_{kind}") for kind in kinds)
    elif address.version == 4:
        assert not address.is_global or address.is_multicast or any(address in network for network in ODD_V4)


PUBLIC_V6 = ipaddress.ip_network("2000::/3")
ODD_V4 = [  # special to IANA or to a cloud, not to the standard library of every Python
    ipaddress.ip_network(network)
    for network in ("168.63.129.16/32", "192.0.0.0/24", "192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24", "192.175.48.0/24")
]


@pytest.mark.parametrize("embedded", ["10.1.2.3", "127.0.0.1", "169.254.169.254", "100.64.1.1", "192.168.0.1"])
@pytest.mark.parametrize("disguise", ["::ffff:{}", "64:ff9b::{}", "::{}", "::ffff:0:{}", "2001:db8::{}", "64:ff9b:1::{}"])
def test_an_address_inside_of_another_is_seen(embedded: str, disguise: str) -> None:
    assert not is_public(disguise.format(embedded))


@pytest.mark.parametrize("url", [*NO_LINKS.split(), *LONG_OR_SPLIT])
def test_a_link_that_is_not_plainly_https_to_a_name_is_refused(url: str) -> None:
    asked: list[str] = []

    async def resolve(host: str) -> Sequence[str]:
        asked.append(host)
        return ["127.0.0.1"]

    with pytest.raises(BadPicture) as refused:
        asyncio.run(downloaded(url, max_bytes=LIMIT, internet=Internet(resolve=resolve)))
    assert refused.value.type == "file_download_error"
    assert "\n" not in str(refused.value)
    assert asked == []


@pytest.mark.parametrize("addresses", [[], ["10.0.0.1"], ["127.0.0.1"], ["8.8.8.8", "127.0.0.1"], ["::1"], ["fe80::1%2"], ["junk"]])
def test_a_name_with_one_address_that_is_not_public_is_as_if_it_did_not_exist(addresses: list[str]) -> None:
    async def resolve(_host: str) -> Sequence[str]:
        return addresses

    with pytest.raises(BadPicture, match="can not be found on the public internet"):
        asyncio.run(downloaded("https://pictures.example.com/", max_bytes=LIMIT, internet=Internet(resolve=resolve)))


def test_the_machines_own_resolver_is_asked_and_its_loopback_names_are_refused() -> None:
    with pytest.raises(BadPicture, match="can not be found on the public internet"):
        asyncio.run(downloaded("https://a.localhost/", max_bytes=LIMIT))


def test_a_file_comes_as_it_is() -> None:
    data, server = _downloaded({"/a.png?b=c": b"\x89PNG" * 9}, "/a.png?b=c")
    assert data == b"\x89PNG" * 9
    (head,) = server.heads
    assert f"host: {NAMES[0]}:{server.port}\r\n" in head.lower()
    assert "cookie" not in head.lower()


def test_names_in_other_scripts_are_names() -> None:
    async def scenario() -> tuple[bytes, PublicServer]:
        async with public_server({"/%C3%BC": b"ok"}) as server:
            return await downloaded(server.url("/ü", name="bücher.example.com"), max_bytes=LIMIT, internet=server.internet), server

    data, server = asyncio.run(scenario())
    assert (data, server.looked_up) == (b"ok", ["xn--bcher-kva.example.com"])
    assert f"host: xn--bcher-kva.example.com:{server.port}\r\n" in server.heads[0].lower()


def test_the_connection_goes_to_the_address_that_was_looked_at() -> None:
    """A name that has another address the second time it is asked for (DNS rebinding) is not asked a second time."""
    data, server = _downloaded({"/": b"ok"}, "/")
    assert data == b"ok"
    assert server.looked_up == [NAMES[0]]


def test_redirects_are_followed_within_reason() -> None:
    chain: dict[str, bytes | Answer] = {f"/{i}": redirect(f"/{i + 1}") for i in range(MAX_REDIRECTS)}
    data, server = _downloaded({**chain, f"/{MAX_REDIRECTS}": b"there"}, "/0")
    assert (data, len(server.looked_up)) == (b"there", MAX_REDIRECTS + 1)
    with pytest.raises(BadPicture, match="more than 3 redirects"):
        _downloaded({"/": redirect("/")}, "/")


@pytest.mark.parametrize(
    "location",
    [
        "http://pictures.example.com/",
        "https://127.0.0.1:{port}/inside",
        "https://[::1]:{port}/inside",
        "https://localhost:{port}/inside",
        "https://private.example.com:{port}/inside",
        "https://nowhere.example.com:{port}/inside",
        "https://other.example.com:1/inside",
        "https://me@other.example.com:{port}/inside",
        "//127.0.0.1:{port}/inside",
        "file:///etc/passwd",
        "data:image/png;base64,AAAA",
        "",
    ],
)
def test_a_redirect_is_a_new_link_to_every_check(location: str) -> None:
    async def scenario() -> None:
        answers: dict[str, bytes | Answer] = {"/inside": b"secret"}
        names = {NAMES[0]: ["127.0.0.1"], "private.example.com": ["10.0.0.1"]}
        async with public_server(answers, names=names) as server:
            answers["/"] = redirect(location.format(port=server.port)) if location else body(b"", status="302 Found")
            with pytest.raises(BadPicture):
                await downloaded(server.url(), max_bytes=LIMIT, internet=server.internet)
            assert len(server.heads) == 1

    asyncio.run(scenario())


async def _endless(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
    while not writer.is_closing():
        writer.write(b"x" * 65536)
        await writer.drain()


async def _endless_chunks(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
    while not writer.is_closing():
        writer.write(b"1\r\nx\r\n" * 500)
        await writer.drain()


async def _cut_off(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nonly this")


async def _long_headers(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n")
    while not writer.is_closing():
        writer.write(b"x-more: " + b"x" * 8000 + b"\r\n")
        await writer.drain()


async def _no_http(writer: asyncio.StreamWriter) -> None:
    writer.write(b"220 mail.example.com ESMTP\r\n")


@pytest.mark.parametrize(
    ("answer", "type", "says"),
    [
        (body(b"x" * (LIMIT + 1)), "file_too_large", "larger than the 1000 bytes"),
        (body(b"", headers="content-length: 99999999999999999999999\r\n"), "file_download_error", "failed"),
        (_endless, "file_too_large", "larger than"),
        (_endless_chunks, "file_too_large", "larger than"),
        (_cut_off, "file_download_error", "failed"),
        (_long_headers, "file_download_error", "failed"),
        (_no_http, "file_download_error", "failed"),
        (body(b"no", status="404 Not Found"), "file_download_error", "answered 404"),
        (body(b"no", status="204 No Content"), "file_download_error", "answered 204"),
        (body(b"", status="500 Internal Server Error"), "file_download_error", "answered 500"),
        (body(b"", status="302 Found"), "file_download_error", "redirects to nowhere"),
    ],
)
def test_an_answer_that_is_no_file_of_the_size_is_refused(answer: Answer, type: str, says: str) -> None:
    with pytest.raises(BadPicture, match=says) as refused:
        _downloaded({"/": answer}, "/")
    assert refused.value.type == type


def test_a_body_in_disguise_is_not_unpacked() -> None:
    packed = b"\x1f\x8b\x08\x00not really"
    data, _ = _downloaded({"/": body(packed, headers="content-encoding: gzip\r\n")}, "/")
    assert data == packed


def test_a_server_that_drips_is_left_when_the_time_is_over() -> None:
    async def drip(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while not writer.is_closing():
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.01)

    with pytest.raises(BadPicture, match=r"took longer than 0\.3 seconds"):
        _downloaded({"/": drip}, "/", seconds=0.3)


def test_a_download_that_nobody_waits_for_ends_at_once() -> None:
    async def scenario() -> None:
        left = asyncio.Event()

        async def endless(writer: asyncio.StreamWriter) -> None:
            writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
            try:
                while True:
                    writer.write(b"x")
                    await writer.drain()
                    started.set()
                    await asyncio.sleep(0)
            finally:
                left.set()

        started = asyncio.Event()
        async with public_server({"/": endless}) as server:
            work = asyncio.create_task(downloaded(server.url(), max_bytes=10**9, internet=server.internet))
            await started.wait()
            work.cancel()
            with pytest.raises(asyncio.CancelledError):
                await work
            await asyncio.wait_for(left.wait(), 10)

    asyncio.run(scenario())


def test_a_name_server_that_does_not_answer_is_left_too() -> None:
    async def never(_host: str) -> Sequence[str]:
        return await asyncio.get_running_loop().create_future()  # type: ignore[no-any-return]

    with pytest.raises(BadPicture, match=r"took longer than 0\.05 seconds"):
        asyncio.run(downloaded("https://a.example.com/", max_bytes=LIMIT, internet=Internet(resolve=never, seconds=0.05)))


def test_the_certificate_must_be_the_names_and_of_an_authority_that_counts() -> None:
    async def scenario() -> None:
        async with public_server(
            {"/": b"secret"}, names={"stranger.example.com": ["127.0.0.1"], NAMES[0]: ["127.0.0.1"]}
        ) as server:
            with pytest.raises(BadPicture, match="over TLS"):
                await downloaded(server.url(name="stranger.example.com"), max_bytes=LIMIT, internet=server.internet)
            known = server.internet
            stranger = Internet(resolve=known.resolve, allows=known.allows, port=known.port, trust=ssl.create_default_context())
            with pytest.raises(BadPicture, match="over TLS"):
                await downloaded(server.url(), max_bytes=LIMIT, internet=stranger)
            assert server.heads == []

    asyncio.run(scenario())


def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert _downloaded({"/": b"ok"}, "/")[0] == b"ok"


def test_another_address_of_the_name_is_tried_where_the_first_takes_no_connection() -> None:
    async def scenario() -> bytes:
        async with public_server({"/": b"ok"}, names={NAMES[0]: ["127.0.0.99", "127.0.0.1"]}) as server:
            known = server.internet
            both = Internet(resolve=known.resolve, allows=lambda _: True, port=known.port, trust=known.trust)
            return await downloaded(server.url(), max_bytes=LIMIT, internet=both)

    assert asyncio.run(scenario()) == b"ok"


async def downloaded(url: str, *, max_bytes: int = LIMIT, internet: Internet | None = None) -> bytes:
    with PLACES.one("somebody") as place:
        return await download(url, max_bytes=max_bytes, place=place, internet=internet)


def _downloaded(answers: Mapping[str, bytes | Answer], path: str, **options: Any) -> tuple[bytes, PublicServer]:
    async def scenario() -> tuple[bytes, PublicServer]:
        async with public_server(answers, **options) as server:
            return await downloaded(server.url(path), max_bytes=LIMIT, internet=server.internet), server

    return asyncio.run(scenario())
