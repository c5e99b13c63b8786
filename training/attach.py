"""An adapter file into a pipeline's denoiser by peft alone, for the families that diffusers has no loader for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import nn

from training.errors import AdapterError

METADATA = "lora_adapter_metadata"  # where diffusers keeps rank and alpha in the header


def attach(denoiser: nn.Module, path: Path, prefix: str, *, adapter: str = "default") -> None:
    """Put the LoRA in a file with diffusers' keys (`prefix`.module.lora_A.weight) into the denoiser, in place.

    Raises AdapterError where the file has no metadata of ours, or layers that the denoiser lacks, or lacks layers that it names.
    """
    from peft import LoraConfig, inject_adapter_in_model, set_peft_model_state_dict

    state, about = _read(path, prefix)
    inject_adapter_in_model(LoraConfig(**about), denoiser, adapter_name=adapter)
    result = set_peft_model_state_dict(denoiser, state, adapter_name=adapter)
    wrong = sorted({*result.unexpected_keys, *(key for key in result.missing_keys if "lora_" in key)})
    if wrong:
        raise AdapterError(
            f"adapter '{path}' and this base differ in {len(wrong)} LoRA tensors, first {wrong[0]}: it is of another base"
        )
    for name, module in denoiser.named_modules():
        if name.endswith((f"lora_A.{adapter}", f"lora_B.{adapter}")):
            module.requires_grad_(False)


def _read(path: Path, prefix: str) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    with safe_open(path, framework="pt") as file:
        header = file.metadata() or {}
        state = {name.removeprefix(f"{prefix}."): file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    if METADATA not in header:
        raise AdapterError(f"adapter '{path}' does not tell rank and alpha in its header: export it again")
    about = json.loads(header[METADATA])
    return state, {name.removeprefix(f"{prefix}."): value for name, value in about.items()}
