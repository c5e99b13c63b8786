"""What `lorasmith status` tells: all that a home knows of itself, and the next schedules where a server answers. Never torch."""

from collections.abc import Mapping
from contextlib import closing
from datetime import UTC, datetime
from typing import Any, Final

from flows.books import run_book
from flows.books.records import last_run
from flows.home import home
from flows.listing_marks import marks_of
from flows.money import spending
from flows.orchestration import prefect_api
from flows.retraining import decision
from flows.targets import at_present, registry_url

SECONDS: Final = 1.0  # that the server may take for an answer; the rest is told without it
RUNS: Final = 5


def overview() -> dict[str, Any]:
    """Releases, last runs, questions, decisions, listings, schedules and money of the month, as JSON."""
    from serving.release.approvals import listed
    from serving.release.registry import Registry

    with closing(Registry(registry_url())) as registry:
        releases = at_present(registry.releases())
        questions = listed(registry, state="pending")
    last = last_run()
    now = datetime.now(UTC)
    return {
        "last_run": at_present([last])[0] if last else None,
        "releases": releases,
        "approvals": questions,
        "runs": run_book.listed()[:RUNS],
        "listings": listings(),
        "decisions": decisions(releases),
        "schedules": schedules(now),
        "money": spending.spent(home(), spending.month_of(now)),
    }


def listings() -> list[dict[str, Any]]:
    """How far each listing is, by the author's own marks."""
    return [
        {"app": one.app, "target": one.target, "state": one.state, "at": one.at, "stale": one.stale} for one in marks_of(home())
    ]


def decisions(releases: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The last retrain decision of each app that is live."""
    live = [(row["app"], row["target"]) for row in releases if row["state"] == "live"]
    return [record for app, target in live if (record := decision.last(app, target)) is not None]


def schedules(now: datetime) -> dict[str, Any]:
    """{"server", "next": [{"deployment", "at"}], "fault"}: each deployment's next run, the soonest first."""
    server = prefect_api.address()
    if server is None:
        return {"server": None, "next": [], "fault": None}
    try:
        return {"server": server, "next": next_runs(now), "fault": None}
    except (prefect_api.ServerAway, prefect_api.Refused) as error:
        return {"server": server, "next": [], "fault": str(error)}


def next_runs(now: datetime) -> list[dict[str, str]]:
    names = {one["id"]: one["name"] for one in prefect_api.asked("/deployments/filter", {"limit": 200}, seconds=SECONDS)}
    wanted: Mapping[str, Any] = {
        "flow_runs": {"state": {"type": {"any_": ["SCHEDULED"]}}, "expected_start_time": {"after_": now.isoformat()}},
        "sort": "EXPECTED_START_TIME_ASC",
        "limit": 200,
    }
    first: dict[str, str] = {}
    for run in prefect_api.asked("/flow_runs/filter", wanted, seconds=SECONDS):
        if run["deployment_id"] in names:
            first.setdefault(names[run["deployment_id"]], run["expected_start_time"])
    return [{"deployment": name, "at": at} for name, at in first.items()]
