"""init and the commands of the job file: how it comes to be, whether it is fine, what a deployment takes of it."""

import json
from pathlib import Path
from typing import Annotated, Literal

import typer

app = typer.Typer(help="The job file.", no_args_is_help=True)


def register(root: typer.Typer) -> None:
    root.command()(init)


@app.command()
def schema() -> None:
    """Print the JSON Schema of job.yaml.

    Example: lorasmith job schema > job.schema.json
    """
    from flows.job import job_schema

    print(json.dumps(job_schema(), indent=2))


@app.command()
def check(file: Annotated[Path, typer.Argument(help="job.yaml")]) -> None:
    """Read a job file and say whether it would be accepted.

    Example: lorasmith job check job.yaml
    """
    from flows.job_file import load_job

    print(f"{file}: fine ({load_job(file).name})")


@app.command()
def params(
    file: Annotated[Path, typer.Argument(help="job.yaml")],
    target: Annotated[Literal["sandbox", "fal"], typer.Option(help="sandbox (on loopback) or fal.")] = "sandbox",
    again: Annotated[bool, typer.Option("--again", help="Deploy a package that was rolled back once more.")] = False,
) -> None:
    """Print the parameters for `prefect deployment run publish/publish --params`: the job as JSON, its paths made absolute.

    Example: lorasmith job params job.yaml --target sandbox
    """
    from flows.job_file import load_job

    given: dict[str, object] = {"job": load_job(file).model_dump(mode="json", exclude_unset=True), "target": target}
    print(json.dumps(given | ({"again": True} if again else {})))


def init(
    pictures: Annotated[Path, typer.Argument(help="Folder of pictures.")],
    base: Annotated[str, typer.Option(help="Base: folder or owner/name on the Hub.")],
    out: Annotated[Path, typer.Option(help="Job file to write.")] = Path("job.yaml"),
    trigger: Annotated[str | None, typer.Option(help="Word that calls the adapter.")] = None,
    force: Annotated[bool, typer.Option(help="Replace a job file that is there.")] = False,
) -> None:
    """Write a job file for a folder of pictures and a base.

    Example: lorasmith init my-pictures --base black-forest-labs/FLUX.2-klein-base-4B --trigger mystyle
    """
    from flows.cli.starter import write_job

    print(write_job(pictures, base, out, trigger=trigger, force=force))
