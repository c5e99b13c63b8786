"""publish --adapter: the job of an adapter that was trained elsewhere, from a job file, from options, or a first one to fill in."""

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flows.errors import JobError

if TYPE_CHECKING:
    from flows.job import Job

TEMPLATE = """\
# lorasmith publish --adapter {adapter} --base {base}          (every field: lorasmith job schema)
name: {name}
base:
  ref: {base}
adapter:
  path: {adapter}
  license: ""            # own where you made it, else an SPDX id with its text beside the file as LICENSE
dataset:
  path: {pictures}       # pictures that the adapter has not seen, with captions; dataset.yaml says what it was trained on
{trigger}publisher:               # what the licence check may rely on; what is left out counts against you
  territories: [WORLD]
training:
  resolution: {resolution}       # side of the pictures that it is measured on
inference:
  steps: 28
  guidance_scale: 4.0
"""


def job_of(file: Path | None, adapter: Path | None, base: str | None) -> "Job":
    """The job in `file`, with this adapter and base where they are given; without a file, the one written for the adapter before.

    JobError where there is neither, and where a first job file was written now, which says what to fill in.
    """
    from flows.job_file import load_job

    if file is None:
        if adapter is None or base is None:
            raise JobError("give a job.yaml, or --adapter FILE and --base FOLDER_OR_REPO")
        file = Path(f"{adapter.stem}.job.yaml")
        if not file.exists():
            first_job(file, adapter, base)
            pictures = f"{name_of(adapter)}-pictures"
            raise JobError(f"{file} written: fill in adapter.license, listing and {pictures}/dataset.yaml, then run this again")
    changes: dict[str, dict[str, Any]] = {}
    if adapter:
        changes["adapter"] = {"path": str(adapter.expanduser().resolve())}
    if base:
        changes["base"] = {"ref": str(Path(base).expanduser().resolve()) if Path(base).expanduser().is_dir() else base}
    return load_job(file, changes)


def first_job(file: Path, adapter: Path, base: str) -> None:
    """Write a job file, and dataset.yaml where the pictures belong; what the adapter's header tells is filled in."""
    from flows.cli.starter import OFFER, relative, write_first
    from training.metadata import metadata_of

    said = metadata_of(adapter)
    name, trigger = name_of(adapter), said.get("modelspec.trigger_phrase")
    resolution = re.match(r"\(?(\d{2,4})", said.get("modelspec.resolution") or said.get("ss_resolution") or "")
    pictures = file.with_name(f"{name}-pictures")
    text = (TEMPLATE + OFFER).format(
        adapter=json.dumps(relative(adapter, file), ensure_ascii=False),
        base=json.dumps(relative(Path(base), file) if Path(base).is_dir() else base),
        name=json.dumps(name),
        pictures=json.dumps(relative(pictures, file)),
        trigger=f"  trigger: {json.dumps(trigger, ensure_ascii=False)}\n" if trigger else "",
        resolution=int(resolution[1]) if resolution else 1024,
        title=json.dumps((said.get("modelspec.title") or name.replace("-", " ").capitalize())[:60], ensure_ascii=False),
    )
    write_first(file, text, pictures)


def name_of(adapter: Path) -> str:
    """A name for job and app, from the file's."""
    return re.sub(r"[^a-z0-9]+", "-", adapter.stem.lower())[:50].strip("-") or "my-lora"
