"""Sizes of images: fal's presets, what fits this package's limits, and the work that a request comes to."""

import math
from typing import TYPE_CHECKING, Any

from ..errors import WorkRefused

if TYPE_CHECKING:
    from ..settings import Limits

PRESETS: dict[str, tuple[int, int]] = {
    "square_hd": (1024, 1024),
    "square": (512, 512),
    "portrait_4_3": (768, 1024),
    "portrait_16_9": (576, 1024),
    "landscape_4_3": (1024, 768),
    "landscape_16_9": (1024, 576),
}


def pixels(size: Any) -> tuple[int, int]:
    """Width and height of an `image_size`, preset or not."""
    return PRESETS[size] if isinstance(size, str) else (size.width, size.height)


def fitted(width: int, height: int, limits: "Limits") -> tuple[int, int]:
    """The allowed size that is nearest to a picture's own: its shape is kept as far as sides, area and multiple let it be."""
    unit = limits.multiple
    least, most = -(-limits.min_side // unit) * unit, limits.max_side // unit * unit
    scale = min(1.0, math.sqrt(limits.max_area / (width * height)), limits.max_side / max(width, height))
    scale = max(scale, limits.min_side / min(width, height))
    sides = [min(max(int(side * scale + 1e-6) // unit * unit, least), most) for side in (width, height)]
    if sides[0] * sides[1] > limits.max_area:  # a long strip whose short side could not shrink further
        longer = sides.index(max(sides))
        sides[longer] = limits.max_area // sides[1 - longer] // unit * unit
    return sides[0], sides[1]


def work_of(width: int, height: int, steps: int, images: int, *, change: float | None = None) -> int:
    """Pixels x steps x images. Image-to-image runs only the share `change` of the steps, at least one."""
    drawn = steps if change is None else max(1, math.ceil(steps * change))
    return width * height * drawn * images


def require_work(limits: "Limits", width: int, height: int, steps: int, images: int, *, change: float | None = None) -> None:
    """Raise WorkRefused where a request is more work than one may be."""
    work = work_of(width, height, steps, images, change=change)
    if work > limits.max_work:
        raise WorkRefused(
            f"width x height x steps x images is {work}, at most {limits.max_work} is allowed: ask for fewer or smaller images"
        )
