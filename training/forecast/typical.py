"""What a step of a family takes at the size its bases are made for: the figure that its row carries."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from training.config import Recipe
from training.families import Family
from training.forecast.bases import anatomy_of, facts
from training.forecast.memory import GIB
from training.forecast.study import study

RANK = 16


@dataclass(frozen=True, kw_only=True, slots=True)
class Typical:
    """A step of one picture in bfloat16, rank 16, with gradient checkpointing where the family can do with it."""

    base: str
    side: int  # pixels: 1024, or what the base is made for
    checkpointing: bool
    gib: float  # peak of the training phase


def typical(family: Family) -> Typical | None:
    """Count a step of the first base of the family that is known here; None where none is."""
    entry = next((entry for entry in facts()["bases"].values() if entry["pipeline"] == family.pipeline), None)
    if entry is None:
        return None
    base, side = entry["repositories"][0], entry.get("side", 1024)
    recipe = Recipe(resolution=side, steps=1, batch_size=1, rank=RANK, alpha=RANK, learning_rate=1e-4)
    counted = study(anatomy_of(base), recipe, torch.bfloat16)
    memory = counted.memory("bf16", checkpointing=family.checkpoints)
    return Typical(base=base, side=side, checkpointing=family.checkpoints, gib=memory.train / GIB)
