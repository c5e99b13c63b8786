"""The model families that can be trained: one row each, and nowhere else a branch on a family's name.

Rows lie side by side by how their denoiser reads the text: `unets`, `cross`, `joint`, `single`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from training.errors import BaseModelError
from training.families import cross, joint, single, unets
from training.families.record import Codec, Family, Packing

if TYPE_CHECKING:
    from training.objective import Objective

__all__ = ["FAMILIES", "Codec", "Family", "Packing", "UnknownFamily", "family_of", "is_distilled", "objective_of"]

FAMILIES: Mapping[str, Family] = {row.name: row for row in (*unets.ROWS, *cross.ROWS, *joint.ROWS, *single.ROWS)}


class UnknownFamily(BaseModelError):
    """The base's pipeline or objective is not one that can be trained here."""


def family_of(model_index: Mapping[str, Any]) -> Family:
    """The family whose pipeline a parsed model_index.json names; UnknownFamily lists what is supported."""
    pipeline = model_index.get("_class_name")
    for family in FAMILIES.values():
        if family.pipeline == pipeline:
            return family
    supported = ", ".join(f"{family.name} ({family.pipeline})" for family in FAMILIES.values())
    raise UnknownFamily(f"model_index.json names the pipeline {pipeline!r}, which cannot be trained here; supported: {supported}")


def is_distilled(family: Family, reference: str, model_index: Mapping[str, Any]) -> bool:
    """Whether the weights look step-distilled, so that a LoRA trained on them would undo the distillation.

    `reference` is the repository or folder name; a pipeline that says so itself (`is_distilled`) is believed first.
    """
    declared = model_index.get("is_distilled")
    return bool(declared) if declared is not None else re.search(family.distilled, reference) is not None


def objective_of(scheduler: Any) -> Objective:
    """What the prediction at `scheduler.step` means: flow velocity, noise or v."""
    config = scheduler.config
    kind = config.get("prediction_type") or "flow"
    if "FlowMatch" in type(scheduler).__name__ or kind in ("flow", "flow_prediction"):
        return "flow"
    if kind == "epsilon":
        return "epsilon"
    if kind == "v_prediction":
        return "v"
    raise UnknownFamily(f"scheduler predicts {kind!r}; training knows flow, epsilon and v_prediction: use a base with one of these")
