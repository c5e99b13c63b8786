"""The adapter's file into the base by peft alone: every family the same way, whether or not diffusers has a loader for it."""

import json
import re
from typing import TYPE_CHECKING, Any

from .errors import SettingsError
from .strength import LowRank, low_rank_parts

if TYPE_CHECKING:
    from pathlib import Path

    import torch

_NAME = "default"
_METADATA = "lora_adapter_metadata"  # where the file's header tells ranks and alphas


def denoiser_of(pipe: Any) -> "torch.nn.Module":
    """The model that the adapter changes and every step runs."""
    model: torch.nn.Module = getattr(pipe, "unet", None) or pipe.transformer
    return model


def fuse(denoiser: "torch.nn.Module", path: "Path", strength: float) -> list[LowRank]:
    """Merge the file's LoRA into the denoiser at this strength, in place; its factors, for other strengths.

    Raises SettingsError where the file has layers that the denoiser lacks, or of another shape.
    """
    from peft import LoraConfig, inject_adapter_in_model, set_peft_model_state_dict

    state, about = _read(path)
    try:
        inject_adapter_in_model(LoraConfig(**about), denoiser, adapter_name=_NAME)
        result = set_peft_model_state_dict(denoiser, state, adapter_name=_NAME)
    except (ValueError, RuntimeError, TypeError) as error:  # no such layers, other shapes, a header that is none of peft's
        raise SettingsError(f"adapter {path} was made for another base ({' '.join(str(error).split())[:200]})") from error
    wrong = sorted({*result.unexpected_keys, *(key for key in result.missing_keys if "lora_" in key)})
    if wrong:
        raise SettingsError(f"adapter {path} was made for another base: {len(wrong)} tensors have no place, first {wrong[0]}")
    denoiser.requires_grad_(False)
    parts = low_rank_parts(denoiser)
    _merge(denoiser, strength)
    return parts


def _read(path: "Path") -> tuple[dict[str, "torch.Tensor"], dict[str, Any]]:
    """Tensors and peft's configuration, both by the denoiser's own names; the file puts `transformer.` or `unet.` before them."""
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        header = file.metadata() or {}
        state = {name.partition(".")[2]: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    if _METADATA not in header:
        return state, _plain(state)
    return state, {name.partition(".")[2]: value for name, value in json.loads(header[_METADATA]).items()}


def _plain(state: dict[str, "torch.Tensor"]) -> dict[str, Any]:
    """peft's configuration for a file that does not tell one: each layer's alpha is its rank."""
    ranks = {name.removesuffix(".lora_A.weight"): down.shape[0] for name, down in state.items() if name.endswith(".lora_A.weight")}
    pattern = {f"^{re.escape(name)}": rank for name, rank in ranks.items()}
    return {"target_modules": sorted(ranks), "rank_pattern": pattern, "alpha_pattern": pattern}


def _merge(denoiser: "torch.nn.Module", strength: float) -> None:
    """Add the change to the weights and put the layers that peft had wrapped back into their places."""
    from peft.tuners.lora import LoraLayer

    for name, module in list(denoiser.named_modules()):
        if isinstance(module, LoraLayer):
            module.scale_layer(strength)
            module.merge()
            parent, _, child = name.rpartition(".")
            setattr(denoiser.get_submodule(parent), child, module.base_layer)
