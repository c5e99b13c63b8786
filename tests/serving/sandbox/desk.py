"""The money of a sandbox without the rest: its tables, and its REST answered in this process, as any key asks."""

import asyncio
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
from starlette.applications import Starlette

from serving.sandbox.accounts import CALLER, OWNER, Keyring, ensure_keys
from serving.sandbox.fleet.fleet import Fleet
from serving.sandbox.gateway.journeys import AtWork
from serving.sandbox.money.ledger import Entry, Ledger
from serving.sandbox.money.models_api import ModelsApi
from serving.sandbox.money.owner_api import OwnerApi
from serving.sandbox.money.prices import Prices
from serving.sandbox.money.rest import unknown
from serving.sandbox.state import Alias, State

ENTRY: dict[str, Any] = {
    "request_id": "r",
    "app": "app",
    "environment": "main",
    "revision": "rev",
    "caller": CALLER,
    "path": "/",
    "status": 200,
    "units": "1",
    "seconds": 1.0,
    "owner": OWNER,
    "runner": "runner",
    "machine_type": "GPU-H100",
    "auth_mode": "shared",
}


def entry(**fields: Any) -> Entry:
    """A request to a shared app, answered with one unit after a second, but for what is said otherwise."""
    return Entry(**{**ENTRY, **fields})


class Desk:
    """Ask it with get() and post(); `open_requests` are those that have not ended."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory()
        keys = Path(self._folder.name) / "keys.json"
        self.keys = ensure_keys(keys)
        self.state = State(Path(":memory:"))
        self.ledger = Ledger(self.state.db)
        self.prices = Prices(self.state.db)
        self.keyring = Keyring(keys, self.state.db)
        self.fleet = Fleet(Path(self._folder.name), self.state, lambda _: {})
        self.open_requests: list[AtWork] = []
        owner = OwnerApi(self.state, self.ledger, self.keyring, self.fleet, self)
        models = ModelsApi(self.state, self.ledger, self.keyring, self.fleet.records)
        self._app = Starlette(routes=[*owner.routes(), *models.routes(), unknown()])

    def __enter__(self) -> "Desk":
        return self

    def __exit__(self, *_: object) -> None:
        self.state.close()
        self._folder.cleanup()

    def waiting(self, owner: str, alias: str) -> Sequence[AtWork]:
        return [one for one in self.at_work() if (one.owner, one.app, one.state) == (owner, alias, "IN_QUEUE")]

    def flush(self, tickets: Sequence[AtWork]) -> None:
        self.open_requests = [one for one in self.open_requests if one not in tickets]

    def at_work(self) -> Sequence[AtWork]:
        return self.open_requests

    def deploy(self, name: str = "app", *, auth: str = "shared", owner: str = OWNER, **settings: Any) -> None:
        """An alias, without an app behind it."""
        environment = name.partition("--")[2] or "main"
        alias = Alias(owner=owner, name=name, environment=environment, revision="rev", auth_mode=auth, settings=settings)
        self.state.put_alias(alias)

    def get(self, path: str, *, key: str | None = None, account: str = OWNER, **parameters: Any) -> httpx.Response:
        return self.ask("GET", path, key=key or self.keys[account], params=parameters)

    def post(self, path: str, body: Any, *, account: str = OWNER, **parameters: Any) -> httpx.Response:
        return self.ask("POST", path, key=self.keys[account], params=parameters, json=body)

    def ask(self, method: str, path: str, *, key: str | None, **request: Any) -> httpx.Response:
        async def answer() -> httpx.Response:
            transport = httpx.ASGITransport(app=self._app)
            headers = {"Authorization": f"Key {key}"} if key else {}
            async with httpx.AsyncClient(transport=transport, base_url="https://sandbox/v1", headers=headers) as client:
                return await client.request(method, path.lstrip("/"), **request)

        return asyncio.run(answer())

    def pages(self, path: str, items: str, **parameters: Any) -> list[dict[str, Any]]:
        """All items of a list, page by page."""
        found: list[dict[str, Any]] = []
        cursor: dict[str, str] = {}
        while True:
            body = self.get(path, **parameters, **cursor).json()
            found += body[items]
            assert body["has_more"] is (body["next_cursor"] is not None)
            if not body["has_more"]:
                return found
            cursor = {"cursor": body["next_cursor"]}
