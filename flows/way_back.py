"""rollback: what an automation starts where the monitor's alert says so; by hand it is `lorasmith rollback`."""

from typing import Any

from prefect import flow

from flows.rollback import planned, rolled_back
from flows.targets import Target, live_releases


@flow(name="rollback")
def rollback(app: str, target: Target, revision: str, reason: str) -> dict[str, Any]:
    """The release before `revision` goes live again; nothing happens where another revision is live by now.

    NoWayBack where there is none before it, LicenceBlocked where that one may not come back.
    """
    live = next((row for row in live_releases(target) if row["app"] == app), None)
    if live is None or live["revision"] != revision:
        return {"app": app, "target": target, "done": False, "live": live["revision"] if live else None}
    planned(app, target, None)
    row = rolled_back(app, target, to=None, reason=reason)
    return {"app": app, "target": target, "done": True, "live": row["revision"]}
