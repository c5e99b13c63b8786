"""Links that open a session once, and the sessions; kept as hashes in memory, so that they end with the daemon."""

import hashlib
import hmac
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass

LINK_SECONDS = 300.0
SESSION_SECONDS = 12 * 3600.0
KEPT = 20  # links and sessions at once; the oldest goes


@dataclass(frozen=True, kw_only=True, slots=True)
class Opened:
    """The two halves of a new session. A cookie is seen at every port of 127.0.0.1, so it alone opens no data: what the page
    keeps for its own origin has to come with it."""

    cookie: str
    page: str


class Sessions:
    """link() -> redeem() once -> knows() until it expires."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._links: dict[bytes, float] = {}
        self._sessions: dict[bytes, tuple[bytes, float]] = {}

    def link(self) -> str:
        """A token that redeem() takes once, within LINK_SECONDS."""
        token = secrets.token_urlsafe(32)
        self._links = dict(list(self._links.items())[1 - KEPT :]) | {_digest(token): self._clock() + LINK_SECONDS}
        return token

    def redeem(self, token: str) -> Opened | None:
        """A session for a token that was not used and has not expired, else None."""
        found = _find(self._links, token)
        if found is None or self._links.pop(found) < self._clock():
            return None
        opened = Opened(cookie=secrets.token_urlsafe(32), page=secrets.token_urlsafe(32))
        entry = {_digest(opened.cookie): (_digest(opened.page), self._clock() + SESSION_SECONDS)}
        self._sessions = dict(list(self._sessions.items())[1 - KEPT :]) | entry
        return opened

    def knows_cookie(self, cookie: str) -> bool:
        """Enough for a page without data."""
        return self._entry(cookie) is not None

    def knows(self, cookie: str, page: str) -> bool:
        """Both halves of one session."""
        entry = self._entry(cookie)
        return entry is not None and hmac.compare_digest(entry[0], _digest(page))

    def close(self, cookie: str) -> None:
        found = _find(self._sessions, cookie)
        if found is not None:
            del self._sessions[found]

    def _entry(self, cookie: str) -> tuple[bytes, float] | None:
        found = _find(self._sessions, cookie)
        if found is None or self._sessions[found][1] < self._clock():
            return None
        return self._sessions[found]


def _find(known: "dict[bytes, float] | dict[bytes, tuple[bytes, float]]", secret: str) -> bytes | None:
    """The digest of the secret where it is known; each one is compared, each in constant time."""
    digest, found = _digest(secret), None
    for candidate in known:
        if hmac.compare_digest(candidate, digest):
            found = candidate
    return found


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
