"""hub: the adapter to the Hugging Face Hub, and what a job needs from there."""

import json
from pathlib import Path
from typing import Annotated, Literal

import typer

app = typer.Typer(help="Push an adapter to the Hugging Face Hub where the licences allow it; pull a base, a dataset or an adapter.")


@app.command()
def push(
    job: Annotated[Path, typer.Argument(help="job.yaml")],
    repo: Annotated[str | None, typer.Option(help="owner/name; default is hub.repo of the job.")] = None,
    public: Annotated[bool, typer.Option("--public/--private", help="How it is made, where it is not there.")] = False,
    target: Annotated[Literal["sandbox", "fal"], typer.Option(help="Whose live adapter the gate compares with.")] = "sandbox",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Also where the card was edited on the Hub.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Weights, card and papers in one commit; what is there already is not sent again. HF_TOKEN must be able to write there.

    Example: lorasmith hub push job.yaml --repo me/my-style
    """
    from pydantic import ValidationError

    from flows.cli.asking import require_agreed
    from flows.cli.server import prefect_ready
    from flows.errors import JobError
    from flows.hub import HubTarget, require_distributable
    from flows.job_file import load_job
    from flows.licensing.rights import verdict_of

    loaded = load_job(job)
    try:
        to = HubTarget(repo=repo, private=not public) if repo else loaded.hub
    except ValidationError:
        raise JobError(f"--repo: got {repo!r}; write owner/name") from None
    if to is None:
        raise JobError("no repository: give --repo owner/name, or set hub.repo in the job")
    require_distributable(loaded, verdict_of(loaded))
    require_agreed(f"Bring the adapter of {loaded.name} to {to.repo}?", yes, otherwise="nothing was pushed")
    with prefect_ready():
        from flows.share import share

        done = share(loaded, to, target, overwrite)
    print(json.dumps(done, indent=2) if as_json else f"{done['url']} at {done['commit']}")


@app.command()
def pull(
    ref: Annotated[str, typer.Argument(help="hf://owner/name@revision, or owner/name")],
    kind: Annotated[Literal["base", "dataset", "adapter"], typer.Option(help="What it is.")] = "base",
) -> None:
    """Bring it to the Hub's cache, of which jobs with the same reference read; a pull that broke off goes on where it was.

    Example: lorasmith hub pull hf://owner/pictures@main --kind dataset
    """
    from flows.hub import pulled

    print(pulled(ref, kind))
