"""publish: from a folder of pictures to a billed endpoint and a listing ready to send."""

from typing import Any, Literal

from prefect import flow

from flows import adapter_steps, listing_steps, steps, views
from flows.approvals.asking import price_in, require_approval
from flows.books import run_book
from flows.books.records import Stopwatch, record_run, sweep
from flows.home import home
from flows.hub_steps import share_adapter
from flows.job import Job
from flows.machines import pool_training
from flows.orchestration.server_away import crashing
from flows.progress import say
from flows.retirement import require_not_retired
from flows.retraining.app_turn import app_turn
from flows.targets import Target

Until = Literal["gate", "package", "deploy", "listing"]


@flow(name="publish", flow_run_name="publish {job.name}")
@crashing
def publish(job: Job, target: Target = "sandbox", until: Until = "listing", again: bool = False) -> dict[str, Any]:
    """Licences, dataset, training, evaluation, gate, package, deploy, listing. Run it again: what is done is found.

    again: deploy a package that was rolled back once more.
    """
    if until in ("deploy", "listing"):
        require_not_retired(job.serving.app, target)
    with app_turn(target, job.serving.app, progress=say):
        return published(job, target, until, again)


def published(job: Job, target: Target, until: Until = "listing", again: bool = False) -> dict[str, Any]:
    """The same for a flow that has the app's turn already."""
    with run_book.entry(job.name, job.serving.app, target) as run:
        done = run_of(run, job, target, until, again)
    sweep(home())
    return done


def run_of(run: str, job: Job, target: Target, until: Until, again: bool) -> dict[str, Any]:
    """All steps up to `until`; what is there already is found."""
    watch = Stopwatch()
    with watch("licences"):
        licences = steps.check_licences(job)
    with watch("dataset"):
        adapter_steps.require_pictures(job)
        dataset = steps.prepare_dataset(job, licences)
    with watch("train"):
        pool_training.train_on_pool(job, dataset, licences, target)  # where a pool has the GPUs; the steps then find its work
        adapter = adapter_steps.adapter_of(job, dataset, licences, target)
    with watch("evaluate"):
        bundle = steps.evaluate_adapter(job, dataset, adapter, licences, target)
    with watch("gate"):
        decision = steps.gate_adapter(job, bundle, deploys=until in ("deploy", "listing"))
        bundle = adapter_steps.seal_bundle(job, bundle, licences, decision)
    if until == "gate":
        return {"bundle": str(bundle.path)}
    with watch("package"):
        package = steps.package_app(job, bundle, licences)
    if until == "package":
        return {"package": str(package.path)}
    require_approval(job, package, decision, bundle, licences, target, job.listing.price_usd)
    with watch("deploy"):
        release = steps.deploy_app(job, package, bundle, licences, target, again=again)
    if until == "deploy":
        return {"release": release}
    with watch("listing"):
        gallery = listing_steps.draw_gallery(job, release, package, dataset, bundle, target)
        draft = listing_steps.draft_listing(job, release, package, dataset, bundle, licences, gallery)
        require_approval(job, package, decision, bundle, licences, target, price_in(draft.path))
        listing = listing_steps.lay_out_listing(draft, release["app"], target)
    done = record_run(job, release, bundle, licences, listing, watch.seconds, run=run)
    views.run_summary(done)
    return done | {"hub": share_adapter(job, bundle, licences, job.hub, target)} if job.hub else done
