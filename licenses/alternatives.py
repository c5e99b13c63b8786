"""Other bases of the same kind that the facts do not bar for this publisher, nearest first."""

from licenses.catalogue import Catalogue, Model
from licenses.node import Node
from licenses.policy import passes_on_paper
from licenses.publisher import Publisher

MOST = 3
FAMILIES = (
    ("Flux2", "flux2"),
    ("Flux", "flux"),
    ("StableDiffusionXL", "sdxl"),
    ("StableDiffusion", "sd"),
    ("QwenImage", "qwen-image"),
    ("ZImage", "z-image"),
    ("Wan", "video"),
    ("LTX", "video"),
    ("Hunyuan", "video"),
)


def alternatives(base: Node, publisher: Publisher, catalogue: Catalogue) -> tuple[str, ...]:
    """Up to three repositories; their own evidence is still read when one of them is chosen."""
    family = base.row.family if base.row else _family(base.pipeline or "")
    kind = "video" if family == "video" or (base.row is not None and base.row.kind == "video") else "image"
    offered = [model for model in catalogue.models.values() if model.offer is not None and model.kind == kind]
    passing = [
        model for model in offered if model.repo.casefold() != base.id.casefold() and passes_on_paper(model, publisher, catalogue)
    ]
    return tuple(model.repo for model in sorted(passing, key=lambda model: _distance(model, family))[:MOST])


def _family(pipeline: str) -> str:
    return next((family for prefix, family in FAMILIES if pipeline.startswith(prefix)), "")


def _distance(model: Model, family: str) -> tuple[bool, bool, int]:
    kin = model.family.rstrip("2") == family.rstrip("2") and bool(family)
    return (model.family != family and not kin, not kin, model.offer or 0)
