"""Two tasks around the adapter: taking over one that was trained elsewhere, and sealing the bundle once the gate has decided."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prefect import task
from prefect.cache_policies import NO_CACHE

from flows.errors import GateRejected
from flows.home import home
from flows.job import Job
from flows.machines.compute import launch_trainer
from flows.progress import bar
from flows.step_inputs import SOURCE, training_inputs, write_config
from flows.steps import told, train_adapter
from flows.store import SEAL, Artefact, digest, file_digest, make, tree_digest
from flows.targets import Target

if TYPE_CHECKING:
    from training.gate import GateDecision


def require_pictures(job: Job) -> None:
    """GateRejected where an adapter from elsewhere comes without a picture to measure it on: what is unmeasured is refused."""
    from training.data.scan import find

    folder = Path(job.dataset.path)
    if job.adapter and isinstance(job.dataset.held_out, int) and folder.is_dir() and not find(folder):
        raise GateRejected(
            f"the adapter was not accepted: nothing was measured, since {folder} holds no pictures; put some there that it has not "
            f"seen, with captions: {job.gate.min_held_out}, or a few with gate.require_learned: false"
        )


def adapter_of(job: Job, dataset: Artefact, licences: Artefact, target: Target) -> Artefact:
    """The job's adapter, taken over or trained; `target` is where a machine is rented for that."""
    return adopt_adapter(job, dataset, licences) if job.adapter else train_adapter(job, dataset, licences, target)


@task(name="adopt-adapter", cache_policy=NO_CACHE)
def adopt_adapter(job: Job, dataset: Artefact, licences: Artefact) -> Artefact:
    """The job's adapter file as what a training leaves; refused where its keys or shapes are not the base's."""
    assert job.adapter
    file, inputs = job.adapter.file, adapter_inputs(job, dataset, licences)
    work = home() / "work" / digest(inputs)[:16]

    def adopt(out: Path) -> None:
        work.mkdir(parents=True, exist_ok=True)
        write_config(job, dataset, licences, work / "config.json")
        with bar("adopt") as progress:
            events = work / "adopt.jsonl"
            arguments = ["adopt", "--config", str(work / "config.json"), "--adapter", str(file), "--out", str(out)]
            launch_trainer([*arguments, "--events", str(events)], events=events, log=work / "adopt.log", bar=progress)

    return told("adapter", make(home(), "adapter", inputs, adopt))


def adapter_inputs(job: Job, dataset: Artefact, licences: Artefact) -> dict[str, Any]:
    """What decides the adapter of a job, trained or taken over."""
    inputs = training_inputs(job, dataset, licences)
    if job.adapter is None:
        return inputs
    file = job.adapter.file
    return inputs | {"adapter": file_digest(file), "name": file.name}


@task(name="seal-bundle", cache_policy=NO_CACHE)
def seal_bundle(job: Job, bundle: Artefact, licences: Artefact, decision: "GateDecision") -> Artefact:
    """The evaluated bundle with gate, licence verdict and job in the header of its adapter files; tensors stay as they are."""
    from dataclasses import asdict

    from training.export_bundle import seal

    said = provenance(job, bundle, licences, decision)
    inputs = {"evaluated": bundle.key, "said": asdict(said), "code": tree_digest(SOURCE / "training", "export*.py")}
    judged_against = json.loads((bundle.path.parent / SEAL).read_text())["inputs"].get("champion")
    inputs |= {"champion": judged_against} if judged_against else {}
    return told("bundle", make(home(), "bundle", inputs, lambda out: seal(bundle.path, out, said)))


def provenance(job: Job, bundle: Artefact, licences: Artefact, decision: "GateDecision") -> Any:
    """What the metadata says of job, licence and gate."""
    from training.export_metadata import Provenance

    return Provenance(
        job=job_digest(job, bundle),
        license_verdict=json.loads((licences.path / "verdict.json").read_text())["hash"],
        gate={"outcome": decision.outcome, "sentence": decision.sentence, "learned_required": job.gate.require_learned},
        title=job.name,  # texts of the listing may change without a new release
        license=job.publisher.get("adapter_license"),
    )


def job_digest(job: Job, bundle: Artefact) -> str:
    """sha256 over what of the job decides the adapter and its judgement; places on this disk and texts of the listing do not."""
    manifest = json.loads((bundle.path / "manifest.json").read_text())
    return digest(
        {
            "base": manifest["base"],
            "dataset": manifest["dataset"]["hash"],
            "adapter": (manifest.get("adopted") or {}).get("sha256"),
            "training": job.training.model_dump(),
            "trigger": job.dataset.trigger,
            "inference": job.inference.model_dump(),
            "gate": job.gate.model_dump(),
        }
    )
