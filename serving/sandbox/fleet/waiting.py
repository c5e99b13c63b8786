"""A request that waits for a runner."""

import asyncio
import time
from collections.abc import Callable

from ..errors import StartTimedOut
from .runners import Runner
from .scheduling import Wish


class Waiter:
    """A request that waits for a place at a runner; it may be handed from one pool to the next meanwhile.

    A `low` one gets a place only where no other waits.
    """

    def __init__(self, hint: str | None, *, low: bool = False) -> None:
        self.hint = hint
        self.low = low
        self.since = time.monotonic()
        self.left: Callable[[Waiter], None] = lambda _: None  # set by the pool where it waits
        self.place: asyncio.Future[Runner] = asyncio.get_running_loop().create_future()

    @property
    def wish(self) -> Wish:
        return Wish(waited=time.monotonic() - self.since, hint=self.hint)

    async def granted(self, until: float | None) -> Runner:
        """A runner with a place taken; StartTimedOut at `until` (time.monotonic), RunnerFailed where none starts."""
        try:
            async with asyncio.timeout(None if until is None else max(0.0, until - time.monotonic())):
                return await self.place
        except TimeoutError as error:
            waited = time.monotonic() - self.since
            raise StartTimedOut(f"no runner of the app had a place for the request within {waited:.1f} s") from error

    def leave(self) -> None:
        """Wait no longer, or give back the place that was granted."""
        self.left(self)
