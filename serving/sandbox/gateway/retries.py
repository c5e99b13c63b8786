"""Which replies the queue tries again: pure rules, after fal's documentation of 2026."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .replies import NEEDS_RETRY, TIMEOUT_TYPE, Reply, is_retryable

ATTEMPTS = 10  # of a request in the queue, whatever else is said; a direct one has a single one
YES = ("1", "true", "yes")
NO = ("0", "false", "no")
FIRST_PAUSE, LONGEST_PAUSE = 0.02, 0.2  # seconds; fal says "intelligent backoff" and names no figures
SERVER_ERROR, TIMEOUT, CONNECTION_ERROR = CONDITIONS = ("server_error", "timeout", "connection_error")
CONDITION_OF_TYPE = {
    "runner_disconnected": SERVER_ERROR,
    "runner_incomplete_response": SERVER_ERROR,
    "request_timeout": TIMEOUT,
    "runner_connection_refused": CONNECTION_ERROR,
    "runner_connection_error": CONNECTION_ERROR,
}
# No condition: the request has not begun, it stays in the queue until a runner is there.
NOT_BEGUN = ("runner_scheduling_failure", "startup_timeout")


@dataclass(frozen=True, kw_only=True, slots=True)
class Policy:
    """What caller and app say about retries; `budgets`: condition -> how often it may be tried again."""

    never: bool = False
    skipped: frozenset[str] = frozenset()
    budgets: Mapping[str, int] = field(default_factory=dict)

    def allows(self, reply: Reply, *, attempts: int, used: Mapping[str, int]) -> bool:
        """Whether a request with this reply is tried again, after `attempts`; `used`: condition -> retries so far."""
        if self.never or attempts >= ATTEMPTS or reply.header(TIMEOUT_TYPE):
            return False
        said = reply.header(NEEDS_RETRY)
        if said is not None and is_retryable(reply.status) and said.lower() in YES + NO:
            return said.lower() in YES
        return reply.error_type in NOT_BEGUN or self.allows_again(condition_of(reply), used)

    def allows_again(self, condition: str | None, used: Mapping[str, int]) -> bool:
        if condition is None or condition in self.skipped:
            return False
        return condition not in self.budgets or used.get(condition, 0) < self.budgets[condition]


def policy_of(settings: Mapping[str, Any], *, no_retry: bool, asked: Mapping[str, int] | None) -> Policy:
    """The request's own word before that of the app, that of the app before the platform's; `asked` is of the owner alone."""
    skipped = frozenset(settings.get("skip_retry_conditions") or ())
    return Policy(never=no_retry, skipped=skipped, budgets=budgets_of(settings.get("retry_config")) | dict(asked or {}))


def budgets_of(config: Any) -> dict[str, int]:
    """condition -> retries, of {"condition": {"retries": n}} or its JSON text; what is not of that form is passed over."""
    if isinstance(config, str):
        try:
            config = json.loads(config)
        except (ValueError, RecursionError):
            return {}
    if not isinstance(config, dict):
        return {}
    counts = {name: entry["retries"] for name, entry in config.items() if isinstance(entry, dict) and "retries" in entry}
    return {name: max(0, count) for name, count in counts.items() if name in CONDITIONS and type(count) is int}


def condition_of(reply: Reply) -> str | None:
    """Which of fal's three conditions a reply meets."""
    if reply.error_type is not None:
        return CONDITION_OF_TYPE.get(reply.error_type)
    return SERVER_ERROR if reply.status in (503, 504) else None


def pause(attempts: int) -> float:
    """Seconds before the next attempt."""
    return min(FIRST_PAUSE * 2.0 ** max(0, attempts - 1), LONGEST_PAUSE)
