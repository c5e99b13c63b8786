"""What the rooms of the control plane share: the account of a call, its apps, and the shapes of answers."""

import time
from collections.abc import AsyncIterator, Callable, Iterable
from datetime import UTC, datetime
from typing import Any

import isolate_proto as proto

from ..accounts import Account, Keyring
from ..errors import NotFound
from ..fleet.fleet import Fleet
from ..gateway.journeys import AtWork
from ..state import MAIN, Alias, State
from .access import account_of
from .deployments import Deployments


class Service:
    """The base of the classes that hold the RPCs; each of them serves one subject."""

    def __init__(
        self,
        state: State,
        keyring: Keyring,
        fleet: Fleet,
        address: str,
        *,
        shared_enabled: bool,
        at_work: Callable[[], Iterable[AtWork]],
    ) -> None:
        self._at_work = at_work
        self._state = state
        self._keyring = keyring
        self._fleet = fleet
        self._address = address
        self._deployments = Deployments(state, fleet, shared_enabled=shared_enabled)

    def _account(self, context: Any) -> Account:
        account = account_of(self._keyring, context.invocation_metadata())
        assert account is not None, "KeyCheck lets nobody else through"
        return account

    def _alias(self, account: Account, name: str) -> Alias:
        alias = self._state.alias(account.nickname, name)
        if alias is None:
            raise NotFound(f"application '{name}' not found")
        return alias

    def _environment(self, account: Account, name: str) -> str:
        """The environment that a request names, `main` where it names none; NotFound where it was not created."""
        if name in ("", MAIN):
            return MAIN
        if not any(row["name"] == name for row in self._state.environments(account.nickname)):
            raise NotFound(f"environment '{name}' not found; create it with: fal environments create {name}")
        return name

    async def _built(self, environments: Iterable[Any]) -> AsyncIterator[str]:
        """Log lines of the builds that a request asks for; BuildFailed where one is not possible."""
        for item in environments:
            configuration = proto.struct_to_dict(item.configuration)
            async for line in self._fleet.environments.build(item.kind, configuration, force=item.force):
                yield line

    def _urls(self, owner: str, name: str) -> Any:
        base, app = f"https://{self._address}", f"{owner}/{name}"
        return proto.ServiceURLs(
            playground=f"{base}/models/{app}", run=f"{base}/{app}", queue=f"{base}/queue/{app}", ws="", log=f"{base}/logs/{app}"
        )


def log(message: str, *, at: float | None = None, level: int = proto.STDOUT, source: int = proto.USER) -> Any:
    """One line as the SDK prints it."""
    return proto.Log(message=message, source=source, level=level, timestamp=moment(time.time() if at is None else at))


def moment(seconds: float) -> Any:
    """A protobuf timestamp of Unix seconds."""
    return proto.timestamp_from_datetime(datetime.fromtimestamp(seconds, UTC))
