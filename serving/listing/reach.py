"""From which strength on the adapter is seen: the strip of the gallery, compared with the base's picture of the same seed."""

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image

from serving.listing.figures import Documents, at, figure
from serving.listing.model import Example
from serving.listing.model_facts import StrengthRange

RECEIPT = "strengths"
ENOUGH = 0.5  # share of the way from the base's picture to that at the recommended strength


def reached(examples: Sequence[Example], files: Mapping[str, bytes], recommended: float) -> dict[str, Any] | None:
    """Mean pixel difference (0 to 1) of each picture of the strip from the base's, and from which strength on it is enough.

    None without a strip that has both the base and the recommended strength, or where both look the same.
    """
    strip = {one.strength: one for one in examples if one.role == "strength" and one.strength is not None}
    if 0.0 not in strip or recommended not in strip:
        return None
    drawn = {strength: _pixels(files[one.output.file]) for strength, one in sorted(strip.items())}
    apart = {strength: float(np.abs(pixels - drawn[0.0]).mean()) for strength, pixels in drawn.items()}
    if not apart[recommended] > 0:
        return None
    steps = [{"strength": s, "distance": apart[s], "share": apart[s] / apart[recommended]} for s in drawn]
    below = [one["strength"] for one in steps if one["strength"] < recommended and one["share"] < ENOUGH]
    low = min(one["strength"] for one in steps if one["strength"] > max(below, default=-1.0))
    first = strip[0.0]
    return {"prompt": first.input["prompt"], "seed": first.seed, "enough": ENOUGH, "steps": steps, "low": low, "high": recommended}


def strengths(documents: Documents) -> StrengthRange | None:
    """The range to recommend; None where no strip was drawn."""
    if at(documents, RECEIPT, "/low") is None:
        return None
    low, high = (figure(documents, RECEIPT, f"/{side}", "{:g}") for side in ("low", "high"))
    seen = (
        f"From {low.text} on, the picture of the strip is at least half of the way from the base’s to the adapter’s"
        if low.value < high.value
        else "Below it, the picture of the strip is nearer to the base’s than to the adapter’s"
    )
    return StrengthRange(
        low=low, high=high, statement=f"{seen}. The evaluation was made at {high.text}; above it nothing was measured."
    )


def _pixels(content: bytes) -> np.ndarray[Any, np.dtype[np.float64]]:
    with Image.open(io.BytesIO(content)) as picture:
        return np.asarray(picture.convert("RGB"), dtype=np.float64) / 255
