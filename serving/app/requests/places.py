"""Places for work on what callers send: so many at once, shared fairly, and each with a thread of its own to look up names in."""

import asyncio
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from ..errors import Busy


class Place:
    """One of the places, while it is held."""

    def __init__(self, threads: ThreadPoolExecutor) -> None:
        self._threads = threads
        self.asked: Future[Any] = Future()  # the last question to the resolver, which can not be taken back
        self.asked.set_result(None)

    async def addresses_of(self, host: str) -> list[str]:
        """What the system's resolver says of a name. Raises OSError."""
        self.asked = self._threads.submit(socket.getaddrinfo, host, None, type=socket.SOCK_STREAM)
        found = await asyncio.wrap_future(self.asked)
        return list(dict.fromkeys(str(address[0]) for *_, address in found))


class Places:
    """At most `at_once` are held, three quarters by one caller. Nobody waits for one: who finds none free is refused.

    There are as many threads as places, and a place is free again once its thread is: slow name servers hold up nobody else.
    """

    def __init__(self, name: str, *, at_once: int) -> None:
        self._at_once = at_once
        self._held: Counter[str] = Counter()
        self._lock = threading.Lock()  # threads give places back
        self._threads = ThreadPoolExecutor(at_once, thread_name_prefix=name)

    @contextmanager
    def one(self, caller: str) -> Iterator[Place]:
        """Hold a place. Raises Busy where none is free, or for a caller who holds three times what is free."""
        self._enter(caller)
        place = Place(self._threads)
        try:
            yield place
        finally:
            place.asked.add_done_callback(lambda _: self._leave(caller))

    def _enter(self, caller: str) -> None:
        with self._lock:
            free = self._at_once - self._held.total()
            if self._held[caller] >= 3 * free:
                raise Busy(f"{self._held.total()} files of callers are at work here already: send the request again in a moment")
            self._held[caller] += 1

    def _leave(self, caller: str) -> None:
        with self._lock:
            self._held[caller] -= 1
            if not self._held[caller]:
                del self._held[caller]
