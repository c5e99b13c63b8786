"""What decides a release, read off the artefacts of the one that is live, and reckoned for its job as things stand.

Every part is what a step of publish hashes, by the step's own function: a part that differs is one that publish would make anew.
Nothing is trained, deployed, or called on the platform, and torch is not loaded.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flows import papers
from flows.adapter_steps import adapter_inputs
from flows.champion import built, made_from, released_from
from flows.datasets import inputs_of
from flows.home import home
from flows.job import Job
from flows.licensing import rights
from flows.retraining.policy import Snapshot
from flows.settings import app_settings
from flows.step_inputs import SOURCE, dataset_of, evaluation_inputs, recipe_inputs
from flows.store import CONTENT, SEAL, Artefact, digest, file_digest, find, tree_digest
from flows.targets import kept_job

PICTURES = ("pictures", "held_out")


@dataclass(frozen=True, kw_only=True, slots=True)
class Present:
    """How things stand: the snapshot, the key of the dataset as it would be prepared, and whether its adapter is there already."""

    snapshot: Snapshot
    dataset: str
    trained: bool


def on_record(release: Mapping[str, Any], dataset_key: str) -> Snapshot | None:
    """What the live release was made from; None where its artefacts are not on this disk.

    dataset_key: of the dataset as it would be prepared now; of several that were prepared alike, this one is compared with.
    """
    bundle, job = released_from(release["package"]), kept_job(release)
    if bundle is None or job is None:
        return None
    package, sealed = made_from(built(release["package"])[0]), made_from(bundle.path.parent)
    evaluation = _made_from("bundle", sealed["evaluated"])
    adapter = _made_from("adapter", evaluation.get("adapter", ""))
    dataset = _dataset_of(adapter.get("dataset"), dataset_key)
    return Snapshot(
        **_dataset_parts(dataset),
        **_adapter_parts(adapter),
        licences=package["verdict"],
        evaluation=_evaluation_part(evaluation),
        **_job_parts(job),
        serving_code=digest([package[name] for name in ("code", "papers", "requirements")]),
    )


def at_present(job: Job, licences: Artefact) -> Present:
    """The same for a job now. `licences`: today's verdict, as licences_now has it."""
    dataset = inputs_of(*dataset_of(job, licences), SOURCE / "training" / "data")
    prepared = find(home(), "dataset", digest(dataset))
    adapter = adapter_inputs(job, prepared, licences) if prepared else _without_pictures(job, licences)
    snapshot = Snapshot(
        **_dataset_parts(dataset),
        **_adapter_parts(adapter),
        licences=json.loads((licences.path / "verdict.json").read_text())["hash"],
        evaluation=_evaluation_part(evaluation_inputs(job, "", {})),
        **_job_parts(job.model_dump(mode="json")),
        serving_code=digest([serving_code_now(), papers.code_digest(), requirements_of(job)]),
    )
    trained = prepared is not None and find(home(), "adapter", digest(adapter)) is not None
    return Present(snapshot=snapshot, dataset=digest(dataset), trained=trained)


def licences_now(job: Job) -> Artefact:
    """Today's verdict of the job, kept as publish keeps it; LicenceBlocked where it bars the job."""
    verdict = rights.verdict_of(job)
    kept = rights.keep_report(verdict)
    rights.require_allowed(verdict)
    return kept


def _without_pictures(job: Job, licences: Artefact) -> dict[str, Any]:
    return recipe_inputs(job, licences) | ({"adapter": file_digest(Path(job.adapter.path))} if job.adapter else {})


def _dataset_parts(inputs: Mapping[str, Any]) -> dict[str, str | None]:
    if not inputs:
        return {"pictures": None, "rules": None}
    rules = {name: value for name, value in inputs.items() if name not in PICTURES}
    return {"pictures": digest([inputs[name] for name in PICTURES]), "rules": digest(rules)}


def _adapter_parts(inputs: Mapping[str, Any]) -> dict[str, str | None]:
    if not inputs:
        return dict.fromkeys(("base", "recipe", "training_code", "adapter"))
    return {
        "base": digest(inputs["base"]),
        "recipe": digest([inputs["recipe"], inputs["trigger"]]),
        "training_code": inputs["code"],
        "adapter": inputs.get("adapter"),
    }


def _evaluation_part(inputs: Mapping[str, Any]) -> str | None:
    return digest([inputs["inference"], inputs["scorers"]]) if inputs else None


def _job_parts(job: Mapping[str, Any]) -> dict[str, str]:
    """What of a job, as JSON, decides the gate, the app and its page."""
    publisher = job["publisher"]
    served = [job["serving"], publisher.get("adapter_license"), publisher.get("name")]
    return {"gate": digest(job["gate"]), "serving": digest(served), "listing": digest(job["listing"])}


def serving_code_now() -> list[str]:
    return [tree_digest(SOURCE / "serving" / room) for room in ("app", "release")]


def requirements_of(job: Job) -> list[str]:
    from serving.release.app_toml import requirements

    return requirements(app_settings(job))


def _dataset_of(hash: str | None, preferred: str) -> dict[str, Any]:
    """What the dataset of this content was prepared from; of several the preferred one, else the one used last."""
    sealed = (home() / "store" / "dataset").glob(f"*/{SEAL}")
    alike = [path.parent for path in sealed if _hash_of(path.parent) == hash]
    if not alike:
        return {}
    return made_from(max(alike, key=lambda folder: (folder.name == preferred, folder.stat().st_mtime)))


def _hash_of(dataset: Path) -> str | None:
    manifest = dataset / CONTENT / "manifest.json"
    return json.loads(manifest.read_text()).get("hash") if manifest.is_file() else None


def _made_from(kind: str, key: str) -> dict[str, Any]:
    """Inputs of an artefact; none where it is gone."""
    folder = home() / "store" / kind / key
    return made_from(folder) if key and (folder / SEAL).is_file() else {}
