"""One run of an app at a time: a file lock for each target and app, which the kernel takes back from a run that was killed.

It covers the whole of a publish, a retrain's look included: what two runs would do at once, the second finds done. Runs of other
homes are kept apart by the registry's lease on the deploy.
"""

import fcntl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO

from flows.home import home
from flows.targets import Target

STEP_SECONDS = 0.5


@contextmanager
def app_turn(target: Target, app: str, *, progress: Callable[[str], None]) -> Iterator[None]:
    """Hold the app's turn; where another run has it, say so once and wait for as long as that takes."""
    folder = home() / "turns"
    folder.mkdir(exist_ok=True)
    with (folder / f"{target}-{app}.lock").open("a") as file:
        if not taken(file):
            progress(f"another run works on {app} ({target}): waiting until it has ended")
            while not taken(file):
                time.sleep(STEP_SECONDS)  # not one long wait: whoever cancels this run is heard
        yield


def taken(file: IO[str]) -> bool:
    """Take the lock, if it is free now."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
