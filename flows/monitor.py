"""monitor: what the live releases answer now, and what the platform's ledger says that they delivered."""

from collections.abc import Mapping
from typing import Any

from prefect import flow, task
from prefect.artifacts import create_table_artifact
from prefect.cache_policies import NO_CACHE

from flows.home import home
from flows.records import write_json
from flows.targets import Target, each, live_releases, open_platform


@task(name="look-at", cache_policy=NO_CACHE)
def look_at(release: Mapping[str, Any]) -> dict[str, Any]:
    """Health of one live release, asked as its owner; the package hash that it serves must be the one on record."""
    with open_platform(release["target"]) as platform:
        health = platform.call(release["app"], {}, path="health", key="owner")
    serves = health.body.get("package") if health.status == 200 else None
    return {
        "app": release["app"],
        "revision": release["revision"],
        "endpoint": release["urls"]["run"],
        "health": health.status,
        "serves": "as recorded" if serves == release["package"] else f"other: {serves}",
        "seconds": round(health.seconds, 2),
    } | delivered(release["app"], release["target"])


@flow(name="monitor")
def monitor(target: Target | None = None) -> list[dict[str, Any]]:
    """One row a live release. Units and images come from the ledger where the platform shows one, else they are null."""
    rows = each(live_releases(target), look_at)
    create_table_artifact(rows or [{"app": "no live release"}], key="monitor")
    write_json(home() / "monitor.json", {"releases": rows})
    return rows


def delivered(app: str, target: Target) -> dict[str, Any]:
    """Requests, failures and units of the sandbox's ledger; fal's REST for it is not asked here, so there they are unknown."""
    if target != "sandbox":
        return {"requests": None, "failed": None, "units": None}
    from serving.sandbox.control import ledger

    rows = [row for row in ledger(home()) if row["app"] == app and not str(row["path"]).strip("/").startswith("health")]
    return {
        "requests": len(rows),
        "failed": sum(row["status"] >= 400 for row in rows),
        "units": sum(int(float(row["units"] or 0)) for row in rows),
    }
