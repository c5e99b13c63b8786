"""retrain-and-redeploy: publish the jobs of live releases again; what has not changed is found and costs nothing."""

from typing import Any

from prefect import flow

from flows.job import Job
from flows.publish import publish
from flows.targets import Target, each, job_of, live_releases


@flow(name="retrain-and-redeploy")
def retrain(job: Job | None = None, target: Target | None = None) -> list[dict[str, Any]]:
    """The given job, or the stored job of every live release (on `target`, or on both), each as a run of `publish`."""
    if job:
        return [publish(job, target or "sandbox")]
    return each(live_releases(target), lambda release: publish(job_of(release), release["target"]))
