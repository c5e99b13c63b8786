"""What of a job can be judged before anything is done: the app's settings, the texts of the listing, the folders."""

from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from flows.errors import JobError
from flows.job import Job, described

if TYPE_CHECKING:
    from serving.release.package import AppSettings


def require_usable(job: Job) -> None:
    """JobError for what would only be found after training: no such folder, texts missing, an app that can not be packaged."""
    for field, folder in (("dataset.path", job.dataset.path), ("dataset.held_out", job.dataset.held_out)):
        if isinstance(folder, str) and not Path(folder).is_dir():
            raise JobError(f"{field}: got {folder!r}; there is no such folder")
    for field in ("title", "short_description", "sender", "recipient", "support"):
        if not getattr(job.listing, field).strip():
            raise JobError(f"listing.{field}: empty; the mail to fal and the page need it")
    held_out, demanded = job.dataset.held_out, job.gate.min_held_out
    if job.gate.require_learned and isinstance(held_out, int) and held_out < demanded:
        raise JobError(
            f"dataset.held_out: got {held_out}; gate.min_held_out demands {demanded}: keep more pictures back or demand fewer"
        )
    app_settings(job)


def app_settings(job: Job) -> "AppSettings":
    """What the package needs to know of the job's serving part; JobError where it can not be."""
    try:
        return _app_settings(job)
    except ValidationError as error:
        raise JobError(f"serving: {described(error.errors(include_url=False)[0])}") from None


def _app_settings(job: Job) -> "AppSettings":
    from serving.release.package import AppSettings, Inference, Limits, Size

    wanted = job.serving
    width, height = wanted.default_size or (job.training.resolution, job.training.resolution)
    steps = max(50, job.inference.steps)
    return AppSettings(
        name=wanted.app,
        machine_type=wanted.machine_type,
        num_gpus=wanted.num_gpus,
        keep_alive=wanted.keep_alive,
        min_concurrency=wanted.min_concurrency,
        max_concurrency=wanted.max_concurrency,
        request_timeout=wanted.request_timeout,
        startup_timeout=wanted.startup_timeout,
        limits=Limits(
            min_side=min(256, width, height),
            max_side=wanted.max_side,
            multiple=16,
            max_area=wanted.max_area,
            max_steps=steps,
            max_images=wanted.max_images,
            max_prompt_bytes=4096,
            max_work=wanted.max_area * steps * wanted.max_images,
        ),
        default_size=Size(width=width, height=height),
        inference=Inference(steps=job.inference.steps, guidance_scale=job.inference.guidance_scale),
        scale=wanted.scale,
    )
