"""One deploy of an app at a time, as Prefect sees it: a global concurrency limit for each app, made when it is first needed.

What decides is the registry's lease, which also covers runs without Prefect and survives its restarts. A slot of a run that was
killed, or of a server that lost its memory, would never be given back: it is taken over where no deploy holds the lease.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress

import httpx
from prefect import get_client
from prefect.client.schemas.actions import GlobalConcurrencyLimitUpdate
from prefect.concurrency.asyncio import ConcurrencySlotAcquisitionError
from prefect.concurrency.sync import concurrency
from prefect.exceptions import ObjectAlreadyExists

from flows.targets import Target

WAIT_SECONDS = 1800.0  # what a platform may take to bring an app up
STEP_SECONDS = 1.0
LEASE_SECONDS = 60.0


@contextmanager
def deploy_turn(
    target: Target, app: str, *, busy: Callable[[], bool], wait: float = WAIT_SECONDS, progress: Callable[[str], None]
) -> Iterator[None]:
    """Hold the limit of this app, after up to `wait` seconds; then go on without it, since the lease has the last word.

    busy: whether the registry knows of a deploy of this app that is under way.
    """
    name = f"lorasmith-deploy-{target}-{app}"
    # Two runs may make it at the same moment; either will do.
    with get_client(sync_client=True) as client, suppress(ObjectAlreadyExists):
        client.upsert_global_concurrency_limit_by_name(name, 1)
    deadline, told, turn = time.monotonic() + wait, False, ExitStack()
    while not entered(turn, name):
        if not busy():
            free(name)
        elif time.monotonic() >= deadline:
            break
        if not told:
            progress(f"another run deploys {app} to {target}: waiting up to {wait:.0f} s for its turn")
            told = True
        time.sleep(STEP_SECONDS)
    try:
        yield
    finally:
        given_back(turn, progress)


def entered(turn: ExitStack, name: str) -> bool:
    """Take the slot, if it is free now."""
    slot = concurrency(name, max_retries=0, lease_duration=LEASE_SECONDS, raise_on_lease_renewal_failure=False)
    try:
        turn.enter_context(slot)
    except ConcurrencySlotAcquisitionError:
        return False
    return True


def given_back(turn: ExitStack, progress: Callable[[str], None]) -> None:
    """The slot, where the server can be told; a deploy that is done does not fail for its sake."""
    try:
        turn.close()
    except httpx.HTTPError as error:
        progress(f"! the deploy's turn ends with its lease, in {LEASE_SECONDS:.0f} s: no server ({error})")


def free(name: str) -> None:
    """Give back a slot that nobody holds any more."""
    with get_client(sync_client=True) as client:
        client.update_global_concurrency_limit(name, GlobalConcurrencyLimitUpdate(active_slots=0))
