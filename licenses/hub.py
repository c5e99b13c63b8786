"""The Hub as a source of evidence: one revision, a few small files, typed failures, no redirect off its own host."""

import os
import ssl
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Any, Protocol
from urllib.parse import quote, urljoin, urlsplit

from licenses.archive import Archive, pinned
from licenses.errors import SourceFailure, flat
from licenses.hub_answers import REPO, REVISION, Listing, listing_of, raise_for

__all__ = ["REPO", "REVISION", "HttpHub", "Hub", "HubSource", "Listing"]

LISTING_LIMIT = 8 << 20
REDIRECTS = 4
TIMEOUT_S = 10.0
AT_ONCE = 8
OFFLINE = {"1", "ON", "YES", "TRUE"}
FIELDS = {
    "model": ("baseModels", "cardData", "disabled", "gated", "private", "sha", "siblings", "tags"),
    "dataset": ("cardData", "disabled", "gated", "private", "sha", "siblings", "tags"),
}


class Hub(Protocol):
    def listing(self, repo: str, revision: str | None, kind: str) -> Listing:
        """Files and commit of a repository; kind is model or dataset. SourceFailure with a reason code."""

    def read(self, repo: str, revision: str, path: str, limit: int, kind: str) -> bytes:
        """All bytes of a small file at a commit. SourceFailure with a reason code."""

    def close(self) -> None:
        """Lets go of connections; the next question opens them again."""


class HubSource:
    """A repository on the Hub, pinned to the commit that its listing named; files are asked for several at a time."""

    def __init__(self, hub: Hub, listing: Listing, kind: str, archive: Archive | None = None) -> None:
        self.hub, self.listing, self.kind, self.archive = hub, listing, kind, archive
        self.name = listing.repo
        self.revision: str | None = listing.revision

    @property
    def pin(self) -> str:
        return pinned(self.kind, self.listing.repo, self.listing.revision)

    def files(self) -> tuple[str, ...]:
        return self.listing.files

    def read(self, wanted: Mapping[str, int]) -> Mapping[str, bytes | SourceFailure]:
        if not wanted:
            return {}
        with ThreadPoolExecutor(max_workers=min(AT_ONCE, len(wanted))) as pool:
            return dict(zip(wanted, pool.map(self._one, wanted, wanted.values()), strict=True))

    def header(self, path: str) -> Mapping[str, str]:
        """Nothing: weights lie on other hosts, which are not asked."""
        return {}

    def _one(self, path: str, limit: int) -> bytes | SourceFailure:
        raw = self.archive.recall(self.pin, path) if self.archive else None
        try:
            return raw if raw is not None else self.hub.read(self.listing.repo, self.listing.revision, path, limit, self.kind)
        except SourceFailure as failure:
            return failure


class HttpHub:
    """The Hub over HTTP: HF_ENDPOINT and the token of huggingface_hub are respected, every answer is capped in size and time."""

    def __init__(self, *, endpoint: str | None = None, timeout_s: float = TIMEOUT_S) -> None:
        self.endpoint = (endpoint or os.environ.get("HF_ENDPOINT") or _default_endpoint()).rstrip("/")
        self.timeout_s = timeout_s
        self._opened: Any = None

    def listing(self, repo: str, revision: str | None, kind: str) -> Listing:
        tail = f"/revision/{quote(revision, safe='')}" if revision else ""
        fields = "&".join(f"expand={field}" for field in FIELDS[kind])
        listing = listing_of(self._get(f"/api/{kind}s/{repo}{tail}?{fields}", LISTING_LIMIT, repo), repo, revision)
        if listing.disabled:
            raise SourceFailure("hub_disabled", f"{repo} was taken down by the Hub; choose another base")
        return listing

    def read(self, repo: str, revision: str, path: str, limit: int, kind: str) -> bytes:
        prefix = "" if kind == "model" else f"/{kind}s"
        return self._get(f"{prefix}/{repo}/resolve/{quote(revision, safe='')}/{quote(path)}", limit, f"{repo}: {flat(path)}")

    def close(self) -> None:
        client, self._opened = self._opened, None
        if client is not None:
            client.close()

    def _client(self) -> Any:
        import httpx

        if self._opened is None:
            limits = httpx.Limits(max_connections=AT_ONCE, max_keepalive_connections=AT_ONCE)
            self._opened = httpx.Client(timeout=self.timeout_s, follow_redirects=False, verify=_trust(), limits=limits)
        return self._opened

    def _get(self, path: str, limit: int, what: str) -> bytes:
        import httpx

        if os.environ.get("HF_HUB_OFFLINE", "").upper() in OFFLINE:
            text = f"{what}: HF_HUB_OFFLINE is set, so the Hub is not asked; unset it or use a folder"
            raise SourceFailure("hub_offline", text)
        try:
            return self._followed(self.endpoint + path, limit, what)
        except httpx.TimeoutException:
            raise SourceFailure("hub_timeout", f"{what}: no answer within {self.timeout_s:g} s; {self._again}") from None
        except httpx.RemoteProtocolError as error:
            raise SourceFailure("hub_cut_short", f"{what}: the answer broke off ({_why(error)}); {self._again}") from None
        except (httpx.HTTPError, httpx.InvalidURL, ValueError, OSError) as error:
            if isinstance(error, SourceFailure):
                raise
            if _is_tls(error):
                text = f"{what}: the Hub's certificate does not hold ({_why(error)}); check HF_ENDPOINT and SSL_CERT_FILE"
                raise SourceFailure("hub_tls_failed", text) from None
            raise SourceFailure("hub_unreachable", f"{what}: the Hub can not be reached ({_why(error)}); {self._again}") from None

    def _followed(self, url: str, limit: int, what: str) -> bytes:
        deadline = time.monotonic() + 3 * self.timeout_s
        for _ in range(REDIRECTS):
            with self._client().stream("GET", url, headers=_headers()) as answer:
                if answer.has_redirect_location:
                    url = self._same_host(url, answer.headers["location"], what)
                    continue
                raise_for(answer.status_code, answer.headers.get("x-error-code", ""), what)
                return _body(answer, limit, deadline, what)
        raise SourceFailure("hub_redirects", f"{what}: more than {REDIRECTS} redirects; check the name")

    def _same_host(self, url: str, location: str, what: str) -> str:
        target = urljoin(url, location)
        if urlsplit(target)[:2] != urlsplit(self.endpoint)[:2]:
            text = f"{what}: sent to another host, which is not followed; a licence text has to lie in the repository itself"
            raise SourceFailure("hub_other_host", text)
        return target

    @property
    def _again(self) -> str:
        return "try again, or check a local folder of the base"


@lru_cache(maxsize=1)
def _trust() -> ssl.SSLContext:
    """Loading the certificates costs more than a request, so it is done once."""
    import httpx

    return httpx.create_ssl_context()


def _default_endpoint() -> str:
    from huggingface_hub import constants

    return str(constants.ENDPOINT)


def _headers() -> dict[str, str]:
    from huggingface_hub import get_token

    token = get_token()
    return {"user-agent": "lorasmith", "accept-encoding": "identity"} | ({"authorization": f"Bearer {token}"} if token else {})


def _is_tls(error: BaseException) -> bool:
    """A TLS failure stands somewhere behind the error that the client raises."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, ssl.SSLError):
            return True
        seen = seen.__cause__ or seen.__context__
    return False


def _why(error: BaseException) -> str:
    return flat(error)[:100] or type(error).__name__


def _body(answer: Any, limit: int, deadline: float, what: str) -> bytes:
    if answer.headers.get("content-encoding", "identity").strip().casefold() not in ("", "identity"):
        text = f"{what}: the answer is compressed though that was not asked for, and is not unpacked; try again later"
        raise SourceFailure("hub_compressed", text)
    if not {"content-length", "transfer-encoding"} & set(answer.headers):
        text = f"{what}: the answer has no length, so nobody can say whether it is whole; try again later"
        raise SourceFailure("hub_cut_short", text)
    found = bytearray()
    for chunk in answer.iter_raw():
        found += chunk
        if len(found) > limit:
            raise SourceFailure("file_too_large", f"{what} is larger than the {limit} bytes that are read as evidence")
        if time.monotonic() > deadline:
            raise SourceFailure("hub_timeout", f"{what}: the answer did not end in time; try again later")
    length = answer.headers.get("content-length")
    if length is not None and length.isdigit() and int(length) != len(found):
        raise SourceFailure("hub_cut_short", f"{what}: {len(found)} of {length} bytes came; try again later")
    return bytes(found)
