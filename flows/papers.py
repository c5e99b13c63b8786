"""The papers of a package: notices, terms and the bill of materials, written from the verdict for what was made."""

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flows.job import Job
from flows.store import digest, file_digest

if TYPE_CHECKING:
    from licenses.papers import Work

WRITERS = ("notices.py", "papers.py", "fulfilment.py", "duties.py", "bom.py", "model_card.py", "attribution.py", "expression.py")


def require_fulfilled(job: Job, verdict: Mapping[str, Any]) -> None:
    """NoticesRefused, one line, where a duty could not be fulfilled by any training: before anything is downloaded or trained."""
    from licenses import fulfilment

    fulfilment.require_fulfilled(verdict, work=work_of(job, {}))


@contextmanager
def written(job: Job, bundle: Path, verdict: Mapping[str, Any], requirements: Sequence[str]) -> Iterator[Path]:
    """A folder with NOTICE, LICENSES/, what else is due, duties.json and bom.json, until the package has copied it.

    requirements: what the app's runner installs, pinned, for the bill of materials.
    """
    from licenses import bom, notices

    manifest, evaluation = (json.loads((bundle / name).read_text()) for name in ("manifest.json", "evaluation.json"))
    work = work_of(job, manifest)
    with tempfile.TemporaryDirectory(prefix="papers-") as scratch:
        notices.write(verdict, Path(scratch), work=work)
        bom.write(bom.bom(verdict, work, evaluation=evaluation, requirements=list(requirements)), Path(scratch))
        yield Path(scratch)


def code_digest() -> str:
    """sha256 over the code that writes papers; what a verdict says is in its own hash."""
    import licenses

    room = Path(licenses.__path__[0])
    return digest({name: file_digest(room / name) for name in WRITERS})


def work_of(job: Job, manifest: Mapping[str, Any]) -> "Work":
    """What is made, by the job, and by the bundle's manifest once there is one."""
    from licenses.papers import Work

    dataset = manifest.get("dataset") or {}
    return Work(
        app=job.serving.app,
        title=job.listing.title,
        publisher=str(job.publisher.get("name") or ""),
        scale=job.serving.scale,
        rank=manifest.get("rank"),
        pictures=dataset.get("train"),
        adapter_sha256=manifest.get("adapter_sha256", ""),
        adopted=(manifest.get("adopted") or {}).get("file", ""),
        family=manifest.get("family", ""),
        base_sha256=(manifest.get("base") or {}).get("weights_sha256", ""),
        dataset_sha256=dataset.get("hash", ""),
        adapter_license=str(job.publisher.get("adapter_license") or ""),
        image_checker=job.serving.safety == "required",
    )
