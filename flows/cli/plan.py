"""plan: what a job would ask of each GPU, before anything is downloaded."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from flows.job import Job
    from training.forecast import Outlook, Study

GIB = 2**30
NOTES = (
    "memory is counted from the base's configs; time is operations over the GPU's peak, times what published trainers reach;\n"
    "hours are those of the training steps alone. USD at fal's lowest to list rate as last seen; - where no rate was seen."
)


def register(root: typer.Typer) -> None:
    root.command()(plan)


def plan(
    file: Annotated[Path, typer.Argument(help="job.yaml")],
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Say on which GPUs a job fits, how long it would take there and what it would cost. Nothing is downloaded or written.

    Of a base that is neither here nor known, the config.json files are read from the Hub. Nothing is judged: exit 0 also where the
    licences bar the job.

    Example: lorasmith plan examples/emoji/job.yaml
    """
    from flows.job_file import load_job

    job = load_job(file)
    counted, outlooks = forecasted(job)
    record = described(job, counted, outlooks)
    print(json.dumps(record, indent=2) if as_json else "\n".join(lines(record)))


def forecasted(job: "Job") -> "tuple[Study, list[Outlook]]":
    """The job's base and recipe, counted, and what they ask of each GPU."""
    from training.forecast import anatomy_of, forecast, study

    ref = str(job.base.folder) if job.base.folder else job.base.repo
    counted = study(anatomy_of(ref, job.base.pinned), job.training)
    return counted, forecast(counted, job.training)


def described(job: "Job", counted: "Study", outlooks: "list[Outlook]") -> dict[str, Any]:
    """The forecast as JSON; bytes in GiB, ranges as [low, high]."""
    trace, counts = counted.trace, counted.counts
    return {
        "job": job.name,
        "base": counted.anatomy.name,
        "family": counted.anatomy.family.name,
        "configs": counted.anatomy.source,
        "steps": job.training.steps,
        "resolution": job.training.resolution,
        "batch_size": job.training.batch_size,
        "parameters": {
            "denoiser": counts.denoiser,
            "adapter": counts.adapter,
            "encoders": counts.encoders,
            "autoencoder": counts.autoencoder,
        },
        "step": {
            "forward_tflop": trace.forward_flops / 1e12,
            "tflop": counted.step_flops(checkpointing=False) / 1e12,
            "tflop_checkpointed": counted.step_flops(checkpointing=True) / 1e12,
            "saved_gib": trace.saved_bytes / GIB,
        },
        "gpus": [row(outlook) for outlook in outlooks],
        "licence": licence_line(job),
    }


def row(outlook: "Outlook") -> dict[str, Any]:
    memory = outlook.memory
    return {
        "gpu": outlook.gpu.name,
        "fits": outlook.fit is not None,
        "precision": outlook.fit.precision if outlook.fit else None,
        "gradient_checkpointing": outlook.fit.checkpointing if outlook.fit else None,
        "gib": {
            "peak": memory.peak / GIB,
            "encode": memory.encode / GIB,
            "train": memory.train / GIB,
            "weights": memory.weights / GIB,
            "adapter": memory.adapter / GIB,
            "activations": memory.activations / GIB,
            "workspace": memory.workspace / GIB,
        },
        "seconds_per_step": outlook.seconds_per_step,
        "hours": outlook.hours,
        "usd": outlook.usd,
    }


def licence_line(job: "Job") -> str:
    """The verdict in one line."""
    from flows.licensing.rights import verdict_of
    from licenses.report import one_line

    return str(one_line(verdict_of(job, keep=False)))


def lines(record: dict[str, Any]) -> list[str]:
    """The forecast as a table for people."""
    parameters, step = record["parameters"], record["step"]
    head = [
        f"{record['job']}: {record['base']} ({record['family']}, {parameters['denoiser'] / 1e9:.3g} billion parameters), "
        f"{record['steps']} steps of {record['batch_size']} at {record['resolution']} pixels",
        f"configs: {record['configs']}",
        f"a step: {step['tflop']:.3g} TFLOP ({step['tflop_checkpointed']:.3g} with checkpointing), adapter of "
        f"{parameters['adapter'] / 1e6:.3g} million parameters",
        "",
        f"{'GPU':<10} {'fits':<5} {'precision':<10} {'checkpoints':<12} {'GiB':>6} {'s a step':>15} {'hours':>13} {'USD':>13}",
    ]
    table = [
        f"{gpu['gpu']:<10} {'yes' if gpu['fits'] else 'no':<5} {gpu['precision'] or '-':<10} {checkpoints(gpu):<12} "
        f"{gpu['gib']['peak']:>6.1f} {span(gpu['seconds_per_step']):>15} {span(gpu['hours']):>13} {span(gpu['usd']):>13}".rstrip()
        for gpu in record["gpus"]
    ]
    return [*head, *table, "", NOTES, f"licence: {record['licence']}"]


def checkpoints(gpu: dict[str, Any]) -> str:
    return "-" if gpu["gradient_checkpointing"] is None else "on" if gpu["gradient_checkpointing"] else "off"


def span(values: "tuple[float, float] | None") -> str:
    """`0.42-1.9`: two figures of each are as much as is known."""
    return "-" if values is None else "-".join(figure(value) for value in values)


def figure(value: float) -> str:
    """Two figures, and none below a thousandth."""
    if value < 0.001:
        return "<0.001"
    return f"{value:.0f}" if value >= 10 else f"{value:.2g}"
