"""A Hub that does not answer is asked again, after pauses that grow and are never alike, up to a limit with a clear end.

Chance is in the pauses because all runs that a Hub has turned away would come back in the same second otherwise.
"""

import os
import random
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from flows.errors import HubFailed, JobError
from flows.progress import say

SETTING = "LORASMITH_HUB_PATIENCE"  # seconds
DEFAULT_SECONDS = 120.0
FIRST_SECONDS, MOST_SECONDS = 2.0, 60.0
NOT_ASKED = frozenset({"hub_unreachable", "hub_timeout", "hub_error", "hub_rate_limited", "hub_bad_answer", "hub_cut_short"})

Result = TypeVar("Result")


def patiently(
    ask: Callable[[], Result],
    *,
    seconds: float | None = None,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
    chance: Callable[[float, float], float] = random.uniform,
) -> Result:
    """What `ask` returns; where it raises an error with exit code 5, again, for `seconds` (default LORASMITH_HUB_PATIENCE).

    HubFailed with the last error once the time is over: it says how often the Hub was asked.
    """
    limit, begun, asked = patience() if seconds is None else seconds, clock(), 0
    while True:
        asked += 1
        try:
            return ask()
        except ValueError as error:  # every error of this project is one
            if getattr(error, "exit_code", None) != HubFailed.exit_code:
                raise
            pause = chance(0.5, 1.0) * min(MOST_SECONDS, FIRST_SECONDS * 2 ** (asked - 1))
            if clock() - begun + pause > limit:
                raise HubFailed(
                    f"{error}; asked {asked} times in {clock() - begun:.0f} s ({SETTING} sets how long). "
                    "Run again when the Hub answers: what is done is found"
                ) from error
        say(f"! the Hub does not answer; asked again in {pause:.0f} s")
        sleep(pause)


def require_asked(verdict: Mapping[str, Any]) -> None:
    """HubFailed where nothing bars the uses but that the Hub could not be asked: that is no answer, and no licence's fault."""
    reasons = [reason for use in verdict["uses"].values() if use["verdict"] == "block" for reason in use["reasons"]]
    if reasons and all(reason["code"] in NOT_ASKED for reason in reasons):
        raise HubFailed(reasons[0]["text"])


def patience() -> float:
    """Seconds that a run waits for the Hub."""
    said = os.environ.get(SETTING, str(DEFAULT_SECONDS))
    try:
        found = float(said)
    except ValueError:
        found = -1.0
    if not 0 <= found < float("inf"):
        raise JobError(f"{SETTING}: got {said!r}; give seconds, 0 asks once")
    return found
