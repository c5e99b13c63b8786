"""What decides what a step makes, as data for the store's key, and as the trainer's own input: the same job, the same key."""

import json
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flows.datasets import options_of, source_of
from flows.home import home
from flows.job import Job
from flows.store import Artefact, digest, file_digest, tree_digest

if TYPE_CHECKING:
    from training.config import DatasetOptions

SOURCE = Path(__file__).resolve().parent.parent
ALL = 10**9  # pictures to hold out, where all are


def training_inputs(job: Job, dataset: Artefact, licences: Artefact) -> dict[str, Any]:
    """What decides the adapter's weights: pictures, base, recipe and the training code."""
    return {"dataset": json.loads((dataset.path / "manifest.json").read_text())["hash"], **recipe_inputs(job, licences)}


def recipe_inputs(job: Job, licences: Artefact) -> dict[str, Any]:
    """The same without the pictures."""
    return {
        "base": base_digest(job.base.folder) if job.base.folder else [job.base.repo, base_revision(job, licences)],
        "recipe": job.training.model_dump(),
        "trigger": job.dataset.trigger,
        "code": tree_digest(SOURCE / "training", "*.py"),
    }


def twin_inputs(job: Job, dataset: Artefact, adapter: Artefact, licences: Artefact) -> dict[str, Any] | None:
    """What decides the second training; None where none is needed."""
    record = json.loads((adapter.path / "training.json").read_text())
    if record.get("repeats", True) or not job.gate.beat_champion or job.gate.noise_floor is not None:
        return None
    return training_inputs(job, dataset, licences) | {"twin": 1}


def evaluation_inputs(job: Job, adapter: str, others: Mapping[str, str]) -> dict[str, Any]:
    """What decides an evaluation: the keys of the adapter and of those it is compared with, how it is drawn and who judges."""
    from training.scores import fingerprint

    return {
        "adapter": adapter,
        **others,
        "inference": job.inference.model_dump(),
        "scorers": {name: fingerprint(ref) for name, ref in job.evaluation.model_dump().items()},
        "code": tree_digest(SOURCE / "training", "*.py"),
    }


def dataset_of(job: Job, licences: Artefact) -> "tuple[Path | str, DatasetOptions]":
    """Where the job's pictures are, and how they are judged."""
    options = options_of(job, base_revision(job, licences))
    if job.adapter:  # nothing is trained: without a folder of their own, all pictures are held out
        options = replace(options, held_out=ALL if isinstance(options.held_out, int) else options.held_out, minimum=0)
    return source_of(job, revision_of("dataset", licences)), options


def write_config(job: Job, dataset: Artefact, licences: Artefact, path: Path) -> None:
    """The trainer's whole input, one JSON file."""
    config = job.training.model_dump() | {
        "base": str(job.base.folder) if job.base.folder else job.base.repo,
        "revision": base_revision(job, licences),
        "dataset": str(dataset.path),
        "cache": str(home() / "cache"),
        "trigger": job.dataset.trigger,
        "inference": job.inference.model_dump(),
        "evaluation": job.evaluation.model_dump(),
        "threads": None,
    }
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")


def base_digest(folder: Path) -> str:
    """sha256 over what the base computes with: an edit of its README is for the licence check, not for the training."""
    from training.base_files import deciding_files

    files = deciding_files(folder)
    return digest({name: known_digest(path, path.stat().st_size, path.stat().st_mtime_ns) for name, path in files.items()})


@cache
def known_digest(path: Path, _size: int, _changed: int) -> str:
    """sha256 of a large file, read once a process while it stays as it is."""
    return file_digest(path)


def base_revision(job: Job, licences: Artefact) -> str | None:
    """The commit that the licence check read, so that what is trained on and what runs is what was judged."""
    if job.base.folder:
        return None
    return revision_of("base", licences) or job.base.pinned


def revision_of(role: str, licences: Artefact) -> str | None:
    """The commit of the first asset in a role that the licence check read on the Hub."""
    nodes = json.loads((licences.path / "verdict.json").read_text())["nodes"]
    return next((node["revision"] for node in nodes if node["role"] == role and node["revision"]), None)
