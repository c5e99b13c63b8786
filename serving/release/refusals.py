"""What a worker's refusal means: the typed error, in one line that says what to do; and what must not reach a log."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from serving.release.errors import (
    DeployFailed,
    PlatformError,
    PlatformTimeout,
    PlatformUnreachable,
    SharedRefused,
    WrongKey,
)

SHARED_BY_HAND: Final = (
    "fal switches shared mode on by hand, account by account: "
    "send the fal team a mail that asks for it (serverless access and shared-mode enablement), then run again"
)
_ERROR_LINE: Final = re.compile(r"[A-Za-z_][\w.]*(Error|Exception|Exit|Interrupt)(:|$)")
_STOPPING: Final = re.compile(r"^(asyncio\.exceptions\.)?CancelledError|^SystemExit")


def failure(kind: str, text: str, tail: tuple[str, ...], *, what: str, target: str, log: Path) -> PlatformError:
    """The typed error for a worker's refusal, in one line."""
    if kind == "key":
        mend = (
            "the sandbox accepts only keys that it issued: `lorasmith sandbox up` prints them"
            if target == "sandbox"
            else "make a key at https://fal.ai/dashboard/keys and export it as FAL_KEY"
        )
        return WrongKey(f"{target} refused the key in {what}: {text}; {mend}", tail=tail)
    if kind == "shared":
        return SharedRefused(f"{target} refused shared mode in {what}: {text}; {SHARED_BY_HAND}", tail=tail)
    if kind == "deploy":
        return DeployFailed(f"{target} did not bring up the {what}: {_cause(tail) or text}; whole log: {log}", tail=tail)
    if kind == "timeout":
        return PlatformTimeout(
            f"{target} did not answer in time in {what}: {text}; run again, which looks first what happened", tail=tail
        )
    if kind == "unreachable":
        mend = "`lorasmith sandbox up` starts it" if target == "sandbox" else "check the network and https://status.fal.ai"
        return PlatformUnreachable(f"{target} can not be reached in {what}: {text}; {mend}, then run again", tail=tail)
    return PlatformError(f"{target} failed in {what}: {text}; whole log: {log}", tail=tail)


def _cause(tail: tuple[str, ...]) -> str | None:
    """The line of an app's log that says why it did not start: its own word on it, else the last error that is not its stopping."""
    own = [line.strip() for line in tail if line.startswith("setup failed:")]
    errors = [line.strip() for line in tail if _ERROR_LINE.match(line) and not _STOPPING.search(line)]
    return next(iter(own[-1:] or errors[-1:]), None)


def secret_values(env: Mapping[str, str], caller_key: str | None) -> tuple[str, ...]:
    """What must not reach a log: whole keys first, then the secret half of `id:secret` and the passwords in addresses."""
    whole = {value for name, value in env.items() if any(word in name for word in ("KEY", "SECRET", "TOKEN")) and len(value) > 7}
    whole |= {caller_key} if caller_key else set()
    halves = {key.partition(":")[2] for key in whole}
    passwords = {word for value in env.values() if "://" in value for word in _password(value)}
    return tuple(sorted(whole | {half for half in halves | passwords if len(half) > 7}, key=len, reverse=True))


def _password(url: str) -> set[str]:
    """The password in an address, as it is written there and as it is meant."""
    try:
        found = urlsplit(url).password
    except ValueError:
        return set()
    return {found, unquote(found)} if found else set()
