"""A run's state on disk, so that a killed run goes on bit for bit: weights, optimizer moments, step, terms."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from training.errors import CheckpointError

SCHEMA = "lorasmith/checkpoint/1"
_MOMENTS = ("exp_avg", "exp_avg_sq", "step")


def save(
    folder: Path, step: int, parameters: Mapping[str, nn.Parameter], optimizer: torch.optim.Optimizer, terms: Mapping[str, Any]
) -> Path:
    """Write the state after `step` steps, whole or not at all, then forget the one before."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {f"weight/{name}": parameter.detach() for name, parameter in parameters.items()}
    for name, parameter in parameters.items():
        tensors |= {f"{moment}/{name}": torch.as_tensor(optimizer.state[parameter][moment]) for moment in _MOMENTS}
    path = folder / f"step-{step:08d}.safetensors"
    part = path.with_name(f".{path.name}.part")
    here = {name: tensor.cpu().contiguous().clone() for name, tensor in tensors.items()}
    save_file(here, part, metadata={"checkpoint": json.dumps({"schema": SCHEMA, "step": step, "terms": terms}, sort_keys=True)})
    os.replace(part, path)
    for older in _all(folder)[:-1]:
        older.unlink()
    return path


def resume(folder: Path, parameters: Mapping[str, nn.Parameter], optimizer: torch.optim.Optimizer, terms: Mapping[str, Any]) -> int:
    """Put the newest state in `folder` into parameters and optimizer; the number of steps done, 0 without one.

    Raises CheckpointError, with the differing terms, for a checkpoint of another run.
    """
    found = _all(folder)
    if not found:
        return 0
    step, theirs, tensors = _read(found[-1])
    if theirs != dict(terms):
        raise CheckpointError(
            f"'{found[-1]}' belongs to another run ({_difference(theirs, terms)}): use another work folder or delete it"
        )
    for name, parameter in parameters.items():
        parameter.data.copy_(tensors[f"weight/{name}"])
        moved = {moment: tensors[f"{moment}/{name}"].to(parameter.device) for moment in _MOMENTS}
        optimizer.state[parameter] = {**moved, "step": moved["step"].float()}
    return step


def _all(folder: Path) -> list[Path]:
    return sorted(folder.glob("step-*.safetensors"))


def _read(path: Path) -> tuple[int, dict[str, Any], dict[str, Tensor]]:
    try:
        with safe_open(path, framework="pt") as file:
            about = json.loads((file.metadata() or {})["checkpoint"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        raise CheckpointError(f"'{path}' cannot be read ({type(error).__name__}): delete it to begin again") from error
    return int(about["step"]), about["terms"], tensors


def _difference(theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> str:
    keys = [key for key in sorted({*theirs, *ours}) if theirs.get(key) != ours.get(key)]
    said = [f"{key} {_short(theirs.get(key))} there, {_short(ours.get(key))} here" for key in keys[:3]]
    return "; ".join(said) + (f"; {len(keys) - 3} more" if len(keys) > 3 else "")


def _short(value: object) -> str:
    return f"{value!r}"[:16]
