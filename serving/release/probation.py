"""A promoted release is on probation: its health and the platform's own record of requests decide whether it stays.

Failed are requests answered with 5xx; a refusal (4xx) is the caller's. A release that fails goes back to the one that was live
before, by itself. One without a predecessor stays, since a name that answers less often serves callers better than none, and is
reported as failed until somebody acts.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Literal

from serving.release.budget import Budget, Judgement, failures
from serving.release.errors import NoWayBack, PlatformError, PlatformTimeout, PlatformUnreachable, WrongKey
from serving.release.platform import Platform
from serving.release.registry import Registry, Row
from serving.release.rollback import roll_back

HEALTH_ATTEMPTS: Final = 3
HEALTH_PAUSE_SECONDS: Final = 2.0

State = Literal["watched", "passed", "rolled back", "failed", "unknown"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Watched:
    """What one look at a release found, and the release that is live after it."""

    state: State
    text: str
    live: Row


def on_probation(row: Row) -> bool:
    """Whether there is something to watch, a rollback to finish, or a failed release that is live still to tell of."""
    state = (row["evidence"].get("probation") or {}).get("state")
    return row["state"] == "live" and (state in ("watched", "failed") or bool(row["evidence"].get("rollback")))


def watch(
    row: Row,
    *,
    platform: Platform,
    registry: Registry,
    progress: Callable[[str], None],
    pause: float = HEALTH_PAUSE_SECONDS,
) -> Watched:
    """Look once at a release on probation: it goes on, has passed, or is rolled back.

    Raises PlatformError where the platform can not be asked or the rollback does not succeed, DeployBusy where a deploy of the app
    is under way; the next look goes on from there.
    """
    if row["evidence"].get("rollback"):
        again = _rolled_back(row, platform, registry, "a rollback that did not end", progress)
        return Watched(state="rolled back", text=row["evidence"]["rollback"]["reason"], live=again)
    if row["evidence"]["probation"]["state"] == "failed":
        return Watched(state="failed", text=row["evidence"]["probation"]["text"], live=row)
    found = platform.alias(row["app"], None)
    if found is None or found.revision != row["revision"]:
        runs = f"revision {found.revision}" if found else "nothing"
        text = f"main runs {runs}, by the registry it is revision {row['revision']}: `lorasmith reconcile` tells more"
        return Watched(state="unknown", text=text, live=row)
    if fault := _sick(row, platform, pause):
        return _ended(row, platform, registry, fault, {"health": fault}, progress)
    errors = _errors(row, platform)
    if not errors.ok:
        return _ended(row, platform, registry, errors.text, errors.figures, progress)
    if registry.clock() < datetime.fromisoformat(row["evidence"]["probation"]["until"]):
        return Watched(state="watched", text=errors.text, live=row)
    return Watched(state="passed", text=errors.text, live=_noted(row, registry, "passed", errors.text, errors.figures))


def _sick(row: Row, platform: Platform, pause: float) -> str | None:
    """What /health says that is wrong, the same in every attempt; None for a release that is well."""
    for attempt in range(HEALTH_ATTEMPTS):
        if attempt:
            time.sleep(pause)
        answer = platform.call(row["app"], {}, path="health", key="owner")
        if answer.status == 200 and answer.body.get("package") == row["package"]:
            return None
    if answer.status == 200:
        return f"/health says package {answer.body.get('package')!r}, revision {row['revision']} is {row['package'][:12]}"
    return f"/health answered {answer.status} {HEALTH_ATTEMPTS} times"


def _errors(row: Row, platform: Platform) -> Judgement:
    """The platform's record since the release is live, against its error budget."""
    probation = row["evidence"]["probation"]
    budget = Budget(**probation["budget"])
    since, until = (datetime.fromisoformat(probation[name]) for name in ("since", "until"))
    try:
        seen = platform.requests(row["app"], None, since.timestamp())
    except (PlatformTimeout, PlatformUnreachable, WrongKey):
        raise
    except PlatformError as error:
        return Judgement(ok=True, judged=False, text=f"the platform does not show its record: {error}", figures={})
    mine = [one for one in seen if one.ended_at <= (until + timedelta(minutes=1)).timestamp()]
    return failures(
        len(mine), sum(one.status >= 500 for one in mine), share=budget.error_budget, at_least=max(1, budget.min_requests)
    )


def _ended(
    row: Row, platform: Platform, registry: Registry, fault: str, figures: dict[str, Any], progress: Callable[[str], None]
) -> Watched:
    """Back to what was live before; where there is nothing, the release stays and is said to have failed."""
    try:
        again = _rolled_back(row, platform, registry, f"on probation: {fault}", progress)
    except NoWayBack as none:
        text = f"{fault}; not rolled back: {none}. Publish a mended one, or take it down with `lorasmith retire {row['app']}`"
        return Watched(state="failed", text=text, live=_noted(row, registry, "failed", text, figures))
    return Watched(state="rolled back", text=fault, live=again)


def _rolled_back(row: Row, platform: Platform, registry: Registry, reason: str, progress: Callable[[str], None]) -> Row:
    return roll_back(
        row["app"], platform=platform, registry=registry, reason=reason, only=row["id"], state="failed", progress=progress
    )


def _noted(row: Row, registry: Registry, state: str, text: str, figures: dict[str, Any]) -> Row:
    probation = row["evidence"]["probation"] | {"state": state, "text": text, "figures": figures}
    return registry.advance(row["id"], "live", probation=probation)
