"""What a person said to a question, outside of the run that asked: written down, and the run that waits for it goes on."""

from collections.abc import Iterable, Mapping
from contextlib import closing
from typing import Any

from flows.errors import JobError
from flows.orchestration import prefect_api
from flows.targets import registry_url


def answer(identity: str, *, approve: bool, by: str, why: str) -> tuple[dict[str, Any], str]:
    """The approval as it stands now, and in words what becomes of the run. The registry's record comes first, the run second."""
    from serving.release.approvals import decide, expire, found
    from serving.release.registry import Registry

    name = " ".join(by.split())
    if not name or len(name) > 128:
        raise JobError(f"--by: got {by!r}; give the name that shall stand in the journal, up to 128 characters")
    with closing(Registry(registry_url())) as registry:
        expire(registry)  # what comes too late is written down as that first
        known = found(registry, identity)
        row = decide(registry, known["id"], approve=approve, by=name, why=" ".join(why.split()), way="command")
    return row, resumed(row) if known["state"] == "pending" else "nothing waits for it: start the run again"


def kept_up() -> list[str]:
    """A no is written under every question whose time is over; runs that wait though there is an answer go on. A line each.

    This also mends what an answer could not do while the server was away.
    """
    from serving.release.approvals import expire, listed
    from serving.release.registry import Registry

    with closing(Registry(registry_url())) as registry:
        lines = [f"approval {row['id']} of {row['app']} on {row['target']}: {row['why']}" for row in expire(registry)]
        answers = {row["flow_run"]: row for row in listed(registry) if row["flow_run"] and row["state"] != "pending"}
    return [*lines, *(resumed(answers[run]) for run in waiting(answers))]


def waiting(runs: Iterable[str]) -> list[str]:
    """Those of the runs that are suspended now; none where no server answers."""
    wanted = sorted(runs)
    if not wanted or prefect_api.address() is None:
        return []
    suspended = {"id": {"any_": wanted}, "state": {"type": {"any_": ["PAUSED"]}}}
    try:
        return [run["id"] for run in prefect_api.asked("/flow_runs/filter", {"flow_runs": suspended})]
    except prefect_api.ServerAway:
        return []


def resumed(row: Mapping[str, Any]) -> str:
    """Let the suspended run of an approval go on, which finds the record; what happened, in words."""
    if row["flow_run"] is None:
        return "run the same command again" if row["state"] == "approved" else "the run has ended already"
    said = {"approve": row["state"] == "approved", "by": row["by"], "why": row["why"][:2000]}
    try:
        result = prefect_api.asked(f"/flow_runs/{row['flow_run']}/resume", {"run_input": said}, seconds=10)
    except prefect_api.ServerAway as error:
        return f"run {row['flow_run']} still waits: {error}; say it again once it does, or start the run anew"
    except prefect_api.Refused as error:
        return f"run {row['flow_run']} does not go on: {error}; start it anew"
    if result["status"] == "ACCEPT":
        return f"run {row['flow_run']} goes on"
    reason = " ".join(str(result["details"].get("reason")).split())
    return f"run {row['flow_run']} was not resumed ({reason}): where it is under way it finds the answer, else start it anew"
