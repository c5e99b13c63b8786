"""train: the part of publish that wants a GPU, as a flow of its own, so that nothing else ever waits on one."""

import json
from typing import Any

from prefect import flow

from flows import adapter_steps, steps
from flows.errors import FlowError
from flows.home import home
from flows.job import Job
from flows.licensing import rights
from flows.machines.pool_training import fault_told, though_killed
from flows.orchestration.server_away import crashing
from flows.store import Artefact, find
from flows.targets import Target


@flow(name="train", flow_run_name="train {job.name}")
@crashing
def train(job: Job, licences: str, dataset: str, target: Target = "sandbox") -> dict[str, Any]:
    """Adapter and evaluation of a job whose verdict and dataset publish has left in the store; their keys are given.

    Run it again: what is done is found, and a training that was killed goes on from its last checkpoint.
    """
    with fault_told():
        verdict, pictures = kept("verdict", licences), kept("dataset", dataset)
        rights.require_allowed(json.loads((verdict.path / "verdict.json").read_text()))
        adapter = though_killed(lambda: adapter_steps.adapter_of(job, pictures, verdict, target))
        bundle = though_killed(lambda: steps.evaluate_adapter(job, pictures, adapter, verdict, target))
    return {"adapter": adapter.key, "bundle": bundle.key}


def kept(kind: str, key: str) -> Artefact:
    """An artefact that another run has made; FlowError where it is not here."""
    found = find(home(), kind, key)
    if found is None:
        raise FlowError(
            f"{kind} {key[:12]} is not in {home() / 'store'}: publish makes it; workers of both pools need one LORASMITH_HOME, "
            "on one machine or in a shared folder"
        )
    return found
