"""One task a step: each calls public functions of one room and leaves one artefact. Prefect caches nothing; the store does."""

import json
import shutil
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prefect import task
from prefect.cache_policies import NO_CACHE
from pydantic_core import to_jsonable_python

from flows import hub, papers, preflight, rollout, turns, views
from flows.acceleration import accelerated, require_possible
from flows.champion import champion_of
from flows.datasets import inputs_of, waste_of
from flows.errors import GateRejected
from flows.gating import require_accepted
from flows.home import home
from flows.job import Job
from flows.licensing import rights
from flows.machines.compute import launch_trainer
from flows.machines.placing import Remote, place
from flows.money.sizing import needs_of, require_machine
from flows.money.training_cost import book_deploy, booking
from flows.patience import patiently
from flows.progress import bar, say
from flows.settings import app_settings, require_usable
from flows.signing import sign_package, signers
from flows.step_inputs import (
    SOURCE,
    base_digest,
    base_revision,
    dataset_of,
    evaluation_inputs,
    training_inputs,
    twin_inputs,
    write_config,
)
from flows.store import Artefact, digest, file_digest, make, tree_digest
from flows.targets import Target, at_present, keep_job, open_platform, registry_url

if TYPE_CHECKING:
    from training.gate import GateDecision


@task(name="check-licences", cache_policy=NO_CACHE)
def check_licences(job: Job) -> Artefact:
    """Verdict and report; LicenceBlocked, or a duty that nothing could fulfil, stops the run here."""
    verdict = rights.answered_verdict_of(job)
    require_usable(job)
    require_machine(job)
    require_possible(job)
    kept = rights.keep_report(verdict)
    views.license_report(kept.path)
    rights.require_allowed(verdict)
    if job.hub:
        hub.require_distributable(job, verdict)
    papers.require_fulfilled(job, verdict)
    return told("licences", kept)


@task(name="prepare-dataset", cache_policy=NO_CACHE)
def prepare_dataset(job: Job, licences: Artefact) -> Artefact:
    """Pictures and captions through the gate, into a manifest."""
    from training.data.prepare import prepare

    source, options = dataset_of(job, licences)
    inputs = inputs_of(source, options, SOURCE / "training" / "data")
    with bar("dataset") as progress:
        made = make(
            home(),
            "dataset",
            inputs,
            lambda out: with_report(lambda: patiently(lambda: prepare(source, out, options, progress=progress.update)), out),
        )
    views.dataset_report(made.path)
    told("dataset", made)
    say(f"  {waste_of(made.path, job.training.batch_size)}")
    return made


@task(name="train-adapter", cache_policy=NO_CACHE)
def train_adapter(job: Job, dataset: Artefact, licences: Artefact, target: Target) -> Artefact:
    """LoRA training in a child process, or on a machine of the target; a killed run goes on from its last checkpoint."""
    return told("adapter", trained(job, dataset, licences, training_inputs(job, dataset, licences), target))


def twin_of(job: Job, dataset: Artefact, adapter: Artefact, licences: Artefact, target: Target) -> Artefact | None:
    """A second training of the same recipe, which says what difference is chance; None where trainings repeat bit for bit."""
    inputs = twin_inputs(job, dataset, adapter, licences)
    return told("twin", trained(job, dataset, licences, inputs, target)) if inputs else None


def trained(job: Job, dataset: Artefact, licences: Artefact, inputs: dict[str, Any], target: Target) -> Artefact:
    """The adapter of these inputs, found or trained."""
    work = home() / "work" / digest(inputs)[:16]

    def train(out: Path) -> None:
        work.mkdir(parents=True, exist_ok=True)
        write_config(job, dataset, licences, work / "config.json")
        with bar("train") as progress, booking(job, "train", target, digest(inputs)):
            if isinstance(chosen := place(job.compute, deployed=False), Remote):
                from flows.machines.remote_training import Rented, train_remotely

                rented = Rented(target=target, machine=chosen.machine, key=digest(inputs))
                given = {"config": work / "config.json", "dataset": dataset.path, "verdict": licences.path}
                train_remotely(job, rented, **given, out=out, work=work, bar=progress)
                return
            arguments = ["train", "--config", str(work / "config.json"), "--out", str(out), "--work", str(work)]
            events = work / "train.jsonl"
            arguments += ["--events", str(events)]
            pictures = job.training.batch_size
            log = work / "train.log"
            patiently(lambda: launch_trainer(arguments, events=events, log=log, bar=progress, pictures=pictures))

    return make(home(), "adapter", inputs, train)


@task(name="evaluate-adapter", cache_policy=NO_CACHE)
def evaluate_adapter(job: Job, dataset: Artefact, adapter: Artefact, licences: Artefact, target: Target) -> Artefact:
    """Losses and pictures of base, live adapter and new adapter; the result is the whole AdapterBundle."""
    champion = champion_of(job, adapter, target)
    twin = twin_of(job, dataset, adapter, licences, target) if champion else None
    others = {name: other for name, other in (("champion", champion), ("twin", twin)) if other}
    inputs = evaluation_inputs(job, adapter.key, {name: other.key for name, other in others.items()})
    work = home() / "work" / digest(inputs)[:16]

    def evaluate(out: Path) -> None:
        work.mkdir(parents=True, exist_ok=True)
        write_config(job, dataset, licences, work / "config.json")
        with bar("evaluate") as progress, booking(job, "evaluate"):
            arguments = ["evaluate", "--config", str(work / "config.json"), "--adapter", str(adapter.path), "--out", str(out)]
            for name, other in others.items():
                arguments += [f"--{name}", str(other.path)]
            events, log = work / "evaluate.jsonl", work / "evaluate.log"
            arguments += ["--events", str(events)]
            patiently(lambda: launch_trainer(arguments, events=events, log=log, bar=progress))

    bundle = make(home(), "bundle", inputs, evaluate)
    views.loss_table(bundle.path)
    views.sample_grid(bundle.path)
    return told("evaluation", bundle)


@task(name="gate-adapter", cache_policy=NO_CACHE)
def gate_adapter(job: Job, bundle: Artefact, *, deploys: bool = True) -> "GateDecision":
    """GateRejected, with the failed checks as sentences, unless the adapter is better than its base and than what is live.

    What only a person can judge goes on to the question before a deploy, where the job has it asked and there is a deploy.
    """
    evaluation = json.loads((bundle.path / "evaluation.json").read_text())
    asks = deploys and job.approvals.gate_review
    try:
        return require_accepted(job.gate, evaluation, adopted=job.adapter is not None, asks=asks)
    except GateRejected as rejected:
        rejected.bundle = bundle.path
        raise


@task(name="package-app", cache_policy=NO_CACHE)
def package_app(job: Job, bundle: Artefact, licences: Artefact) -> Artefact:
    """Everything that runs on the platform, in one folder whose hash is its name."""
    from serving.release.app_toml import requirements
    from serving.release.package import build_package
    from training.families import FAMILIES

    verdict = json.loads((licences.path / "verdict.json").read_text())
    family = FAMILIES[json.loads((bundle.path / "manifest.json").read_text())["family"]]
    settings = app_settings(job, family, needs=needs_of(job))
    revision, base = base_revision(job, licences), base_digest(job.base.folder) if job.base.folder else job.base.repo
    faster = accelerated(job, bundle.path, settings, base=base, revision=revision)
    if faster:
        settings = replace(settings, acceleration=faster.acceleration)
    inputs = {
        "bundle": file_digest(bundle.path / "manifest.json"),
        "verdict": verdict["hash"],
        "settings": to_jsonable_python(settings),
        "quality": faster.report if faster else None,
        "base": revision,
        "code": [tree_digest(SOURCE / "serving" / room) for room in ("app", "release")],
        "papers": papers.code_digest(),
        "adapter_license": job.publisher.get("adapter_license"),
        "requirements": requirements(settings),
    }

    def build(out: Path) -> None:
        with papers.written(job, bundle.path, verdict, requirements(settings)) as notices:
            build_package(
                bundle=bundle.path,
                base=job.base.folder,
                base_ref=job.base.folder.name if job.base.folder else job.base.repo,
                base_revision=revision,
                verdict=verdict,
                notices=notices,
                settings=settings,
                quality=faster.report if faster else None,
                out=out,
            )

    package = make(home(), "package", inputs, build)
    sign_package(package, build)
    return told("package", package)


@task(name="deploy-app", cache_policy=NO_CACHE)
def deploy_app(
    job: Job, package: Artefact, bundle: Artefact, licences: Artefact, target: Target, *, again: bool = False
) -> dict[str, Any]:
    """Candidate, smoke test as another caller, golden prompts, promote; the release row. Nothing happens where it is live."""
    from serving.release.deploy import publish_package
    from serving.release.lease import held
    from serving.release.package import load_package
    from serving.release.registry import Registry

    verdict, app = json.loads((licences.path / "verdict.json").read_text()), job.serving.app
    with bar("deploy") as progress, closing(Registry(registry_url())) as registry:
        before = registry.by_package(app, load_package(package.path).hash, target)
        busy = partial(held, registry, target=target, app=app)
        with (
            turns.deploy_turn(target, app, busy=busy, progress=say),
            open_platform(target) as platform,
            preflight.passed(job, package.path, verdict, registry, platform),
        ):
            if before is None or before["state"] != "live":
                book_deploy(job, target)
            release = publish_package(
                package.path,
                platform=platform,
                registry=registry,
                verdict_hash=verdict["hash"],
                smoke=rollout.smoke_of(job, bundle.path),
                golden=rollout.golden_of(job, package.path, bundle.path),
                budget=rollout.budget_of(job),
                signers=signers(),
                again=again,
                wait=turns.WAIT_SECONDS,
                progress=lambda line: progress.update(0, note=line),
            )
        was_live = before is not None and before["state"] == "live" and before["revision"] == release["revision"]
    keep_job(job, release)
    (release,) = at_present([release])
    views.endpoint_link(release)
    say(f"{'=' if was_live else '✓'} release     {release['app']} revision {release['revision']}")
    return release


def with_report(prepare: Callable[[], object], out: Path) -> None:
    """Run `prepare`; where it refuses, keep its report and contact sheet, since the folder `out` goes."""
    try:
        prepare()
    except ValueError as error:
        report = out / "report.md"
        if not report.is_file():
            raise
        kept = home() / "work" / "dataset-report.md"
        kept.parent.mkdir(exist_ok=True)
        kept.write_text(report.read_text().replace("contact.png", "dataset-contact.png"))
        shutil.copyfile(out / "contact.png", kept.with_name("dataset-contact.png"))
        error.args = (str(error).replace(str(report), str(kept)),)
        raise


def told(name: str, artefact: Artefact) -> Artefact:
    """Say in one line whether the step's work was done now or found."""
    say(f"{'=' if artefact.found else '✓'} {name:<11} {'found' if artefact.found else 'done '} {artefact.key[:12]}")
    return artefact
