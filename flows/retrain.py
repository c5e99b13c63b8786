"""retrain-and-redeploy: publish the jobs of live releases again; what has not changed is found and costs nothing."""

from typing import Any

from prefect import flow

from flows.job import Job
from flows.publish import publish
from flows.targets import Target, live_jobs


@flow(name="retrain-and-redeploy")
def retrain(job: Job | None = None, target: Target = "sandbox") -> list[dict[str, Any]]:
    """The given job, or the stored job of every live release on `target`, each as a run of `publish`."""
    return [publish(each, target) for each in ([job] if job else live_jobs(target))]
