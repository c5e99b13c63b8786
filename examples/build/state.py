"""Checkpoints of the pretraining: one safetensors file a stage, replaced in one rename, so a stop at any moment loses minutes."""

import os
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn


def save(path: Path, step: int, model: nn.Module, optimizer: torch.optim.Optimizer, ema: dict[str, Tensor]) -> None:
    """Weights, their moving average and the optimizer's moments at `step`."""
    tensors = {f"model.{name}": value for name, value in model.state_dict().items()}
    tensors |= {f"ema.{name}": value for name, value in ema.items()}
    for index, moments in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{name}": torch.as_tensor(value) for name, value in moments.items()}
    tensors = {name: value.detach().clone().contiguous() for name, value in tensors.items()}
    scratch = path.with_suffix(".part")
    save_file(tensors, scratch, metadata={"step": str(step)})
    os.replace(scratch, path)


def load(path: Path, model: nn.Module, optimizer: torch.optim.Optimizer, ema: dict[str, Tensor]) -> int:
    """Restore what `save` wrote; returns the step to go on from, 0 where there is no checkpoint."""
    if not path.exists():
        return 0
    tensors = load_file(path)
    model.load_state_dict(part(tensors, "model."))
    for name, value in part(tensors, "ema.").items():
        ema[name].copy_(value)
    moments: dict[int, dict[str, Tensor]] = {}
    for name, value in part(tensors, "optimizer.").items():
        index, key = name.split(".")
        moments.setdefault(int(index), {})[key] = value
    steps = {int(entry["step"].item()) for entry in moments.values()}
    optimizer.load_state_dict({"state": moments, "param_groups": optimizer.state_dict()["param_groups"]})
    return steps.pop()


def part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The entries under `prefix`, without it."""
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
