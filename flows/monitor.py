"""monitor: what the live releases answer now, and what the platform's record says that they delivered in the last day."""

import time
from collections.abc import Mapping
from typing import Any

from prefect import flow, task
from prefect.artifacts import create_table_artifact
from prefect.cache_policies import NO_CACHE

from flows.home import home
from flows.records import write_json
from flows.targets import Target, each, live_releases, open_platform
from serving.release.errors import PlatformError, PlatformTimeout, PlatformUnreachable, WrongKey
from serving.release.platform import Platform

DAY = 86_400.0


@task(name="look-at", cache_policy=NO_CACHE)
def look_at(release: Mapping[str, Any]) -> dict[str, Any]:
    """Health of one live release, asked as its owner; the package hash that it serves must be the one on record."""
    with open_platform(release["target"]) as platform:
        health = platform.call(release["app"], {}, path="health", key="owner")
        record = delivered(platform, release["app"])
    serves = health.body.get("package") if health.status == 200 else None
    return {
        "app": release["app"],
        "revision": release["revision"],
        "endpoint": release["urls"]["run"],
        "health": health.status,
        "serves": "as recorded" if serves == release["package"] else f"other: {serves}",
        "seconds": round(health.seconds, 2),
        "probation": (release["evidence"].get("probation") or {}).get("state"),
    } | record


@flow(name="monitor")
def monitor(target: Target | None = None) -> list[dict[str, Any]]:
    """One row a live release. Requests and units come from the platform's record where it shows one, else they are null."""
    rows = each(live_releases(target), look_at)
    create_table_artifact(rows or [{"app": "no live release"}], key="monitor")
    write_json(home() / "monitor.json", {"releases": rows})
    return rows


def delivered(platform: Platform, app: str) -> dict[str, Any]:
    """Requests of the last day, refused (4xx) and failed (5xx) among them, and billed units; null where no record is shown."""
    try:
        seen = platform.requests(app, None, time.time() - DAY)
    except (PlatformTimeout, PlatformUnreachable, WrongKey):
        raise
    except PlatformError:
        return dict.fromkeys(("requests", "refused", "failed", "units"))
    return {
        "requests": len(seen),
        "refused": sum(400 <= one.status < 500 for one in seen),
        "failed": sum(one.status >= 500 for one in seen),
        "units": sum(one.units or 0 for one in seen),
    }
