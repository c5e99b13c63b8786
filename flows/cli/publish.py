"""publish, and the same story step by step: train, package, deploy; the last step is in listing.py."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

if TYPE_CHECKING:
    from flows.job import Job
    from flows.publish import Until

Target = Literal["sandbox", "fal"]
JobFile = Annotated[Path, typer.Argument(help="job.yaml")]
Where = Annotated[Target, typer.Option(help="sandbox (on loopback) or fal.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask before the first call that costs.")]
Again = Annotated[bool, typer.Option("--again", help="Deploy a package that was rolled back once more.")]


def register(root: typer.Typer) -> None:
    for command in (publish, train, package, deploy):
        root.command()(command)


def publish(
    job: Annotated[Path | None, typer.Argument(help="job.yaml; may be left out with --adapter and --base")] = None,
    adapter: Annotated[Path | None, typer.Option(help="LoRA trained elsewhere (.safetensors), in place of training one.")] = None,
    base: Annotated[str | None, typer.Option(help="Base: folder or owner/name on the Hub; default is the job's.")] = None,
    target: Where = "sandbox",
    yes: Yes = False,
    again: Again = False,
) -> None:
    """From the pictures, or from an adapter, to a billed endpoint and a listing. What is done already is found, not redone.

    Example: lorasmith publish examples/emoji/job.yaml --target sandbox
    """
    from flows.cli.adopting import job_of
    from flows.cli.summary import print_summary

    loaded = allowed(job_of(job, adapter, base))
    ask_before_cost(target, yes)
    print_summary(run_flow(loaded, target, again=again))


def train(job: JobFile, target: Where = "sandbox", yes: Yes = False) -> None:
    """Licences, dataset, training, evaluation and gate; prints the folder of the adapter. The target has the machine it rents.

    Example: lorasmith train examples/emoji/job.yaml
    """
    loaded = preflight(job)
    ask_before_renting(loaded, target, yes)
    print(run_flow(loaded, target, until="gate")["bundle"])


def package(job: JobFile, target: Where = "sandbox", yes: Yes = False) -> None:
    """All up to the folder that runs on the platform; prints it.

    Example: lorasmith package examples/emoji/job.yaml
    """
    loaded = preflight(job)
    ask_before_renting(loaded, target, yes)
    print(run_flow(loaded, target, until="package")["package"])


def deploy(job: JobFile, target: Where = "sandbox", yes: Yes = False, again: Again = False) -> None:
    """All up to the live release; prints its address.

    Example: lorasmith deploy examples/emoji/job.yaml --target sandbox
    """
    loaded = preflight(job)
    ask_before_cost(target, yes)
    print(run_flow(loaded, target, until="deploy", again=again)["release"]["urls"]["run"])


def preflight(path: Path) -> "Job":
    """The job in a file, once its licences allow it."""
    from flows.job_file import load_job

    return allowed(load_job(path))


def allowed(job: "Job") -> "Job":
    """The job, once its licences allow it: before Prefect is imported, before anything is downloaded."""
    from flows import papers
    from flows.acceleration import require_possible
    from flows.licensing import rights
    from flows.money.sizing import require_machine
    from flows.progress import say
    from flows.settings import require_usable

    verdict = rights.answered_verdict_of(job)
    if not rights.is_allowed(verdict):
        say(f"license report: {rights.keep_report(verdict).path / 'report.html'}")
    rights.require_allowed(verdict)
    papers.require_fulfilled(job, verdict)
    require_usable(job)
    require_machine(job)
    require_possible(job)
    return job


def run_flow(job: "Job", target: Target = "sandbox", until: "Until" = "listing", again: bool = False) -> dict[str, Any]:
    """The publish flow, against the Prefect server of PREFECT_API_URL or a temporary one."""
    from flows.cli.server import prefect_ready

    require_pool_server(job)
    with prefect_ready():
        from flows.publish import publish

        return publish(job, target, until, again)


def require_pool_server(job: "Job") -> None:
    """JobError where the training is for a pool and there is no server that could have one: a temporary one has no workers."""
    from flows.errors import JobError
    from flows.machines.placing import Pool, place
    from flows.orchestration.prefect_api import address

    if isinstance(place(job.compute, deployed=False), Pool) and address() is None:
        raise JobError(
            "compute: pool, and no Prefect server is up in this home or named in PREFECT_API_URL: `lorasmith server up` and "
            "`lorasmith worker up --pool gpu` start what it needs; or set compute: here"
        )


def ask_before_cost(target: Target, yes: bool) -> None:
    """On fal, deploying and the smoke test cost money: ask, or be told --yes."""
    from flows.cli.asking import require_agreed
    from flows.targets import open_platform

    if target != "fal":
        return
    open_platform(target).close()  # refuses a missing or malformed key; nothing is called yet
    require_agreed("Deploying to fal and testing there costs money. Go on?", yes, otherwise="not deployed")


def ask_before_renting(job: "Job", target: Target, yes: bool) -> None:
    """A training on fal's machines costs money, before anything is deployed there."""
    from flows.cli.asking import require_agreed
    from flows.machines.placing import Remote, place
    from flows.targets import open_platform

    if target == "fal" and isinstance(place(job.compute, deployed=False), Remote):
        open_platform(target).close()  # refuses a missing or malformed key; nothing is called yet
        require_agreed("Training on fal's machines costs money. Go on?", yes, otherwise="not trained")
