"""retrain-and-redeploy: publish the jobs of live releases again; what has not changed is found and costs nothing."""

from collections.abc import Mapping
from typing import Any

from prefect import flow

from flows.job import Job
from flows.publish import publish
from flows.recheck import require_reviewed
from flows.targets import Target, each, job_of, live_releases


@flow(name="retrain-and-redeploy")
def retrain(job: Job | None = None, target: Target | None = None) -> list[dict[str, Any]]:
    """The given job, or the stored job of every live release (on `target`, or on both), each as a run of `publish`.

    A release whose licences changed since they were accepted is not retrained: lorasmith license reviewed says how it goes on.
    """
    if job:
        for release in live_releases(target or "sandbox"):
            if release["app"] == job.serving.app:
                require_reviewed(release)
        return [publish(job, target or "sandbox")]
    return each(live_releases(target), again)


def again(release: Mapping[str, Any]) -> dict[str, Any]:
    """Publish the stored job of a live release once more, unless its licences wait for a review."""
    require_reviewed(release)
    return publish(job_of(release), release["target"])
