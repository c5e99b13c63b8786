"""A run's state on disk, so that a killed run goes on bit for bit: weights, optimizer, step, held-out losses, terms."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from training.errors import CheckpointError, StorageError

SCHEMA = "lorasmith/checkpoint/2"
BEST = "best.safetensors"
Measured = list[tuple[int, float]]  # steps done, held-out loss then


def save(
    folder: Path,
    step: int,
    parameters: Mapping[str, nn.Parameter],
    optimizer: torch.optim.Optimizer,
    terms: Mapping[str, Any],
    measured: Sequence[tuple[int, float]] = (),
) -> Path:
    """Write the state after `step` steps, whole or not at all, then forget the one before; StorageError where it cannot be."""
    tensors, scalars = _of_optimizer(optimizer, list(parameters))
    about = {"step": step, "terms": terms, "measured": list(measured), "optimizer": scalars}
    path = folder / f"step-{step:08d}.safetensors"
    _write(path, _weights(parameters) | tensors, about)
    for older in _all(folder)[:-1]:
        older.unlink()
    return path


def resume(
    folder: Path, parameters: Mapping[str, nn.Parameter], optimizer: torch.optim.Optimizer, terms: Mapping[str, Any]
) -> tuple[int, Measured]:
    """Put the newest state in `folder` into parameters and optimizer; steps done, 0 without one, and held-out losses so far.

    Raises CheckpointError, with the differing terms, for a checkpoint of another run.
    """
    found = _all(folder)
    if not found:
        return 0, []
    about, tensors = _read(found[-1])
    _require_ours(found[-1], about["terms"], terms)
    _put(parameters, tensors)
    optimizer.load_state_dict(_for_optimizer(about["optimizer"], tensors, list(parameters)))
    return int(about["step"]), [(step, loss) for step, loss in about["measured"]]


def keep_best(folder: Path, step: int, parameters: Mapping[str, nn.Parameter], terms: Mapping[str, Any]) -> None:
    """Write the weights as the best so far, whole or not at all."""
    _write(folder / BEST, _weights(parameters), {"step": step, "terms": terms})


def restore_best(folder: Path, parameters: Mapping[str, nn.Parameter], terms: Mapping[str, Any]) -> int:
    """Put the best weights into the parameters; the steps they had seen."""
    about, tensors = _read(folder / BEST)
    _require_ours(folder / BEST, about["terms"], terms)
    _put(parameters, tensors)
    return int(about["step"])


def best_step(folder: Path) -> int | None:
    """The steps that the best weights had seen; None where none were kept."""
    return int(_read(folder / BEST)[0]["step"]) if (folder / BEST).is_file() else None


def _weights(parameters: Mapping[str, nn.Parameter]) -> dict[str, Tensor]:
    return {f"weight/{name}": parameter.detach() for name, parameter in parameters.items()}


def _put(parameters: Mapping[str, nn.Parameter], tensors: Mapping[str, Tensor]) -> None:
    for name, parameter in parameters.items():
        parameter.data.copy_(tensors[f"weight/{name}"])


def _of_optimizer(optimizer: torch.optim.Optimizer, names: Sequence[str]) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """An optimizer's state, of whatever kind: its tensors by parameter and key, and all that is no tensor, as JSON."""
    state = optimizer.state_dict()
    tensors: dict[str, Tensor] = {}
    scalars: dict[str, Any] = {"state": {name: {} for name in names}, "groups": [{} for _ in state["param_groups"]]}
    places = [(f"state/{names[index]}", scalars["state"][names[index]], kept) for index, kept in state["state"].items()]
    groups = zip(scalars["groups"], state["param_groups"], strict=True)
    places += [(f"group/{index}", scalar, group) for index, (scalar, group) in enumerate(groups)]
    for place, scalar, kept in places:
        tensors |= {f"{place}/{key}": value for key, value in kept.items() if isinstance(value, Tensor)}
        scalar |= {key: value for key, value in kept.items() if not isinstance(value, Tensor)}
    return tensors, scalars


def _for_optimizer(scalars: Mapping[str, Any], tensors: Mapping[str, Tensor], names: Sequence[str]) -> dict[str, Any]:
    """The inverse of `_of_optimizer`."""

    def whole(place: str, kept: Mapping[str, Any]) -> dict[str, Any]:
        return {**kept, **{key.removeprefix(f"{place}/"): value for key, value in tensors.items() if key.startswith(f"{place}/")}}

    state = {index: whole(f"state/{name}", scalars["state"][name]) for index, name in enumerate(names)}
    groups = [whole(f"group/{index}", group) for index, group in enumerate(scalars["groups"])]
    return {"state": {index: kept for index, kept in state.items() if kept}, "param_groups": groups}


def _all(folder: Path) -> list[Path]:
    return sorted(folder.glob("step-*.safetensors"))


def _write(path: Path, tensors: Mapping[str, Tensor], about: Mapping[str, Any]) -> None:
    part = path.with_name(f".{path.name}.part")
    here = {name: tensor.cpu().contiguous().clone() for name, tensor in tensors.items()}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file(here, part, metadata={"checkpoint": json.dumps({"schema": SCHEMA, **about}, sort_keys=True)})
        os.replace(part, path)
    except (OSError, SafetensorError) as error:
        part.unlink(missing_ok=True)
        reason = " ".join(str(error).split())[:120]
        message = f"checkpoint '{path}' cannot be written ({reason}): make room on the disk and run again"
        raise StorageError(f"{message}; the last whole one is kept") from error


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    try:
        with safe_open(path, framework="pt") as file:
            about = json.loads((file.metadata() or {})["checkpoint"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        raise CheckpointError(f"'{path}' cannot be read ({type(error).__name__}): delete it to begin again") from error
    if about.get("schema") != SCHEMA:
        raise CheckpointError(f"'{path}' is a {about.get('schema')}, expected {SCHEMA}: delete it to begin again")
    return about, tensors


def _require_ours(path: Path, theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> None:
    if theirs != dict(ours):
        different = _difference(theirs, ours)
        raise CheckpointError(f"'{path}' belongs to another run ({different}): use another work folder or delete it")


def _difference(theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> str:
    keys = [key for key in sorted({*theirs, *ours}) if theirs.get(key) != ours.get(key)]
    said = [f"{key} {_short(theirs.get(key))} there, {_short(ours.get(key))} here" for key in keys[:3]]
    return "; ".join(said) + (f"; {len(keys) - 3} more" if len(keys) > 3 else "")


def _short(value: object) -> str:
    return f"{value!r}"[:16]
