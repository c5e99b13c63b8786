"""The first job file: what can be known from the pictures and the base is filled in, the rest says what belongs there."""

import json
import os
import re
import shlex
from pathlib import Path

from flows.errors import JobError
from flows.job_values import HUB_REF
from training.data.scan import SUFFIXES, find

TEMPLATE = """\
# lorasmith publish {command}          (every field: lorasmith job schema)
name: {name}
base:
  ref: {base}
dataset:
  path: {pictures}
{trigger}  held_out: {held_out}         # pictures kept from training, to measure on
publisher:               # what the licence check may rely on; what is left out counts against you
  territories: [WORLD]
  # revenue_usd_ttm: 0
training:
  resolution: 1024
  steps: 1500
  rank: 16
inference:
  steps: 28
  guidance_scale: 4.0
gate:
  min_held_out: {held_out}     # 20 or more make a judgement that holds
"""

OFFER = """\
serving:
  app: {name}
  machine_type: GPU-H100
listing:
  title: {title}
  short_description: ""  # up to 160 characters
  sender: ""             # From of the mail to fal
  recipient: ""          # To of the mail to fal
  support: ""
"""

DATASET = """\
# What may be done with these pictures. Without a licence nothing is trained.
license: ""              # SPDX or Hub id, or: own (made by you)
source: ""
persons: none            # none, consented, identifiable
consent: false
"""


def write_job(pictures: Path, base: str, out: Path, *, trigger: str | None, force: bool) -> str:
    """Write job.yaml, and dataset.yaml beside the pictures where none is; returns what to do next."""
    if not pictures.is_dir():
        raise JobError(f"{pictures}: no such folder; give the folder that holds the pictures")
    found = [item for item in find(pictures) if item.path.suffix.lower() in SUFFIXES]  # others are refused by name
    if not found:
        raise JobError(f"{pictures}: no pictures in it or below; looked for {', '.join(sorted(SUFFIXES))}")
    if out.exists() and not force:
        raise JobError(f"{out}: is there already; name another with --out, or replace it with --force")
    if not Path(base).is_dir() and not HUB_REF.match(base):
        raise JobError(f"--base {base}: neither a folder nor owner/name on the Hub")
    name = re.sub(r"[^a-z0-9]+", "-", pictures.resolve().name.lower())[:60].strip("-") or "my-lora"
    text = (TEMPLATE + OFFER).format(
        command=shlex.quote(out.name),
        name=json.dumps(name),
        base=json.dumps(relative(Path(base), out) if Path(base).is_dir() else base),
        pictures=json.dumps(relative(pictures, out), ensure_ascii=False),
        trigger=f"  trigger: {json.dumps(trigger, ensure_ascii=False)}\n" if trigger else "",
        held_out=max(1, min(20, len(found) // 5)),
        title=json.dumps(name.replace("-", " ").capitalize()),
    )
    write_first(out, text, pictures)
    licence = pictures / "dataset.yaml"
    return (
        f"{out} for {len(found)} pictures. Next: say in {licence} what they may be used for, fill in `listing`, "
        f"then lorasmith publish {shlex.quote(str(out))}"
    )


def write_first(file: Path, text: str, pictures: Path) -> None:
    """The job file, whole or not at all, and dataset.yaml beside the pictures where none is."""
    file.parent.mkdir(parents=True, exist_ok=True)
    scratch = file.with_name(f".{file.name}.part")
    scratch.write_text(text, encoding="utf-8")
    os.replace(scratch, file)
    pictures.mkdir(exist_ok=True)
    if not (pictures / "dataset.yaml").exists():
        (pictures / "dataset.yaml").write_text(DATASET, encoding="utf-8")


def relative(path: Path, job: Path) -> str:
    """The path as the job file would say it: ./ or ../ from its folder."""
    text = os.path.relpath(path.resolve(), job.resolve().parent)
    return text if text.startswith("..") else f"./{text}"
