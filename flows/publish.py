"""publish: from a folder of pictures to a billed endpoint and a listing ready to send."""

from typing import Any, Literal

from prefect import flow

from flows import adapter_steps, listing_steps, steps
from flows.job import Job
from flows.records import Stopwatch, record_run
from flows.retirement import require_not_retired
from flows.targets import Target

Until = Literal["gate", "package", "deploy", "listing"]


@flow(name="publish", flow_run_name="publish {job.name}")
def publish(job: Job, target: Target = "sandbox", until: Until = "listing", again: bool = False) -> dict[str, Any]:
    """Licences, dataset, training, evaluation, gate, package, deploy, listing. Run it again: what is done is found.

    again: deploy a package that was rolled back once more.
    """
    if until in ("deploy", "listing"):
        require_not_retired(job.serving.app, target)
    watch = Stopwatch()
    with watch("licences"):
        licences = steps.check_licences(job)
    with watch("dataset"):
        adapter_steps.require_pictures(job)
        dataset = steps.prepare_dataset(job, licences)
    with watch("train"):
        adapter = (adapter_steps.adopt_adapter if job.adapter else steps.train_adapter)(job, dataset, licences)
    with watch("evaluate"):
        bundle = steps.evaluate_adapter(job, dataset, adapter, licences, target)
    with watch("gate"):
        decision = steps.gate_adapter(job, bundle)
        bundle = adapter_steps.seal_bundle(job, bundle, licences, decision)
    if until == "gate":
        return {"bundle": str(bundle.path)}
    with watch("package"):
        package = steps.package_app(job, bundle, licences)
    if until == "package":
        return {"package": str(package.path)}
    with watch("deploy"):
        release = steps.deploy_app(job, package, bundle, licences, target, again=again)
    if until == "deploy":
        return {"release": release}
    with watch("listing"):
        gallery = listing_steps.draw_gallery(job, release, package, dataset, bundle, target)
        draft = listing_steps.draft_listing(job, release, package, dataset, bundle, licences, gallery)
        listing = listing_steps.lay_out_listing(draft, release["app"], target)
    return record_run(job, release, bundle, licences, listing, watch.seconds)
