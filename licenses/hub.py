"""The Hub as a source of evidence: one revision, a few small files, typed failures, no redirect off its own host."""

import json
import os
import re
import ssl
import time
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol
from urllib.parse import quote, urljoin, urlsplit

from licenses.errors import SourceFailure

LISTING_LIMIT = 8 << 20
REDIRECTS = 4
TIMEOUT_S = 10.0
REPO = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}/[A-Za-z0-9][A-Za-z0-9._-]{0,95}")
REVISION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,199}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Listing:
    """A repository at one revision; `repo` is the name that the Hub gives it, which differs after a rename."""

    repo: str
    revision: str
    files: tuple[str, ...]
    tag: str | None


class Hub(Protocol):
    def listing(self, repo: str, revision: str | None, kind: str) -> Listing:
        """Files and commit of a repository; kind is model or dataset. SourceFailure with a reason code."""

    def read(self, repo: str, revision: str, path: str, limit: int, kind: str) -> bytes:
        """All bytes of a small file at a commit. SourceFailure with a reason code."""


class HubSource:
    """A repository on the Hub, pinned to the commit that its listing named."""

    def __init__(self, hub: Hub, listing: Listing, kind: str) -> None:
        self.hub, self.listing, self.kind = hub, listing, kind
        self.name = listing.repo
        self.revision: str | None = listing.revision

    def files(self) -> tuple[str, ...]:
        return self.listing.files

    def read(self, path: str, limit: int) -> bytes:
        return self.hub.read(self.listing.repo, self.listing.revision, path, limit, self.kind)


class HttpHub:
    """The Hub over HTTP: HF_ENDPOINT and the token of huggingface_hub are respected, every answer is capped in size and time."""

    def __init__(self, *, endpoint: str | None = None, timeout_s: float = TIMEOUT_S) -> None:
        self.endpoint = (endpoint or os.environ.get("HF_ENDPOINT") or _default_endpoint()).rstrip("/")
        self.timeout_s = timeout_s

    def listing(self, repo: str, revision: str | None, kind: str) -> Listing:
        tail = f"/revision/{quote(revision, safe='')}" if revision else ""
        raw = self._get(f"/api/{kind}s/{repo}{tail}", LISTING_LIMIT, repo)
        try:
            listing = _listing(json.loads(raw))
        except (ValueError, RecursionError, KeyError, TypeError, AttributeError) as error:
            raise SourceFailure(
                "hub_bad_answer", f"{repo}: the Hub's answer does not hold ({error!s:.80}); try again later"
            ) from None
        if revision and re.fullmatch(r"[0-9a-f]{40}", revision) and listing.revision != revision:
            text = f"{repo}: asked for commit {revision[:12]}, the Hub answered with {listing.revision[:12]}; check the revision"
            raise SourceFailure("hub_bad_answer", text)
        return listing

    def read(self, repo: str, revision: str, path: str, limit: int, kind: str) -> bytes:
        prefix = "" if kind == "model" else f"/{kind}s"
        return self._get(f"{prefix}/{repo}/resolve/{quote(revision, safe='')}/{quote(path)}", limit, f"{repo}: {path}")

    def _get(self, path: str, limit: int, what: str) -> bytes:
        import httpx

        if os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "ON", "YES", "TRUE"}:
            raise SourceFailure(
                "hub_unreachable", f"{what}: HF_HUB_OFFLINE is set, so the Hub is not asked; unset it or use a folder"
            )
        try:
            with httpx.Client(timeout=self.timeout_s, follow_redirects=False, verify=_trust()) as client:
                return self._followed(client, self.endpoint + path, limit, what)
        except httpx.TimeoutException:
            raise SourceFailure("hub_timeout", f"{what}: no answer within {self.timeout_s:g} s; {self._again}") from None
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            reason = " ".join(str(error).split())[:100] or type(error).__name__
            raise SourceFailure("hub_unreachable", f"{what}: the Hub can not be reached ({reason}); {self._again}") from None

    def _followed(self, client: Any, url: str, limit: int, what: str) -> bytes:
        deadline = time.monotonic() + 3 * self.timeout_s
        for _ in range(REDIRECTS):
            with client.stream("GET", url, headers=_headers()) as answer:
                if answer.is_redirect:
                    url = self._same_host(url, answer.headers["location"], what)
                    continue
                _raise_for(answer, what)
                return _body(answer, limit, deadline, what)
        raise SourceFailure("hub_bad_answer", f"{what}: more than {REDIRECTS} redirects; check the name")

    def _same_host(self, url: str, location: str, what: str) -> str:
        target = urljoin(url, location)
        if urlsplit(target)[:2] != urlsplit(self.endpoint)[:2]:
            raise SourceFailure(
                "hub_bad_answer", f"{what}: sent to another host; a licence text has to lie in the repository itself"
            )
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


def _listing(value: Any) -> Listing:
    repo, revision = value.get("id") or value["modelId"], value["sha"]
    files = tuple(sorted(one["rfilename"] for one in value["siblings"]))
    if not (isinstance(repo, str) and REPO.fullmatch(repo) and isinstance(revision, str) and REVISION.fullmatch(revision)):
        raise ValueError("id or sha is not what a repository has")
    if not all(isinstance(path, str) and not path.startswith("/") and ".." not in path.split("/") for path in files):
        raise ValueError("a file name leaves the repository")
    tag = (value.get("cardData") or {}).get("license")
    return Listing(repo=repo, revision=revision, files=files, tag=tag if isinstance(tag, str) else None)


def _raise_for(answer: Any, what: str) -> None:
    status, code = answer.status_code, answer.headers.get("x-error-code", "")
    if status == 200:
        return
    table = (
        (code == "GatedRepo", "hub_gated", "asks for its terms to be accepted; accept them on its page and set HF_TOKEN"),
        (code == "RevisionNotFound", "hub_revision_not_found", "has no such revision; name a commit of it"),
        (code == "DisabledRepo", "hub_disabled", "was taken down by the Hub; choose another base"),
        (code == "EntryNotFound", "hub_bad_answer", "is listed but not there; try again later"),
        (code == "RepoNotFound" or status == 404, "hub_not_found", "does not exist, or is private; check the name or set HF_TOKEN"),
        (status in (401, 403), "hub_refused", "was refused without a reason; check the name and HF_TOKEN"),
        (status == 429, "hub_rate_limited", "was refused for too many requests; try again in some minutes"),
        (status >= 500, "hub_error", f"could not be served (HTTP {status}); try again later"),
    )
    for holds, reason, text in table:
        if holds:
            raise SourceFailure(reason, f"{what} {text}")
    raise SourceFailure("hub_bad_answer", f"{what} was answered with HTTP {status}; try again later")


def _body(answer: Any, limit: int, deadline: float, what: str) -> bytes:
    found = bytearray()
    for chunk in answer.iter_raw():
        found += chunk
        if len(found) > limit:
            raise SourceFailure("file_too_large", f"{what} is larger than the {limit} bytes that are read as evidence")
        if time.monotonic() > deadline:
            raise SourceFailure("hub_timeout", f"{what}: the answer did not end in time; try again later")
    length = answer.headers.get("content-length")
    if length is not None and length.isdigit() and int(length) != len(found):
        raise SourceFailure("hub_bad_answer", f"{what}: {len(found)} of {length} bytes came; try again later")
    return bytes(found)
