"""Other bases of the same kind that the facts do not bar for this publisher, nearest first."""

import math
from datetime import date

from licenses.catalogue import Catalogue, Model
from licenses.node import Node
from licenses.policy import passes_on_paper
from licenses.publisher import Publisher

MOST = 3
NONE_PASSES = (
    "No base of the same kind passes for this publisher by the facts of this day: state more in its profile, or ask the licensor"
)
AGED = "What is known of these bases was read more than 90 days ago: it has to be read again before one of them passes"
FAMILIES = (
    ("Flux2", "flux2"),
    ("Flux", "flux"),
    ("StableDiffusion3", "sd3"),
    ("StableDiffusionXL", "sdxl"),
    ("StableDiffusion", "sd"),
    ("QwenImage", "qwen-image"),
    ("ZImage", "z-image"),
)
VIDEOS = ("Wan", "LTX", "HunyuanVideo", "CogVideo", "Mochi", "StableVideo", "TextToVideo")
EDITS = ("Edit", "Kontext", "Fill", "Inpaint", "Img2Img", "Pix2Pix", "Redux", "Control")


def instead(base: Node, publisher: Publisher, catalogue: Catalogue, as_of: date) -> tuple[tuple[str, ...], str]:
    """Up to three repositories and what has to be said of them: that there are none, or that their facts are old.

    Their own evidence is still read when one of them is chosen.
    """
    fresh = alternatives(base, publisher, catalogue, as_of)
    if fresh:
        return fresh, ""
    aged = alternatives(base, publisher, catalogue, None)
    return aged, AGED if aged else NONE_PASSES


def alternatives(base: Node, publisher: Publisher, catalogue: Catalogue, as_of: date | None) -> tuple[str, ...]:
    """Up to three repositories that pass on paper on this day; without a day, whatever the age of their facts."""
    kind = _kind(base)
    family = base.row.family if base.row else _family(base.pipeline or "")
    size = base.row.billions if base.row else None
    offered = [model for model in catalogue.models.values() if model.offer is not None and not model.distilled]
    fitting = [model for model in offered if model.repo.casefold() != base.id.casefold() and _does(model, kind)]
    passing = [model for model in fitting if passes_on_paper(model, publisher, catalogue, as_of=as_of)]
    return tuple(model.repo for model in sorted(passing, key=lambda model: _distance(model, family, size))[:MOST])


def _kind(base: Node) -> str:
    """image, edit or video: what the base is for, by its row or else by its pipeline."""
    pipeline = base.pipeline or ""
    if base.row is not None:
        return base.row.kind if base.row.kind in ("video", "edit") else "image"
    if pipeline.startswith(VIDEOS):
        return "video"
    return "edit" if any(word in pipeline for word in EDITS) else "image"


def _does(model: Model, kind: str) -> bool:
    return model.kind == kind or (kind == "edit" and model.edits)


def _family(pipeline: str) -> str:
    return next((family for prefix, family in FAMILIES if pipeline.startswith(prefix)), "")


def _distance(model: Model, family: str, size: float | None) -> tuple[int, int, int]:
    """Family first (its own, then kin such as flux and flux2), then size in doublings, then the order of the catalogue."""
    kin = bool(family) and model.family.rstrip("2") == family.rstrip("2")
    apart = abs(round(math.log2(model.billions / size))) if size and model.billions else 1
    return (0 if model.family == family else 1 if kin else 2, apart, model.offer or 0)
