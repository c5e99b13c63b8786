"""Is the candidate fit to take the place of what is live: the same pictures as the evaluation's, in time, without failures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from serving.release import budget as budgets
from serving.release.budget import Budget
from serving.release.errors import OverBudget
from serving.release.golden import GoldenPlan, Shot, compared, drawn
from serving.release.platform import Caller, Platform


def proven(
    platform: Platform,
    *,
    app: str,
    environment: str,
    golden: GoldenPlan,
    budget: Budget,
    smoke: Mapping[str, Any],
    live: bool,
    progress: Callable[[str], None],
) -> dict[str, Any]:
    """Evidence {"golden", "budget"} of a candidate whose smoke test went well. Raises GoldenFailed and OverBudget with theirs.

    live: a release answers on main now, which is asked the same golden requests to compare times with. Without golden requests
    the times are those of the smoke test, against the absolute limit alone.
    """
    caller: Caller = "caller" if platform.second_caller else "owner"
    shots = drawn(platform, golden, app=app, environment=environment, caller=caller, progress=progress)
    failed = sum(shot.failed for shot in shots)
    asked = len(shots) + len(smoke["requests"])
    errors = budgets.failures(asked, failed, share=budget.error_budget)
    if not errors.ok:
        raise _over(app, errors.text, {"errors": errors.figures})
    pictures = compared(golden, shots)
    others = drawn(platform, golden, app=app, environment=None, caller=caller, progress=progress) if live else []
    seconds = [shot.seconds for shot in shots if shot.picture] or [request["seconds"] for request in smoke["requests"]]
    times = budgets.latency(seconds, [shot.seconds for shot in others if shot.picture], budget)
    spent = {"errors": errors.figures, "latency": times.figures, "live": _billed(others), "text": f"{errors.text}; {times.text}"}
    if not times.ok:
        raise _over(app, times.text, spent | {"golden": pictures})
    progress(f"app {app!r}: {pictures['compared']} golden pictures compared; {spent['text']}")
    return {"golden": pictures, "budget": spent}


def _billed(others: list[Shot]) -> dict[str, Any]:
    """What the comparison with the live release was billed."""
    pictures = [shot for shot in others if shot.picture]
    return {"requests": len(others), "images": len(pictures), "units": sum(int(float(shot.units or 0)) for shot in pictures)}


def _over(app: str, text: str, figures: Mapping[str, Any]) -> OverBudget:
    golden = {"golden": figures["golden"]} if "golden" in figures else {}
    spent = {name: value for name, value in figures.items() if name != "golden"}
    return OverBudget(
        f"the candidate of {app!r} is over its budget: {text}; main is as it was. Mend it, or give more in the job's rollout",
        evidence={**golden, "budget": spent | {"fault": text}},
    )
