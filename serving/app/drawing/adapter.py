"""The adapter's file, read by the names of its tensors: every family the same way, whether or not diffusers has a loader for it."""

import json
import math
import re
from typing import TYPE_CHECKING, Any

from ..errors import SettingsError
from .strength import LowRank

if TYPE_CHECKING:
    from pathlib import Path

    import torch

_METADATA = "lora_adapter_metadata"  # where the file's header tells alphas, as peft's configuration has them
_DOWN, _UP = ".lora_A.weight", ".lora_B.weight"


def denoiser_of(pipe: Any) -> "torch.nn.Module":
    """The model that the adapter changes and every step runs."""
    model: torch.nn.Module = getattr(pipe, "unet", None) or pipe.transformer
    return model


def read_parts(denoiser: "torch.nn.Module", path: "Path") -> list[LowRank]:
    """The file's factors, each with its layer of the denoiser.

    Raises SettingsError where the file has layers that the denoiser lacks, or of another shape, or that are no plain LoRA.
    """
    tensors, about = _read(path)
    if about.get("use_dora") or not any(name.endswith(_DOWN) for name in tensors):
        raise SettingsError(f"adapter {path} is no plain LoRA (pairs of low-rank factors): export it as one")
    layers = dict(denoiser.named_modules())
    downs = {name.removesuffix(_DOWN): tensor for name, tensor in tensors.items() if name.endswith(_DOWN)}
    pairs = {name: (down, tensors[name + _UP]) for name, down in downs.items() if name + _UP in tensors}
    whole = {name + suffix for name in pairs for suffix in (_DOWN, _UP)}
    misplaced = {name + _DOWN for name, (down, up) in pairs.items() if not _fits(layers.get(name), down, up)}
    if wrong := sorted({*tensors} - whole | misplaced):
        raise SettingsError(f"adapter {path} was made for another base: {len(wrong)} tensors have no place, first {wrong[0]}")
    try:
        scalings = {name: _scaling(about, name, rank=down.shape[0]) for name, (down, _) in pairs.items()}
    except (ValueError, TypeError, AttributeError, ArithmeticError, re.error) as error:
        raise SettingsError(f"adapter {path}: its header tells no ranks and alphas ({error}): export it anew") from error
    return [LowRank(layer=layers[name], down=down, up=up, scaling=scalings[name]) for name, (down, up) in pairs.items()]


def _read(path: "Path") -> tuple[dict[str, "torch.Tensor"], dict[str, Any]]:
    """Tensors and peft's configuration, both by the denoiser's own names; the file puts `transformer.` or `unet.` before them."""
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        header = (file.metadata() or {}).get(_METADATA, "{}")
        tensors = {_inner(name): file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    try:
        return tensors, {_inner(name): value for name, value in json.loads(header).items()}
    except (ValueError, AttributeError) as error:
        raise SettingsError(f"adapter {path}: its header's {_METADATA} is no JSON object: export it anew") from error


def _inner(name: str) -> str:
    part, _, inner = name.partition(".")
    return inner if part in ("transformer", "unet") else name  # a text encoder's keep theirs and find no place


def _fits(layer: Any, down: "torch.Tensor", up: "torch.Tensor") -> bool:
    """Whether the product of these factors has the shape of this layer's weight."""
    from torch import nn

    if not isinstance(layer, nn.Linear | nn.Conv2d) or getattr(layer, "groups", 1) > 1:
        return False
    made = (up.shape[0], *down.shape[1:])
    return up.shape[1] == down.shape[0] and made == tuple(layer.weight.shape) and all(side == 1 for side in up.shape[2:])


def _scaling(about: dict[str, Any], name: str, *, rank: int) -> float:
    """alpha / rank. A layer's alpha is that of the first pattern that its name ends with, else the file's, without one its rank."""
    alphas = [alpha for pattern, alpha in about.get("alpha_pattern", {}).items() if re.fullmatch(rf"(.*\.)?({pattern})", name)]
    alpha = float([*alphas, about.get("lora_alpha", rank)][0])
    return alpha / (math.sqrt(rank) if about.get("use_rslora") else rank)
