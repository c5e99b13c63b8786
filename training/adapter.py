"""The trainable part: LoRA layers put into a frozen denoiser, their names, and switching them off."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from training.errors import BaseModelError
from training.families import Family

ADAPTER = "default"


def inject(denoiser: nn.Module, family: Family, *, rank: int, alpha: float, seed: int) -> dict[str, nn.Parameter]:
    """Put LoRA layers into the denoiser, in place; their parameters by name, float32, the same for the same seed."""
    from peft import LoraConfig, inject_adapter_in_model

    config = LoraConfig(r=rank, lora_alpha=alpha, target_modules=f"({family.targets})", init_lora_weights=True)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        try:
            inject_adapter_in_model(config, denoiser, adapter_name=ADAPTER)
        except ValueError as error:
            raise BaseModelError(f"the {family.name} denoiser has no layer that matches {family.targets!r}: wrong base?") from error
    parameters = {name: parameter for name, parameter in denoiser.named_parameters() if parameter.requires_grad}
    for parameter in parameters.values():
        parameter.data = parameter.data.float()
    return parameters


def adapter_state(denoiser: nn.Module, adapter: str = ADAPTER) -> dict[str, Tensor]:
    """The LoRA tensors by module name, on the CPU, contiguous."""
    from peft import get_peft_model_state_dict

    state = get_peft_model_state_dict(denoiser, adapter_name=adapter)
    return {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}


def set_strength(denoiser: nn.Module, strength: float) -> None:
    """Scale every LoRA layer; 1 is the strength of training, 0 switches them off."""
    for layer in _layers(denoiser):
        for name in list(layer.scaling):
            layer.set_scale(name, strength)


@contextmanager
def strength(denoiser: nn.Module, value: float) -> Iterator[None]:
    """The denoiser with its LoRA layers at another strength, for the while."""
    set_strength(denoiser, value)
    try:
        yield
    finally:
        set_strength(denoiser, 1.0)


def _layers(denoiser: nn.Module) -> Iterator[Any]:
    from peft.tuners.lora import LoraLayer

    return (module for module in denoiser.modules() if isinstance(module, LoraLayer))
