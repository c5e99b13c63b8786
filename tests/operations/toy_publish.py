"""The flow `publish` as Prefect runs it, with made-up work in place of training: what is tested is how it waits for a person."""

import os
from typing import Any

from prefect import flow

from flows.home import home
from flows.job import Job
from flows.progress import say
from flows.targets import Target
from tests.flows.approval_material import publish_toy


@flow(name="publish", flow_run_name="publish {job.name}")
def publish(job: Job, target: Target = "sandbox") -> dict[str, Any]:
    """One line in HOME/started each time it begins, so that a test can count processes and look whether one is left."""
    with (home() / "started").open("a") as file:
        file.write(f"{os.getpid()}\n")
    approval = publish_toy(home(), job)
    say(f"deployed with approval {approval}")
    return {"approval": approval}
