"""watch: what was just promoted is on probation; one that fails its callers goes back by itself."""

from collections.abc import Mapping
from typing import Any

from prefect import flow

from flows import views
from flows.approvals.answering import kept_up
from flows.errors import FlowError
from flows.events import emit
from flows.progress import say
from flows.rollback import each_on_probation
from flows.targets import Target
from serving.release.probation import Watched


@flow(name="watch")
def watch(target: Target | None = None) -> list[dict[str, Any]]:
    """One look at every release on probation; a row each. Raises at the end where one failed and could not be mended.

    Questions to a person whose time is over are answered with no, and runs whose question has an answer go on.
    """
    for line in kept_up():
        say(line)
    rows, faults = [], []
    for release, look in each_on_probation(target, say):
        try:
            found = look()
        except ValueError as error:  # every error of this project is one; one release keeps no other from its look
            faults.append(f"{release['app']} on {release['target']}: {error}")
            continue
        rows.append(row_of(release, found))
        known = (release["evidence"].get("probation") or {}).get("state") == "failed"
        if found.state in ("rolled back", "failed", "unknown") and not known:
            tell(release, found)
        if found.state in ("failed", "unknown"):
            faults.append(f"{release['app']} on {release['target']}: {found.text}")
    if faults:
        raise FlowError("; ".join(faults))
    return rows


def row_of(release: Mapping[str, Any], found: Watched) -> dict[str, Any]:
    return {
        "app": release["app"],
        "target": release["target"],
        "watched": release["revision"],
        "state": found.state,
        "found": found.text,
        "live": found.live["revision"],
    }


def tell(release: Mapping[str, Any], found: Watched) -> None:
    """A Prefect event and an artifact; the journal is what counts."""
    row = row_of(release, found)
    emit(f"lorasmith.release.{found.state.replace(' ', '-')}", f"lorasmith.app.{release['target']}.{release['app']}", row)
    facts = "\n".join(f"- {name}: {value}" for name, value in row.items())
    views.page(f"# {release['app']} on {release['target']}: {found.state}\n\n{facts}\n", key="watch")
