"""How a request becomes the pipeline's call: what families differ in is written in settings.json, not known here."""

import math
from collections.abc import Callable, Mapping
from typing import Any

from .settings import Pipeline

_Sizes = Callable[[Any, int, int], Any]


def _only_this_one(_pipe: Any, width: int, height: int) -> list[tuple[int, int]]:
    return [(width, height)]


def _this_area(pipe: Any, width: int, height: int) -> float:
    return math.sqrt(width * height) * (1 + 1e-9) / float(pipe.vae_scale_factor)  # rounding down must not lose a row


_SIZES: Mapping[str, _Sizes] = {"resolutions": _only_this_one, "default_sample_size": _this_area}


def call_of(pipeline: Pipeline, *, prompt: str, width: int, height: int, steps: int, guidance_scale: float) -> dict[str, Any]:
    """Arguments of the pipeline's call, all but the noise."""
    wanted = {"prompt": prompt, "width": width, "height": height, "num_inference_steps": steps}
    return {**pipeline.options, pipeline.guidance_argument: guidance_scale, **wanted, "output_type": "pil", "return_dict": False}


def set_size(pipe: Any, pipeline: Pipeline, *, width: int, height: int) -> None:
    """Give the pipeline this size in the attributes that it would otherwise round a request to."""
    for name in pipeline.sized_by:
        setattr(pipe, name, _SIZES[name](pipe, width, height))
