"""What a deploy costs before anybody calls: two runners start, draw the test pictures, and idle until they stop."""

from typing import TYPE_CHECKING

from flows.money.sizing import gpu_of, needs_of, startup_timeout

if TYPE_CHECKING:
    from flows.job import Job

RUNNERS = 2  # candidate and main
SHORTEST_START = 30.0  # seconds: what is imported and loaded in any case
GUESSED_IMAGE = (1.0, 60.0)  # seconds of a picture of a base that can not be counted from here


def deploy_cost(job: "Job") -> tuple[float, float] | None:
    """USD from and to at fal's lowest to list rate; None for a machine whose rate is not known here.

    Of the start nothing but bounds are known: from SHORTEST_START to the startup timeout. Idle seconds may be the owner's to pay.
    """
    from training.forecast.speed import cost

    gpu = gpu_of(job.serving.machine_type)
    if gpu is None:
        return None
    needs = needs_of(job)
    image = needs.seconds if needs and needs.seconds else GUESSED_IMAGE
    slowest = job.serving.startup_timeout or startup_timeout(needs.weights if needs else None)
    pictures = images_drawn(job)
    low, high = (
        job.serving.num_gpus * (RUNNERS * (start + job.serving.keep_alive) + pictures * each)
        for start, each in zip((SHORTEST_START, float(slowest)), image, strict=True)
    )
    return cost((low, high), gpu.usd_per_second)


def images_drawn(job: "Job") -> int:
    """Pictures of the smoke test in both environments, of the golden prompts, and one warm-up of each size at each start."""
    smoke = RUNNERS * min(2, job.serving.max_images)
    return smoke + job.rollout.golden + RUNNERS * len(job.serving.warm_up)
