"""What the forecast says of serving: whether the machine holds the base, how many runners, how long a start and an end take.

The forecast counts from configs and is known for GPUs of its table only. Elsewhere every rule here falls back to a stated bound,
so that the same job gives the same package everywhere.
"""

import math
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from flows.errors import JobError
from flows.job import Training
from flows.progress import say

if TYPE_CHECKING:
    from flows.job import Job
    from training.forecast import Gpu

GIB = 2**30
DELIVERY = 15  # seconds in which pictures that are drawn are checked, marked and uploaded
LEAST_GRACE, MOST_GRACE = 30, 3600  # fal takes at most an hour
LEAST_STARTUP, STARTUP_WORK, FETCHED_A_SECOND = 600, 300, 100e6  # seconds; of which imports, compiling, warm-up; bytes
BUSY = 0.7  # share of the time that a runner may be at work at the peak, so that requests rarely wait for each other
DEFAULT_RUNNERS, MOST_RUNNERS = 2, 50


@dataclass(frozen=True, kw_only=True, slots=True)
class Needs:
    """What one image of the largest area asks of a machine: bytes, those of weights, and on a known GPU seconds from and to."""

    memory: float
    weights: float
    seconds: tuple[float, float] | None


def needs_of(job: "Job") -> Needs | None:
    """The forecast of the job's base on its machine; None on a CPU, and of a base that can not be counted from here."""
    if not job.serving.machine_type.startswith("GPU"):
        return None
    gpu = gpu_of(job.serving.machine_type)
    ref = str(job.base.folder) if job.base.folder else job.base.repo
    counted = _counted(ref, job.base.pinned, math.isqrt(job.serving.max_area))
    if counted is None:
        return None
    memory, weights, flops = counted
    passes = job.inference.steps * (2 if job.inference.guidance_scale > 1 else 1)
    return Needs(memory=memory, weights=weights, seconds=_seconds(flops, gpu, passes) if gpu else None)


def require_machine(job: "Job") -> None:
    """JobError where the base can not be held by the machine named; a line where it just can."""
    needs = needs_of(job)
    gpu = gpu_of(job.serving.machine_type) if needs else None
    if needs is None or gpu is None:
        return
    from training.forecast import FILLED

    stated = f"{needs.memory / GIB:.0f} GiB by the forecast, {gpu.name} has {gpu.memory / GIB:.0f}"
    if needs.memory > gpu.memory:
        raise JobError(f"serving.machine_type: got {job.serving.machine_type!r}; the base needs {stated}: name a larger machine")
    if needs.memory > gpu.memory * FILLED:
        say(f"  serving.machine_type: the base needs {stated}; large batches may not fit")


def gpu_of(machine_type: str) -> "Gpu | None":
    """The GPU of a fal machine type, as the forecast's table has it; None where it has none."""
    from training.forecast.speed import gpus

    name = machine_type.removeprefix("GPU-")
    known = {gpu.name.replace(" ", "").removesuffix("40G"): gpu for gpu in gpus()}
    return known.get(name)


def scaling(*, peak_images: float | None, seconds: tuple[float, float] | None) -> int:
    """Runners at most for a peak in images a minute: Little's law at BUSY, from DEFAULT_RUNNERS to MOST_RUNNERS.

    seconds: of one image, from and to; the geometric middle counts, since more runners than needed are never started.
    """
    if peak_images is None or seconds is None:
        return DEFAULT_RUNNERS
    wanted = math.ceil(peak_images / 60 * math.sqrt(seconds[0] * seconds[1]) / BUSY)
    return min(max(wanted, DEFAULT_RUNNERS), MOST_RUNNERS)


def termination_grace(*, request_timeout: int, images_held: int, seconds: tuple[float, float] | None) -> int:
    """Seconds in which a runner can finish all that it has taken, and deliver it.

    The upper end of `seconds` (of one image) for every image that it may hold; where nothing is known, request_timeout, which no
    request outlives.
    """
    drawing = float(request_timeout)
    if seconds is not None:
        drawing = min(drawing, seconds[1] * images_held)
    return min(max(math.ceil(drawing) + DELIVERY, LEAST_GRACE), MOST_GRACE)


def startup_timeout(weights: float | None) -> int:
    """Seconds of a start, in whole minutes: weights (bytes) at a slow hundred megabytes a second, and the work of STARTUP_WORK."""
    if weights is None:
        return LEAST_STARTUP
    seconds = STARTUP_WORK + weights / FETCHED_A_SECOND
    return min(max(math.ceil(seconds / 60) * 60, LEAST_STARTUP), MOST_GRACE)


@cache
def _counted(ref: str, revision: str | None, side: int) -> tuple[float, float, float] | None:
    """Bytes on the device, bytes of weights, operations of one step; None of a base that can not be counted without its weights.

    In bf16, with `acceleration: high` too: a start holds the whole weights once before they are kept in eight bits.
    """
    from training.errors import BaseModelError, HubError
    from training.forecast import anatomy_of, study

    try:
        counted = study(anatomy_of(ref, revision), Training(resolution=side))
    except (BaseModelError, HubError):
        return None  # the licence check and the trainer say what is wrong with it
    memory, counts = counted.memory("bf16", checkpointing=True), counted.counts
    plain = 2.0 * (counts.denoiser + counts.encoders + counts.autoencoder)
    return memory.encode, plain, counted.trace.forward_flops


def _seconds(flops: float, gpu: "Gpu", passes: int) -> tuple[float, float]:
    """What so many passes of the denoiser may take, from and to: at training's published utilisation, which drawing reaches too."""
    from training.forecast.speed import seconds_per_step

    low, high = seconds_per_step(flops, gpu.peak)
    return low * passes, high * passes
