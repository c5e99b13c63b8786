"""The trainable part: adapter layers put into a frozen denoiser, their names, and switching them off."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from training.errors import BaseModelError
from training.families import Family
from training.fused import fuse
from training.lokr import FACTOR, as_lora
from training.presets import targets_for

ADAPTER = "default"


def inject(
    denoiser: nn.Module,
    family: Family,
    *,
    rank: int,
    alpha: float,
    seed: int,
    kind: str = "lora",
    rslora: bool = False,
    preset: str = "none",
) -> dict[str, nn.Parameter]:
    """Put adapter layers into the denoiser, in place; their parameters by name, float32, the same for the same seed.

    Raises BaseModelError where the denoiser has none of the layers that family and preset name.
    """
    from peft import LoKrConfig, LoraConfig, inject_adapter_in_model

    targets = targets_for(denoiser, family, preset)
    config: Any
    if kind == "lokr":
        config = LoKrConfig(r=rank, alpha=alpha, target_modules=f"({targets})", decompose_factor=FACTOR)
    else:
        config = LoraConfig(r=rank, lora_alpha=alpha, target_modules=f"({targets})", init_lora_weights=True, use_rslora=rslora)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        try:
            inject_adapter_in_model(config, denoiser, adapter_name=ADAPTER)
        except ValueError as error:
            raise BaseModelError(f"the {family.name} denoiser has no layer that matches {family.targets!r}: wrong base?") from error
    for name, module in denoiser.named_modules():
        if re.fullmatch(family.train_mode, name):
            module.register_forward_pre_hook(_training_with_gradients)
    parameters = {name: parameter for name, parameter in denoiser.named_parameters() if parameter.requires_grad}
    for parameter in parameters.values():
        parameter.data = parameter.data.float()
    fuse(denoiser)
    return parameters


def _training_with_gradients(module: nn.Module, arguments: Any) -> None:
    module.training = torch.is_grad_enabled()


def adapter_state(denoiser: nn.Module, adapter: str = ADAPTER) -> dict[str, Tensor]:
    """The adapter as LoRA tensors by module name, on the CPU, contiguous; LoKr layers as the LoRA that they equal."""
    from peft import get_peft_model_state_dict
    from peft.tuners.lokr import LoKrLayer

    state: dict[str, Tensor] = {}
    kronecker = {name: layer for name, layer in denoiser.named_modules() if isinstance(layer, LoKrLayer)}
    if not kronecker:
        state = get_peft_model_state_dict(denoiser, adapter_name=adapter)
    for name, layer in kronecker.items():
        state[f"{name}.lora_A.weight"], state[f"{name}.lora_B.weight"] = as_lora(layer, adapter)
    return {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}


def adapter_layout(denoiser: nn.Module, adapter: str = ADAPTER) -> dict[str, tuple[int, float]]:
    """Rank and alpha of each module in `adapter_state`, so that alpha / rank is its strength, whatever kind was trained."""
    from peft.tuners.lokr import LoKrLayer

    layout = {}
    for name, layer in denoiser.named_modules():
        if isinstance(layer, LoKrLayer):
            rank = as_lora(layer, adapter)[0].shape[0]
            layout[name] = rank, float(rank)
        elif adapter in getattr(layer, "lora_A", {}):
            rank = layer.r[adapter]
            layout[name] = rank, layer.scaling[adapter] * rank
    return layout


def set_strength(denoiser: nn.Module, strength: float) -> None:
    """Scale every adapter layer; 1 is the strength of training, 0 switches them off."""
    for layer in _layers(denoiser):
        for name in list(layer.scaling):
            layer.set_scale(name, strength)


def remove(denoiser: nn.Module) -> None:
    """The plain denoiser again, in place: every adapter layer gives way to the layer that it wrapped."""
    from diffusers.utils.peft_utils import recurse_remove_peft_layers

    if hasattr(denoiser, "unload_lora"):
        denoiser.unload_lora()  # type: ignore[operator]
    else:
        recurse_remove_peft_layers(denoiser)


@contextmanager
def strength(denoiser: nn.Module, value: float) -> Iterator[None]:
    """The denoiser with its adapter layers at another strength, for the while."""
    set_strength(denoiser, value)
    try:
        yield
    finally:
        set_strength(denoiser, 1.0)


@contextmanager
def without(denoiser: nn.Module) -> Iterator[None]:
    """The denoiser without its adapter layers, for the while: the base itself, at the base's own cost. No gradients meanwhile."""
    layers = list(_layers(denoiser))
    for layer in layers:
        layer.enable_adapters(False)
    try:
        with torch.no_grad():
            yield
    finally:
        for layer in layers:
            layer.enable_adapters(True)


def _layers(denoiser: nn.Module) -> Iterator[Any]:
    from peft.tuners.tuners_utils import BaseTunerLayer

    return (module for module in denoiser.modules() if isinstance(module, BaseTunerLayer))
