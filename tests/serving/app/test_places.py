"""Links whose name servers do not answer hold up no other link, and never more than there are places for."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from serving.app.errors import BadPicture, Busy
from serving.app.requests.downloads import Internet, download
from serving.app.requests.places import Places

PUBLIC = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("8.8.8.8", 0))]
WAIT = 20


class NameServers:
    """The system's resolver, whose answers for names that begin with `slow` come when the test says so."""

    def __init__(self) -> None:
        self.answer, self.asked = threading.Event(), threading.Semaphore(0)

    def __call__(self, host: str, *_: Any, **__: Any) -> list[Any]:
        self.asked.release()
        assert not host.startswith("slow") or self.answer.wait(WAIT)
        return PUBLIC


@pytest.fixture
def name_servers(monkeypatch: pytest.MonkeyPatch) -> Iterator[NameServers]:
    servers = NameServers()
    monkeypatch.setattr(socket, "getaddrinfo", servers)
    yield servers
    servers.answer.set()


def test_names_that_are_slow_hold_up_no_other(name_servers: NameServers) -> None:
    places = Places("test", at_once=8)

    async def story() -> list[str]:
        slow = [asyncio.create_task(_addresses(places, f"slow-{number}.example.com", "many")) for number in range(6)]
        while not name_servers.asked.acquire(blocking=False):
            await asyncio.sleep(0)
        with pytest.raises(Busy):
            await _addresses(places, "honest.example.com", "many")
        found = await asyncio.wait_for(_addresses(places, "honest.example.com", "another"), WAIT)
        assert not any(task.done() for task in slow)
        name_servers.answer.set()
        await asyncio.gather(*slow)
        return found

    assert asyncio.run(story()) == ["8.8.8.8"]


def test_a_place_whose_name_server_is_silent_is_not_given_to_another_download(name_servers: NameServers) -> None:
    places = Places("test", at_once=1)

    async def story() -> None:
        with pytest.raises(BadPicture, match="took longer"), places.one("a") as place:
            await download("https://slow.example.com/", max_bytes=1, place=place, internet=Internet(seconds=0.01))
        with pytest.raises(Busy, match="1 files"), places.one("b"):
            pass
        name_servers.answer.set()
        await asyncio.wait_for(_free(places), WAIT)

    asyncio.run(story())


def test_a_caller_leaves_places_to_others_and_all_come_back() -> None:
    places = Places("test", at_once=8)
    with ExitStack() as held:
        for _ in range(6):
            held.enter_context(places.one("a"))
        with pytest.raises(Busy), places.one("a"):
            pass
        for newcomer in ("b", "c"):
            held.enter_context(places.one(newcomer))
        with pytest.raises(Busy), places.one("d"):
            pass
    with ExitStack() as held:
        for _ in range(6):
            held.enter_context(places.one("a"))


async def _addresses(places: Places, host: str, caller: str) -> list[str]:
    with places.one(caller) as place:
        return await place.addresses_of(host)


async def _free(places: Places) -> None:
    while True:
        try:
            with places.one("b"):
                return
        except Busy:
            await asyncio.sleep(0.005)
