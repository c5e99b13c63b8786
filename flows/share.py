"""share: the adapter's weights on the Hugging Face Hub, where the licences allow to distribute them."""

import json
from pathlib import Path
from typing import Any

from prefect import flow

from flows import hub, steps
from flows.champion import live_bundle
from flows.errors import JobError
from flows.hub import HubTarget
from flows.hub_steps import share_adapter
from flows.job import Job
from flows.publish import publish
from flows.store import Artefact
from flows.targets import Target


@flow(name="share", flow_run_name="share {job.name}")
def share(job: Job, to: HubTarget | None = None, target: Target = "sandbox", overwrite: bool = False) -> dict[str, Any]:
    """Bring adapter, card and papers to `to` or the job's `hub`: what is live, else what publishing up to the gate makes."""
    place = to or job.hub
    if place is None:
        raise JobError("no repository: give --repo owner/name, or set hub.repo in the job")
    licences = steps.check_licences(job)
    hub.require_distributable(job, json.loads((licences.path / "verdict.json").read_text()))
    bundle = live_bundle(job, target) or gated_bundle(job, target)
    return share_adapter(job, bundle, licences, place, target, overwrite)


def gated_bundle(job: Job, target: Target) -> Artefact:
    content = Path(publish(job, target, until="gate")["bundle"])
    return Artefact(kind="bundle", key=content.parent.name, path=content, found=True)
