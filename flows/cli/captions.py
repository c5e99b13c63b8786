"""captions: what is trained for each picture, and what is wrong with it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from training.config import DatasetOptions

JOB_FILES = {".yaml", ".yml", ".json"}


def register(root: typer.Typer) -> None:
    root.command()(captions)


def captions(
    source: Annotated[str, typer.Argument(help="Folder or zip of pictures, hf://owner/name@revision, or a job.yaml.")],
    check: Annotated[
        bool, typer.Option("--check", help="Print what is wrong, file by file; exit 2 where there are errors.")
    ] = False,
    trigger: Annotated[str | None, typer.Option(help="Word that calls the adapter, where no job says it.")] = None,
    template: Annotated[str | None, typer.Option(help="Such as '{trigger}, {caption}', where no job says it.")] = None,
) -> None:
    """Print the caption of each picture as it will be trained, or what is wrong with it.

    Example: lorasmith captions --check examples/emoji/job.yaml
    """
    from training.data.lint import lint

    place, options = asked(source, trigger, template)
    found = lint(place, options)
    if not check:
        for name, text in found.captions.items():
            print(f"{name}: {text}")
        return
    for finding in found.findings:
        print(f"{finding.file}: {finding.level}: {finding.code}: {finding.message}")
    warnings = len(found.findings) - found.errors
    print(f"{len(found.captions)} captions: {found.errors} errors, {warnings} warnings")
    raise typer.Exit(2 if found.errors else 0)


def asked(source: str, trigger: str | None, template: str | None) -> "tuple[Path | str, DatasetOptions]":
    """Where the pictures are and under which rules: as a job says, or as the options do."""
    from flows.datasets import options_of, source_of
    from flows.errors import JobError
    from flows.job_file import load_job
    from training.config import DatasetOptions
    from training.data.captions import TEMPLATE

    if Path(source).suffix.lower() in JOB_FILES:
        if trigger or template:
            raise JobError(f"{source}: the job says its trigger and template; change them there and leave the options out")
        job = load_job(Path(source))
        return source_of(job, None), options_of(job, job.base.pinned)
    place = source if source.startswith("hf://") else Path(source)
    return place, DatasetOptions(resolution=1024, held_out=0, trigger=trigger, template=template or TEMPLATE)
