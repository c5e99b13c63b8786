"""The gRPC service that the SDK deploys through: controller.IsolateController."""

import asyncio
from collections.abc import Callable, Iterable

import isolate_proto as proto

from ..accounts import Keyring
from ..fleet.fleet import Fleet
from ..gateway.journeys import AtWork
from ..state import State
from .access import KeyCheck
from .applications import Applications
from .belongings import Belongings
from .runners import Runners
from .runs import Runs

__all__ = ["ControlPlane", "KeyCheck"]


class ControlPlane(Applications, Runs, Runners, Belongings, proto.IsolateControllerServicer):  # type: ignore[misc]
    """One method an RPC; Map, InteractiveRun and ShellRunner say in a line that they are not emulated."""

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
        super().__init__(state, keyring, fleet, address, shared_enabled=shared_enabled, at_work=at_work)
        self._rollouts: set[asyncio.Task[None]] = set()
        self._deployments.forget_ephemeral()
