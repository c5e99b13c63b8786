"""A caller's link as bytes, without letting the caller reach through us what only this machine can reach."""

import asyncio
import re
import ssl
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import cache

import httpx

from ..errors import BadPicture
from .addresses import is_public
from .places import Place

MAX_REDIRECTS = 3

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
# A name with a dot whose last part begins with a letter: no writing of an address (1.1.1.1, 0x7f.1, 2130706433, [::1]) is one.
_NAME = re.compile(r"(?=.{4,253}\Z)([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?\.)+[a-z][a-z0-9-]{0,61}[a-z0-9]")
_HEADERS = {"user-agent": "lorasmith", "accept": "image/jpeg, image/png, image/webp", "accept-encoding": "identity"}


_Resolve = Callable[[str], Awaitable[Sequence[str]]]


@cache
def _trust() -> ssl.SSLContext:
    return httpx.create_ssl_context(trust_env=False)  # certifi's roots, whatever the environment says


@dataclass(frozen=True, kw_only=True, slots=True)
class Internet:
    """Who resolves names (None: the system), which addresses and port may be reached, whose certificates count, for how long."""

    resolve: _Resolve | None = None
    allows: Callable[[str], bool] = is_public
    port: int = 443
    trust: ssl.SSLContext = field(default_factory=_trust)
    seconds: float = 20


async def download(url: str, *, max_bytes: int, place: Place, internet: Internet | None = None) -> bytes:
    """The file behind an https link, redirects followed. Raises BadPicture.

    A name is resolved once, all its addresses must be public, and the connection goes to one of those that were looked at;
    the certificate must still be the name's. Every redirect is a new link to all of this.
    """
    world = internet or Internet()
    try:
        async with asyncio.timeout(world.seconds):
            for _ in range(MAX_REDIRECTS + 1):
                answer = await _get(url, max_bytes, world, world.resolve or place.addresses_of)
                if isinstance(answer, bytes):
                    return answer
                url = answer
    except TimeoutError as error:
        raise _failed(f"the download took longer than {world.seconds:g} seconds") from error
    except (httpx.HTTPError, httpx.StreamError, httpx.InvalidURL) as error:
        raise _failed("the download failed: the server must answer over TLS with a file") from error
    raise _failed(f"the link leads to more than {MAX_REDIRECTS} redirects")


async def _get(url: str, max_bytes: int, internet: Internet, resolve: _Resolve) -> bytes | str:
    """One request: the bytes of a file, or where the server sends us."""
    link = _checked(url, internet.port)
    addresses = await _public_addresses(_name(link), internet, resolve)
    async with httpx.AsyncClient(verify=internet.trust, trust_env=False, timeout=internet.seconds) as client:
        response = await _connected(client, link, addresses)
        try:
            if response.status_code in _REDIRECTS:
                return _next(link, response)
            if response.status_code != 200:
                raise _failed(f"the server answered {response.status_code}")
            return await _body(response, max_bytes)
        finally:
            await response.aclose()


def _checked(url: str, port: int) -> httpx.URL:
    """The link, if it is one of https to a name and nothing else."""
    try:
        link = httpx.URL(url)
    except (httpx.InvalidURL, UnicodeError) as error:
        raise _failed("it is no link") from error
    if link.scheme != "https":
        raise _failed("the link must begin with https://, or be a data URI")
    if link.userinfo or (link.port or 443) != port:
        raise _failed(f"the link must have no user, no password and no port but {port}")
    if not _NAME.fullmatch(_name(link)):
        raise _failed("the link must name a server, not an address")
    return link


def _name(link: httpx.URL) -> str:
    """The server's name as name servers and certificates write it: letters of other scripts in punycode."""
    return link.raw_host.decode("ascii").lower()


async def _public_addresses(host: str, internet: Internet, resolve: _Resolve) -> Sequence[str]:
    """All addresses of a name. One that is not public refuses the name; the answer is that of a name that does not exist."""
    try:
        found = await resolve(host)
    except (OSError, UnicodeError):
        found = ()
    if not found or not all(internet.allows(address) for address in found):
        raise _failed("the link's server can not be found on the public internet")
    return found


async def _connected(client: httpx.AsyncClient, link: httpx.URL, addresses: Sequence[str]) -> httpx.Response:
    """The response of the first address that takes the connection; its body is not read yet."""
    for address in addresses[:-1]:
        try:
            return await client.send(_request(client, link, address), stream=True)
        except httpx.ConnectError:
            continue
    return await client.send(_request(client, link, addresses[-1]), stream=True)


def _request(client: httpx.AsyncClient, link: httpx.URL, address: str) -> httpx.Request:
    """A request that connects to the address while SNI, certificate and Host are the name's."""
    headers = _HEADERS | {"host": link.netloc.decode("ascii")}
    return client.build_request("GET", link.copy_with(host=address), headers=headers, extensions={"sni_hostname": _name(link)})


def _next(link: httpx.URL, response: httpx.Response) -> str:
    try:
        return str(link.join(response.headers["location"]))
    except (KeyError, httpx.InvalidURL, UnicodeError) as error:
        raise _failed("the server redirects to nowhere") from error


async def _body(response: httpx.Response, max_bytes: int) -> bytes:
    """The body as it was sent; its declared length is believed only where it says too much."""
    declared = response.headers.get("content-length", "")
    if declared.isdecimal() and int(declared[:20]) > max_bytes:
        raise _too_large(max_bytes)
    data = bytearray()
    async for chunk in response.aiter_raw():
        data += chunk
        if len(data) > max_bytes:
            raise _too_large(max_bytes)
    return bytes(data)


def _failed(reason: str) -> BadPicture:
    return BadPicture(f"The picture could not be downloaded: {reason}", type="file_download_error")


def _too_large(max_bytes: int) -> BadPicture:
    return BadPicture(f"The file is larger than the {max_bytes} bytes allowed", type="file_too_large")
