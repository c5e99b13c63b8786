"""Every family in miniature: the real diffusers pipeline over tiny random weights, with real tokenizers trained on the spot.

Offline, seeded, a second or less each. Values that real checkpoints learn and tests must notice (batch-norm statistics, pad tokens,
shifts and scales) are random or odd on purpose.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import import_module
from typing import Any

import torch

# family -> the module here whose `build()` returns the pipeline; its `DEAD` names LoRA layers that no gradient reaches, and why;
# its `REFUSED` names components that cannot run in a precision
MODULES: Mapping[str, str] = {
    "sd15": "sd15",
    "sdxl": "sdxl",
    "pixart-sigma": "pixart_sigma",
    "sana": "sana",
    "sd3.5": "sd35",
    "aura-flow": "aura_flow",
    "lumina-2": "lumina2",
    "flux.2": "flux2",
    "flux.1": "flux1",
    "flux.2-klein": "flux2_klein",
    "qwen-image": "qwen_image",
    "z-image": "z_image",
    "chroma": "chroma",
    "ovis-image": "ovis_image",
    "hidream": "hidream",
    "cogview4": "cogview4",
    "krea-2": "krea2",
    "kandinsky-5": "kandinsky5",
    "ernie-image": "ernie_image",
    "longcat-image": "longcat_image",
    "qwen-image-2.1": "qwen_image21",
}


@cache
def tiny_pipeline(family: str, dtype: torch.dtype = torch.float32) -> Any:
    """The family's pipeline in miniature, built once a precision; tests must leave it as they found it."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        pipe = _module(family).build()
    for module in pipe.components.values():
        if isinstance(module, torch.nn.Module):
            module.eval().requires_grad_(False)
    refused = getattr(_module(family), "REFUSED", {})
    for role, module in pipe.components.items():
        if isinstance(module, torch.nn.Module) and refused.get(role) is not dtype:
            _cast(module, dtype)
    return pipe


def _cast(module: torch.nn.Module, dtype: torch.dtype) -> None:
    """As `from_pretrained` loads weights in `dtype`: what diffusers keeps in float32 stays so in half precision."""
    kept = (getattr(module, "_keep_in_fp32_modules", None) or []) if dtype.itemsize == 2 else []
    for name, weight in [*module.named_parameters(), *module.named_buffers()]:
        if weight.is_floating_point():
            weight.data = weight.data.to(torch.float32 if set(kept) & set(name.split(".")) else dtype)


def dead_layers(family: str) -> Mapping[str, str]:
    """LoRA layers of the tiny denoiser whose output never reaches the prediction, with the reason."""
    return getattr(_module(family), "DEAD", {})


def shortening(family: str) -> Mapping[str, Any]:
    """Arguments of the pipeline's call that keep texts short where its text encoder is deep."""
    return getattr(_module(family), "SHORTENING", {})


def _module(family: str) -> Any:
    return import_module(f"{__name__}.{MODULES[family]}")
