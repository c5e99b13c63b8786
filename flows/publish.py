"""publish: from a folder of pictures to a billed endpoint and a listing ready to send."""

from typing import Any, Literal

from prefect import flow

from flows import steps
from flows.job import Job
from flows.records import Stopwatch, record_run
from flows.targets import Target

Until = Literal["gate", "package", "deploy", "listing"]


@flow(name="publish", flow_run_name="publish {job.name}")
def publish(job: Job, target: Target = "sandbox", until: Until = "listing") -> dict[str, Any]:
    """Licences, dataset, training, evaluation, gate, package, deploy, listing. Run it again: what is done is found."""
    watch = Stopwatch()
    with watch("licences"):
        licences = steps.check_licences(job)
    with watch("dataset"):
        dataset = steps.prepare_dataset(job)
    with watch("train"):
        adapter = steps.train_adapter(job, dataset, licences)
    with watch("evaluate"):
        bundle = steps.evaluate_adapter(job, dataset, adapter, licences)
    with watch("gate"):
        steps.gate_adapter(job, bundle)
    if until == "gate":
        return {"bundle": str(bundle.path)}
    with watch("package"):
        package = steps.package_app(job, bundle, licences)
    if until == "package":
        return {"package": str(package.path)}
    with watch("deploy"):
        release = steps.deploy_app(job, package, bundle, licences, target)
    if until == "deploy":
        return {"release": release}
    with watch("listing"):
        listing = steps.draft_listing(job, release, package, dataset, bundle, licences, target)
    return record_run(job, release, bundle, licences, listing, watch.seconds)
