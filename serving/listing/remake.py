"""The gallery made again: the same calls of the deployed app, and how far its pictures are from those that are shown."""

import hashlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from serving.app.billing import BillingUnit
from serving.listing.gallery import Call, Progress, as_png, delivered, one_line
from serving.listing.model import Listing
from serving.listing.planning import Shot


@dataclass(frozen=True, kw_only=True, slots=True)
class Remade:
    """One call made again: whether its pixels are the same ones, and the largest difference (0 to 255, None of another size)."""

    prompt: str
    seed: int
    same: bool
    difference: int | None


def remade(
    listing: Listing,
    calls: Sequence[Mapping[str, Any]],
    files: Mapping[str, bytes],
    *,
    call: Call,
    progress: Progress,
    unit: BillingUnit = "image",
) -> tuple[Remade, ...]:
    """Every call of a gallery's receipt, asked once more, which is billed; GalleryError as in photographed()."""
    shown = {(example.seed, str(sorted(example.input.items()))): example.output.file for example in listing.examples}
    found = []
    for number, before in enumerate(calls, start=1):
        arguments = dict(before["arguments"])
        progress(f"call {number} of {len(calls)}: {one_line(str(arguments['prompt']))}")
        asked = Shot(prompt=str(arguments["prompt"]), seed=int(arguments["seed"]))
        (picture, *_), _ = delivered(call(arguments), asked, unit)
        same = hashlib.sha256(as_png(picture)[0]).hexdigest() == before["sha256"]
        kept = {key: value for key, value in arguments.items() if key != "sync_mode"}
        file = shown.get((asked.seed, str(sorted(kept.items()))))
        far = 0 if same else _difference(picture, files[file]) if file else None
        found.append(Remade(prompt=asked.prompt, seed=asked.seed, same=same, difference=far))
    return tuple(found)


def _difference(picture: Image.Image, shown: bytes) -> int | None:
    with Image.open(io.BytesIO(shown)) as other:
        if other.size != picture.size:
            return None
        pair = (np.asarray(one.convert("RGB"), dtype=np.int16) for one in (picture, other))
        first, second = pair
        return int(np.abs(first - second).max())
