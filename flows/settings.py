"""What of a job can be judged before anything is done: the app's settings, the texts of the listing, the folders."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from flows.calls import called
from flows.errors import JobError
from flows.job import Job
from flows.job_file import described
from flows.money.sizing import Needs, scaling, startup_timeout, termination_grace

if TYPE_CHECKING:
    from serving.app.settings import Acceleration, Marking, Safety
    from serving.release.package import AppSettings
    from training.families import Family


def require_usable(job: Job) -> None:
    """JobError for what would only be found after training: no such folder, texts missing, an app that can not be packaged."""
    for field, folder in (("dataset.path", job.dataset.path), ("dataset.held_out", job.dataset.held_out)):
        elsewhere = isinstance(folder, str) and folder.startswith(("hf://", "split:"))
        packed = field == "dataset.path" and Path(str(folder)).is_file()
        if isinstance(folder, str) and not elsewhere and not packed and not Path(folder).is_dir():
            raise JobError(f"{field}: got {folder!r}; there is no such folder")
    for name, ref in job.evaluation.model_dump().items():
        if Path(ref).is_absolute() and not (Path(ref) / "config.json").is_file():
            raise JobError(f"evaluation.{name}: got {ref!r}; give the folder of a transformers model, which holds a config.json")
    for field in ("title", "short_description", "sender", "recipient", "support"):
        if not getattr(job.listing, field).strip():
            raise JobError(f"listing.{field}: empty; the mail to fal and the page need it")
    held_out, demanded = job.dataset.held_out, job.gate.min_held_out
    if job.gate.require_learned and isinstance(held_out, int) and held_out < demanded and not job.adapter:
        raise JobError(
            f"dataset.held_out: got {held_out}; gate.min_held_out demands {demanded}: keep more pictures back or demand fewer"
        )
    require_size(
        app_settings(job, family_before(job)), "serving.default_size" if job.serving.default_size else "training.resolution"
    )


def require_size(settings: "AppSettings", field: str) -> None:
    """JobError where the app could not draw at its own default size, or at one that it shall warm up with."""
    limits = settings.limits
    drawn = [(field, settings.default_size, "for requests that name no size")]
    drawn += [("serving.warm_up", size, "to be drawn at the start") for size in settings.warm_up]
    for where, size, why in drawn:
        if not limits.allows(size.width, size.height):
            raise JobError(
                f"{where}: got {size.width} x {size.height} {why}; the app draws sides in multiples of {limits.multiple} "
                f"up to {limits.max_side} (serving.max_side), and areas up to {limits.max_area} (serving.max_area)"
            )


def family_before(job: Job) -> "Family | None":
    """The base's family before anything is downloaded; None of a Hub base where the answer would change nothing.

    Raises BaseModelError for a base that can not be trained, and so not served, HubError where the Hub can not be asked.
    """
    from training.families import family_of

    if job.base.folder:
        try:
            index = json.loads((job.base.folder / "model_index.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None  # the licence check and the trainer say what is wrong with it
        return family_of(index)
    if job.serving.default_size is None:
        return None  # pictures of the training's own size are looked at by the trainer, before it trains
    from training.forecast.bases import anatomy_of

    return anatomy_of(job.base.repo, job.base.pinned).family


def app_settings(
    job: Job, family: "Family | None" = None, *, needs: Needs | None = None, acceleration: "Acceleration | None" = None
) -> "AppSettings":
    """What the package needs to know of the job's serving part and the base's family; JobError where it can not be.

    needs: of sizing.needs_of; without it, scaling and times are the stated bounds. acceleration: with its measured quality;
    without it, pictures are exact.
    """
    from serving.release.errors import PackageError

    try:
        return _app_settings(job, family, needs, acceleration)
    except ValidationError as error:
        raise JobError(f"serving: {described(error.errors(include_url=False)[0])}") from None
    except PackageError as error:
        raise JobError(f"serving: {error}") from None


def _app_settings(job: Job, family: "Family | None", needs: Needs | None, acceleration: "Acceleration | None") -> "AppSettings":
    from serving.app.settings import Acceleration, Batching, Billing, Logs
    from serving.release.package import AppSettings, Inference, Limits, Size

    wanted = job.serving
    if wanted.max_waiting * 3 // 4 < wanted.max_images:
        raise JobError(
            f"serving.max_waiting: got {wanted.max_waiting}; one caller gets three quarters of it, which is less than the "
            f"{wanted.max_images} images of one request (serving.max_images): allow at least {math.ceil(wanted.max_images * 4 / 3)}"
        )
    width, height = wanted.default_size or (job.training.resolution, job.training.resolution)
    steps = max(50, job.inference.steps)
    seconds = needs.seconds if needs else None
    settings = AppSettings(
        name=wanted.app,
        machine_type=wanted.machine_type,
        num_gpus=wanted.num_gpus,
        keep_alive=wanted.keep_alive,
        min_concurrency=wanted.min_concurrency,
        max_concurrency=wanted.max_concurrency or scaling(peak_images=wanted.peak_images, seconds=seconds),
        request_timeout=wanted.request_timeout,
        startup_timeout=wanted.startup_timeout or startup_timeout(needs.weights if needs else None),
        limits=Limits(
            min_side=min(256, width, height),
            max_side=wanted.max_side,
            multiple=family.multiple if family else 16,
            max_area=wanted.max_area,
            max_steps=steps,
            max_images=wanted.max_images,
            max_prompt_bytes=4096,
            max_work=wanted.max_area * steps * wanted.max_images,
        ),
        default_size=Size(width=width, height=height),
        inference=Inference(steps=job.inference.steps, guidance_scale=job.inference.guidance_scale),
        pipeline=called(family, image_to_image=wanted.image_to_image) if family else None,
        scale=wanted.scale,
        warm_up=tuple(Size(width=wide, height=high) for wide, high in wanted.warm_up),
        billing=Billing(unit=wanted.billing_unit),
        safety=safety_of(job),
        marking=marking_of(job),
        batching=Batching(max_batch=wanted.max_batch, window_ms=wanted.window_ms, max_waiting=wanted.max_waiting),
        acceleration=acceleration or Acceleration(),
        logs=Logs(prompts=wanted.log_prompts),
    )
    held = settings.multiplexing * wanted.max_images
    grace = termination_grace(request_timeout=wanted.request_timeout, images_held=held, seconds=seconds)
    return replace(settings, termination_grace=wanted.termination_grace or grace)


def safety_of(job: Job) -> "Safety":
    """The checker that the job asks for, and whether callers may go without it; JobError for labels that it does not know."""
    from serving.app.settings import Safety

    wanted = job.serving
    if wanted.checker == "opennsfw" and set(wanted.unsafe) != {"nsfw"}:
        raise JobError(
            f"serving.unsafe: got {list(wanted.unsafe)}; opennsfw knows the label nsfw alone: leave the field out, "
            "or name another classifier in serving.checker"
        )
    return Safety(
        enabled=wanted.safety != "off",
        optional=wanted.safety == "optional",
        checker=wanted.checker,
        threshold=wanted.threshold,
        unsafe=wanted.unsafe,
        deny=wanted.deny,
    )


def marking_of(job: Job) -> "Marking":
    """Whether and by whom pictures are marked; the publisher's name is that of the profile."""
    from serving.app.settings import Marking

    name = str(job.publisher.get("name") or "") or None
    return Marking(enabled=job.serving.marking == "on", certificate=job.serving.certificate, publisher=name)
