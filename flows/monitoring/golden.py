"""Quality drift: a live release draws golden prompts of its rollout again, and each picture is held against what it was then."""

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING, Any

from flows.champion import built, released_from
from flows.monitoring.look import Drawn
from flows.store import CONTENT
from serving.release.errors import GoldenFailed
from serving.release.golden import GoldenPlan, compared, drawn, golden_plan

if TYPE_CHECKING:
    from serving.release.platform import Platform

MOST = 8  # samples that an evaluation keeps
ALIKE_DB = 50.0  # from here on nobody sees a difference, so what is lost above it is none


def drawn_again(
    release: Mapping[str, Any], platform: "Platform", *, number: int, likeness_db: float, rate: float | None, day: date
) -> Drawn | None:
    """Draw so many golden prompts as the owner, others each day; None where the evaluation is not on this disk.

    rate: US dollars a second of its machine, None where it is not known.
    """
    plan = plan_of(release, likeness_db)
    if plan is None or not plan.requests:
        return None
    first = day.toordinal() * number
    chosen = [plan.requests[(first + step) % len(plan.requests)] for step in range(min(number, len(plan.requests)))]
    plan = replace(plan, requests=chosen)
    shots = drawn(platform, plan, app=release["app"], environment=None, caller="owner", progress=lambda line: None)
    try:
        found, fault = compared(plan, shots), None
    except GoldenFailed as error:
        found, fault = error.evidence["golden"], error.evidence["golden"]["fault"]
    seconds = sum(shot.seconds for shot in shots)
    return Drawn(
        asked=found["asked"],
        compared=found["compared"],
        drop=lost(found["pictures"], recorded(release)),
        worst=min((one["psnr"] for one in found["pictures"]), default=None),
        units=found["units"],
        seconds=round(seconds, 3),
        usd=None if rate is None else seconds * rate,
        fault=fault,
    )


def plan_of(release: Mapping[str, Any], likeness_db: float) -> GoldenPlan | None:
    """The golden prompts of the package that is live, from the bundle that it was built from."""
    bundle, folders = released_from(release["package"]), built(release["package"])
    if bundle is None or not folders:
        return None
    settings = json.loads((folders[0] / CONTENT / "settings.json").read_text())
    plan = golden_plan(bundle.path, settings, number=MOST, likeness_db=likeness_db)
    then = recorded(release)
    drawn_then = [one for one in plan.requests if one.arguments["seed"] in then]
    return replace(plan, requests=drawn_then or plan.requests)


def recorded(release: Mapping[str, Any]) -> dict[int, float]:
    """PSNR by seed, as the rollout measured it."""
    return {one["seed"]: one["psnr"] for one in (release["evidence"].get("golden") or {}).get("pictures", ())}


def lost(pictures: list[Mapping[str, Any]], then: Mapping[int, float]) -> float | None:
    """The most dB that a picture lost since the release; None where none has a figure of its own from then."""
    drops = [min(then[one["seed"]], ALIKE_DB) - min(one["psnr"], ALIKE_DB) for one in pictures if one["seed"] in then]
    return round(max(drops), 1) if drops else None
