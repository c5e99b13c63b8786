"""The task that brings an adapter to the Hugging Face Hub."""

import json
from contextlib import closing
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE

from flows import hub, step_inputs
from flows.books.records import write_json
from flows.home import home
from flows.hub import HubTarget
from flows.job import Job
from flows.progress import say
from flows.store import Artefact
from flows.targets import Target, registry_url


@task(name="share-adapter", cache_policy=NO_CACHE)
def share_adapter(
    job: Job, bundle: Artefact, licences: Artefact, to: HubTarget, target: Target, overwrite: bool = False
) -> dict[str, Any]:
    """One commit, or none where the repository holds this adapter already; what was pushed is kept in HOME/hub."""
    verdict = json.loads((licences.path / "verdict.json").read_text())
    hub.require_distributable(job, verdict)
    revision, endpoint = step_inputs.base_revision(job, licences), endpoint_of(job, target)
    made = hub.folder_for(job, bundle, verdict, repo=to.repo, revision=revision, endpoint=endpoint)
    pushed = hub.push(made.path, to, message=f"Adapter {bundle.key[:12]} of {job.name}", overwrite=overwrite)
    done = "pushed" if pushed["pushed"] else "there already:"
    say(f"  hub         {done} {pushed['url']} at {str(pushed['commit'])[:12]}")
    record = pushed | {"job": job.name, "bundle": bundle.key, "folder": str(made.path)}
    (home() / "hub").mkdir(exist_ok=True)
    write_json(home() / "hub" / f"{to.repo.replace('/', '--')}.json", record)
    return record


def endpoint_of(job: Job, target: Target) -> str | None:
    """Where the adapter is served to everybody; a sandbox is not."""
    from serving.release.registry import Registry

    if target != "fal":
        return None
    with closing(Registry(registry_url())) as registry:
        live = registry.live(job.serving.app, target)
    return str(live["urls"]["run"]) if live else None
