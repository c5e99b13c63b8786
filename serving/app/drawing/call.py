"""How a request becomes the pipeline's call: what families differ in is written in settings.json, not known here."""

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..settings import Pipeline

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

_Sizes = Callable[[Any, int, int], Any]


def _only_this_one(_pipe: Any, width: int, height: int) -> list[tuple[int, int]]:
    return [(width, height)]


def _this_area(pipe: Any, width: int, height: int) -> float:
    return math.sqrt(width * height) * (1 + 1e-9) / float(pipe.vae_scale_factor)  # rounding down must not lose a row


_SIZES: Mapping[str, _Sizes] = {"resolutions": _only_this_one, "default_sample_size": _this_area}


def call_of(
    pipeline: Pipeline,
    *,
    prompts: Sequence[str],
    negative_prompts: Sequence[str] | None,
    width: int,
    height: int,
    steps: int,
    guidance_scale: float,
) -> dict[str, Any]:
    """Arguments of the pipeline's call, all but the noise. negative_prompts None: what the family does without one."""
    options: dict[str, Any] = dict(pipeline.options)
    if negative_prompts is not None:
        options["negative_prompt"] = list(negative_prompts)
    elif "negative_prompt" in options:
        options["negative_prompt"] = [options["negative_prompt"]] * len(prompts)
    wanted = {"prompt": list(prompts), "width": width, "height": height, "num_inference_steps": steps}
    return {**options, pipeline.guidance_argument: guidance_scale, **wanted, "output_type": "pil", "return_dict": False}


def changing(pipe: Any, arguments: Mapping[str, Any], *, starts: Sequence["Picture"], change: float) -> dict[str, Any]:
    """The same call of the image-to-image pipeline: it runs the last `change` of its steps, and always one of them.

    Pictures are those of the call's size; pipelines that take their size from them have no arguments for it.
    """
    steps = max(arguments["num_inference_steps"], math.ceil(1 / change))
    wanted = {**arguments, "image": list(starts), "strength": change, "num_inference_steps": steps}
    taken = inspect.signature(pipe.__call__).parameters
    return {name: value for name, value in wanted.items() if name in taken}


def set_size(pipe: Any, pipeline: Pipeline, *, width: int, height: int) -> None:
    """Give the pipeline this size in the attributes that it would otherwise round a request to."""
    for name in pipeline.sized_by:
        setattr(pipe, name, _SIZES[name](pipe, width, height))
