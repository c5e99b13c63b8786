"""A live release as publish leaves it, made in a moment: artefacts sealed under the real inputs, which hold next to nothing."""

import json
import shutil
from contextlib import closing
from pathlib import Path
from typing import Any

import yaml

from flows import papers
from flows.adapter_steps import adapter_inputs
from flows.datasets import inputs_of
from flows.home import home
from flows.job import Job
from flows.job_file import load_job
from flows.licensing import rights
from flows.retraining.snapshots import requirements_of, serving_code_now
from flows.step_inputs import SOURCE, dataset_of, evaluation_inputs
from flows.store import Artefact, digest, file_digest, make
from flows.targets import keep_job, registry_url
from serving.release.registry import Registry

EMOJI = SOURCE / "examples" / "emoji"
LOSSES = {"base": 0.5, "adapter": 0.4, "relative": -0.2}


def toy_job(folder: Path, name: str = "toy", **changes: Any) -> Job:
    """A job on the embedded base with three pictures of its own in folder/<name>; `changes` by section."""
    pictures, file = folder / name, folder / f"{name}.yaml"
    raw = yaml.safe_load((EMOJI / "job.yaml").read_text())
    raw |= {"name": name, "base": {"ref": str(SOURCE / "examples" / "base")}}
    raw["dataset"] |= {"path": str(pictures), "held_out": str(EMOJI / "held_out")}
    raw["serving"]["app"] = name
    if not pictures.exists():
        pictures.mkdir()
        for picture in sorted((EMOJI / "pictures").glob("*.webp"))[:3]:
            shutil.copy(picture, pictures)
            shutil.copy(picture.with_suffix(".txt"), pictures)
        shutil.copy(EMOJI / "pictures" / "dataset.yaml", pictures)
    for section, fields in changes.items():
        raw[section] = (raw.get(section) or {}) | fields
    file.write_text(yaml.safe_dump(raw))
    return load_job(file)


def release(job: Job, target: str = "sandbox") -> dict[str, Any]:
    """The live row of a package that was made from the job as it is."""
    licences = rights.keep_report(rights.verdict_of(job))
    package = packaged(job, bundled(job, licences), licences)
    hash = json.loads((package.path / "package.json").read_text())["hash"]
    verdict = json.loads((licences.path / "verdict.json").read_text())["hash"]
    with closing(Registry(registry_url())) as registry:
        known = registry.by_package(job.serving.app, hash, target)
        if known and known["state"] == "live":
            keep_job(job, known)
            return known
        row = registry.insert_intent(app=job.serving.app, package=hash, target=target, verdict_hash=verdict)
        registry.advance(row["id"], "candidate", candidate_revision="c")
        row = registry.advance(row["id"], "live", revision=f"r-{hash[:6]}", urls={"run": "https://127.0.0.1/toy"})
    keep_job(job, row)
    return row


def bundled(job: Job, licences: Artefact) -> Artefact:
    """The sealed bundle of a job, over a dataset, an adapter and an evaluation."""
    pictures = inputs_of(*dataset_of(job, licences), SOURCE / "training" / "data")
    dataset = made("dataset", pictures, {"manifest.json": {"hash": digest([pictures["pictures"], pictures["held_out"]])}})
    adapter = made("adapter", adapter_inputs(job, dataset, licences), {"training.json": {"repeats": True}})
    about = {"of": adapter.key, "dataset": {"hash": dataset.key}}
    evaluated = made("bundle", evaluation_inputs(job, adapter.key, {}), {"manifest.json": about})
    return made(
        "bundle", {"evaluated": evaluated.key}, {"manifest.json": about | {"sealed": True}, "evaluation.json": evaluation()}
    )


def packaged(job: Job, bundle: Artefact, licences: Artefact) -> Artefact:
    inputs = {
        "bundle": file_digest(bundle.path / "manifest.json"),
        "verdict": json.loads((licences.path / "verdict.json").read_text())["hash"],
        "settings": job.serving.model_dump(mode="json"),
        "code": serving_code_now(),
        "papers": papers.code_digest(),
        "requirements": requirements_of(job),
    }
    return made("package", inputs, {"package.json": {"name": job.serving.app, "hash": digest(inputs)}})


def made(kind: str, inputs: dict[str, Any], files: dict[str, Any]) -> Artefact:
    def build(out: Path) -> None:
        for name, content in files.items():
            (out / name).write_text(json.dumps(content))

    return make(home(), kind, inputs, build)


def evaluation(**changes: Any) -> dict[str, Any]:
    return {"held_out": 20, "loss": LOSSES, "champion": None, "scores": {}} | changes
