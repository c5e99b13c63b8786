"""One task a step: each calls public functions of one room and leaves one artefact. Prefect caches nothing; the store does."""

import json
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE

from flows import rights, views
from flows.compute import launch_trainer
from flows.errors import GateRejected
from flows.home import home
from flows.job import Job
from flows.progress import bar, say
from flows.records import write_json
from flows.settings import app_settings, require_usable
from flows.store import Artefact, digest, file_digest, make, tree_digest
from flows.targets import Target, job_file, open_platform, registry_url

SOURCE = Path(__file__).resolve().parent.parent


@task(name="check-licences", cache_policy=NO_CACHE)
def check_licences(job: Job) -> Artefact:
    """Verdict, report and notices; LicenceBlocked stops the run here."""
    verdict = rights.verdict_of(job)
    require_usable(job)
    kept = rights.keep_report(verdict)
    views.license_report(kept.path)
    rights.require_allowed(verdict)
    return told("licences", kept)


@task(name="prepare-dataset", cache_policy=NO_CACHE)
def prepare_dataset(job: Job) -> Artefact:
    """Pictures and captions through the gate, into a manifest."""
    from training.data.prepare import DatasetOptions, prepare

    source = Path(job.dataset.path)
    held_out = Path(job.dataset.held_out) if isinstance(job.dataset.held_out, str) else job.dataset.held_out
    options = DatasetOptions(
        resolution=job.training.resolution,
        trigger=job.dataset.trigger,
        min_side=job.dataset.min_side,
        held_out=held_out,
        on_error=job.dataset.on_error,
    )
    inputs = {
        "pictures": tree_digest(source),
        "held_out": tree_digest(held_out) if isinstance(held_out, Path) else held_out,
        "options": {name: value for name, value in asdict(options).items() if name != "held_out"},
        "code": tree_digest(SOURCE / "training" / "data", "*.py"),
    }
    with bar("dataset") as progress:
        made = make(
            home(), "dataset", inputs, lambda out: with_report(lambda: prepare(source, out, options, progress=progress.update), out)
        )
    return told("dataset", made)


@task(name="train-adapter", cache_policy=NO_CACHE)
def train_adapter(job: Job, dataset: Artefact, licences: Artefact) -> Artefact:
    """LoRA training in a child process; a killed run goes on from its last checkpoint."""
    inputs = training_inputs(job, dataset, licences)
    work = home() / "work" / digest(inputs)[:16]

    def train(out: Path) -> None:
        work.mkdir(parents=True, exist_ok=True)
        write_config(job, dataset, licences, work / "config.json")
        with bar("train") as progress:
            arguments = ["train", "--config", str(work / "config.json"), "--out", str(out), "--work", str(work)]
            events = work / "train.jsonl"
            launch_trainer([*arguments, "--events", str(events)], events=events, log=work / "train.log", bar=progress)

    return told("adapter", make(home(), "adapter", inputs, train))


@task(name="evaluate-adapter", cache_policy=NO_CACHE)
def evaluate_adapter(job: Job, dataset: Artefact, adapter: Artefact, licences: Artefact) -> Artefact:
    """Held-out loss and samples, base against adapter; the result is the whole AdapterBundle."""
    inputs = {"adapter": adapter.key, "inference": job.inference.model_dump(), "code": tree_digest(SOURCE / "training", "*.py")}
    work = home() / "work" / digest(inputs)[:16]

    def evaluate(out: Path) -> None:
        work.mkdir(parents=True, exist_ok=True)
        write_config(job, dataset, licences, work / "config.json")
        with bar("evaluate") as progress:
            arguments = ["evaluate", "--config", str(work / "config.json"), "--adapter", str(adapter.path), "--out", str(out)]
            events = work / "evaluate.jsonl"
            launch_trainer([*arguments, "--events", str(events)], events=events, log=work / "evaluate.log", bar=progress)

    bundle = make(home(), "bundle", inputs, evaluate)
    views.loss_table(bundle.path)
    views.sample_grid(bundle.path)
    return told("evaluation", bundle)


@task(name="gate-adapter", cache_policy=NO_CACHE)
def gate_adapter(job: Job, bundle: Artefact) -> None:
    """GateRejected, with the failed checks as sentences, unless the adapter is better than its base."""
    from training.gate import GatePolicy, decide

    policy = GatePolicy(held_out=job.gate.min_held_out, improvement=job.gate.min_improvement)
    decision = decide(json.loads((bundle.path / "evaluation.json").read_text()), policy)
    waived = () if job.gate.require_learned else ("held_out", "improvement", "sure")
    failed = [check for check in decision.checks if not check.passed]
    if waived and failed:
        say(f"! gate        not asked whether the adapter learned (gate.require_learned: false): {decision.sentence}")
    if any(check.name not in waived for check in failed):
        raise GateRejected(
            f"the adapter was not accepted: {decision.sentence}. More steps, more pictures (dataset.held_out, gate.min_held_out) "
            "or another learning rate may help"
        )


@task(name="package-app", cache_policy=NO_CACHE)
def package_app(job: Job, bundle: Artefact, licences: Artefact) -> Artefact:
    """Everything that runs on the platform, in one folder whose hash is its name."""
    from serving.release.package import build_package

    verdict = json.loads((licences.path / "verdict.json").read_text())
    inputs = {
        "bundle": file_digest(bundle.path / "manifest.json"),
        "verdict": verdict["hash"],
        "serving": job.serving.model_dump(),
        "base": base_revision(job, licences),
        "code": [tree_digest(SOURCE / "serving" / room, "*.py") for room in ("app", "release")],
    }

    def build(out: Path) -> None:
        build_package(
            bundle=bundle.path,
            base=job.base.folder,
            base_ref=job.base.folder.name if job.base.folder else job.base.repo,
            base_revision=base_revision(job, licences),
            verdict=verdict,
            notices=licences.path / "notices",
            settings=app_settings(job),
            out=out,
        )

    return told("package", make(home(), "package", inputs, build))


@task(name="deploy-app", cache_policy=NO_CACHE)
def deploy_app(job: Job, package: Artefact, bundle: Artefact, licences: Artefact, target: Target) -> dict[str, Any]:
    """Candidate, smoke test as another caller, promote; the release row. Nothing happens where the package is live already."""
    from serving.release.deploy import publish_package
    from serving.release.registry import Registry
    from serving.release.smoke import SmokePlan

    verdict = json.loads((licences.path / "verdict.json").read_text())
    prompts = [sample["prompt"] for sample in json.loads((bundle.path / "evaluation.json").read_text())["samples"]]
    plan = SmokePlan(arguments=[{"prompt": prompts[0], "seed": 1}], images=min(2, job.serving.max_images))
    with bar("deploy") as progress, closing(Registry(registry_url())) as registry, open_platform(target) as platform:
        release = publish_package(
            package.path,
            platform=platform,
            registry=registry,
            verdict_hash=verdict["hash"],
            smoke=plan,
            progress=lambda line: progress.update(0, note=line),
        )
    write_json(job_file(job.serving.app, target), job.model_dump(mode="json"))
    views.endpoint_link(release)
    say(f"✓ release     {release['app']} revision {release['revision']}")
    return release


@task(name="draft-listing", cache_policy=NO_CACHE)
def draft_listing(
    job: Job, release: dict[str, Any], package: Artefact, dataset: Artefact, bundle: Artefact, licences: Artefact, target: Target
) -> Artefact:
    """Gallery from the deployed app, then listing.json, page, card and the mail to fal."""
    from serving.listing.draft import draft_listing as draft
    from serving.listing.model import ListingTexts

    texts = ListingTexts(**job.listing.model_dump())
    inputs = {
        "package": release["package"],
        "revision": release["revision"],
        "target": target,
        "texts": asdict(texts),
        "code": tree_digest(SOURCE / "serving" / "listing"),
    }

    def write(out: Path) -> None:
        with bar("listing") as progress, open_platform(target) as platform:
            summary = draft(
                out,
                release=release,
                bundle=bundle.path,
                verdict=json.loads((licences.path / "verdict.json").read_text()),
                dataset=json.loads((dataset.path / "manifest.json").read_text()),
                texts=texts,
                settings=json.loads((package.path / "settings.json").read_text()),
                call=lambda arguments: platform.call(release["app"], arguments, key="caller"),
                progress=lambda line: progress.update(0, note=line),
            )
        (out / "summary.json").write_text(json.dumps(summary, sort_keys=True) + "\n")

    return told("listing", make(home(), "listing", inputs, write))


def with_report(prepare: Callable[[], object], out: Path) -> None:
    """Run `prepare`; where it refuses, keep its report of all findings, since the folder `out` goes."""
    try:
        prepare()
    except ValueError as error:
        report = out / "report.md"
        if not report.is_file():
            raise
        kept = home() / "work" / "dataset-report.md"
        kept.parent.mkdir(exist_ok=True)
        kept.write_text(report.read_text())
        error.args = (str(error).replace(str(report), str(kept)),)
        raise


def told(name: str, artefact: Artefact) -> Artefact:
    """Say in one line whether the step's work was done now or found."""
    say(f"{'=' if artefact.found else '✓'} {name:<11} {'found' if artefact.found else 'done '} {artefact.key[:12]}")
    return artefact


def training_inputs(job: Job, dataset: Artefact, licences: Artefact) -> dict[str, Any]:
    """What decides the adapter's weights: pictures, base, recipe and the training code."""
    return {
        "dataset": json.loads((dataset.path / "manifest.json").read_text())["hash"],
        "base": tree_digest(job.base.folder) if job.base.folder else [job.base.repo, base_revision(job, licences)],
        "recipe": job.training.model_dump(),
        "trigger": job.dataset.trigger,
        "code": tree_digest(SOURCE / "training", "*.py"),
    }


def write_config(job: Job, dataset: Artefact, licences: Artefact, path: Path) -> None:
    """The trainer's whole input, one JSON file."""
    config = job.training.model_dump() | {
        "base": str(job.base.folder) if job.base.folder else job.base.repo,
        "revision": base_revision(job, licences),
        "dataset": str(dataset.path),
        "cache": str(home() / "cache"),
        "trigger": job.dataset.trigger,
        "inference": job.inference.model_dump(),
        "threads": None,
    }
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")


def base_revision(job: Job, licences: Artefact) -> str | None:
    """The commit that the licence check read, so that what is trained on and what runs is what was judged."""
    if job.base.folder:
        return None
    nodes = json.loads((licences.path / "verdict.json").read_text())["nodes"]
    return next((node["revision"] for node in nodes if node["role"] == "base" and node["revision"]), job.base.pinned)
