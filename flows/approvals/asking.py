"""A person's yes before a run goes on: found in the registry, given in Prefect's form, or asked for by command.

A run of a deployment suspends: no process waits, and no GPU. Resumed, it runs again from the top, where all it has done is found.
A run from the command line can not suspend: it ends, and running the same command again finds what was said meanwhile.
"""

import json
import re
from collections.abc import Mapping
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prefect import suspend_flow_run
from prefect.context import FlowRunContext
from prefect.input import RunInput
from pydantic import Field, ValidationError

from flows import views
from flows.approvals.approval_sheet import evidence_of, sheet
from flows.approvals.approving import WORDS, Reason, Standing, reasons, subject_of
from flows.errors import NotApproved
from flows.events import emit
from flows.gating import is_doubtful
from flows.home import home
from flows.job import Job
from flows.listing_folder import desk
from flows.progress import say
from flows.store import Artefact
from flows.targets import Target, registry_url

if TYPE_CHECKING:
    from serving.release.registry import Registry
    from training.gate import GateDecision

DAY_SECONDS = 86_400  # the registry's deadline comes first; Prefect's own is for a house where nobody looks at it


class Answer(RunInput):
    """What the form asks for. Who says it is what they write: a claim, not an identity."""

    approve: bool = Field(description="True lets exactly this go on; false ends the run")
    by: str = Field(min_length=1, max_length=128, pattern=r"\S", description="Your name, as it shall stand in the journal")
    why: str = Field("", max_length=2000, description="What you looked at, or what is wrong")


def require_approval(
    job: Job, package: Artefact, decision: "GateDecision", bundle: Artefact, licences: Artefact, target: Target, price: float | None
) -> str | None:
    """The id of the approval that lets this package go on at this price; None where the job's policy asks nobody.

    NotApproved, one line, where the answer is no, or where it is not there yet and this run can not wait for it.
    """
    from serving.release.approvals import ask
    from serving.release.package import load_package
    from serving.release.registry import Registry

    with closing(Registry(registry_url())) as registry:
        standing = standing_of(registry, job.serving.app, target)
        subject = subject_of(job.serving.app, target, load_package(package.path).hash, price, decision)
        hours, run = job.approvals.timeout_hours, run_that_can_wait()
        why = reasons(job.approvals, standing, subject, doubtful=is_doubtful(job.gate, decision))
        why = why or asked_before(registry, subject, run)
        if not why:
            return None
        evidence = evidence_of(job, standing, subject, decision, bundle, licences)
        row: Mapping[str, Any] = ask(registry, subject, reasons=why, evidence=evidence, hours=hours, flow_run=run)
        if row["state"] == "pending" and run:
            row = answered(registry, row)
    require_yes(row)
    say(f"✓ approval    {row['id']} by {row['by']}, {row['decided_at'][:16]} UTC")
    return str(row["id"])


def asked_before(registry: "Registry", subject: Mapping[str, Any], run: str | None) -> tuple[Reason, ...]:
    """Why this very run has asked this already: what was answered holds, though it would not be asked any more."""
    from serving.release.approvals import approval_id, listed

    identity = approval_id(subject)
    return next((tuple(row["reasons"]) for row in listed(registry) if (row["id"], row["flow_run"]) == (identity, run) and run), ())


def standing_of(registry: "Registry", app: str, target: Target) -> Standing:
    rows = registry.releases(app=app, target=target)
    live = next((row["package"] for row in rows if row["state"] == "live"), None)
    return Standing(
        published=any(row["state"] in ("live", "retired") for row in rows), live=live, price_usd=listed_price(app, target)
    )


def listed_price(app: str, target: str) -> float | None:
    """The price on the author's copy of the page."""
    return price_in(desk(home(), target, app))


def price_in(folder: Path) -> float | None:
    """The price that the listing in a folder names; None where there is none, or none that can be read, as laying it out tells."""
    page = folder / "listing.json"
    try:
        price: float | None = json.loads(page.read_text(encoding="utf-8"))["pricing"]["unit_price_usd"] if page.is_file() else None
    except (ValueError, KeyError, TypeError):
        return None
    return price


def run_that_can_wait() -> str | None:
    """The id of this run, where Prefect can end it and start it again: a publish of a deployment, and not inside another flow.

    A flow that publishes several apps does not wait for one of them; it goes on with the others, and finds the answer next time.
    """
    context = FlowRunContext.get()
    run = context.flow_run if context else None
    if context is None or run is None or context.flow is None or context.flow.name != "publish":
        return None
    return str(run.id) if run.deployment_id and not run.parent_task_run_id else None


def answered(registry: "Registry", row: Mapping[str, Any]) -> Mapping[str, Any]:
    """Suspend this run, or, resumed with an answer, write that down. Nothing after it runs in a process that waits."""
    from serving.release.approvals import decide, expire

    tell("asked", row)
    left = datetime.fromisoformat(row["until"]) - datetime.now(UTC)
    form = Answer.with_initial_data(description=sheet(row, paths=False))
    key = f"{row['id']}-{re.sub('[^0-9]', '', row['asked_at'])}"  # a question that is asked anew has a form of its own
    try:
        answer = suspend_flow_run(wait_for_input=form, key=key, timeout=max(1, int(left.total_seconds())) + DAY_SECONDS)
    except ValidationError as error:  # resumed without an answer: no yes
        if error.title != form.__name__:
            raise
        answer = form(approve=False, by="nobody", why="the run was resumed without an answer")
    for late in expire(registry):
        if late["id"] == row["id"]:
            return late
    row = decide(registry, row["id"], approve=answer.approve, by=answer.by.strip(), why=answer.why.strip(), way="form")
    tell("decided", row)
    return row


def require_yes(row: Mapping[str, Any]) -> None:
    about = f"{row['app']} on {row['target']} ({', '.join(WORDS[reason] for reason in row['reasons'])})"
    if row["state"] == "pending":
        raise NotApproved(
            f"{about} waits for a person: look with lorasmith approvals show {row['id']}, "
            f"say yes with lorasmith approvals approve {row['id']} --by NAME, then run the same command again"
        )
    if row["state"] == "expired":
        raise NotApproved(f"{about} was not approved: {row['why']}; start a new run to ask again")
    if row["state"] == "denied":
        why = f": {row['why']}" if row["why"] else ""
        raise NotApproved(
            f"{about} was denied by {row['by']} at {row['decided_at'][:16]} UTC{why}; "
            f"lorasmith approvals approve {row['id']} --by NAME takes that back"
        )


def tell(what: str, row: Mapping[str, Any]) -> None:
    """An event and an artifact; the registry is what counts."""
    facts = {name: row[name] for name in ("id", "app", "target", "reasons", "state", "by", "why", "until")}
    emit(f"lorasmith.approval.{what}", f"lorasmith.app.{row['target']}.{row['app']}", facts)
    views.page(page(row), key="approval", description=f"{row['id']}: {row['state']}")


def page(row: Mapping[str, Any]) -> str:
    """The sheet, and under it the grid that compares base, live and new, which a browser could not open by its path."""
    grid = next((Path(path) for path in row["evidence"]["pictures"] if path.endswith(".png")), None)
    shown = f"\n![base, adapter and real pictures]({views.shown(grid)})\n" if grid and grid.is_file() else ""
    return sheet(row, paths=False) + shown
