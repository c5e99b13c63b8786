"""A frozen base in fewer bits: what diffusers is told while it loads the denoiser. It saves memory, not time."""

from __future__ import annotations

import importlib
from typing import Any

from training.errors import ConfigError
from training.families import Family

PACKAGES = {"nf4": "bitsandbytes", "fp8": "torchao", "int8": "torchao"}  # precision -> what it needs


def is_quantised(precision: str) -> bool:
    """Whether weights of this precision are kept in fewer bits than they are computed in."""
    return precision in PACKAGES


def loading(precision: str, family: Family) -> dict[str, Any]:
    """Arguments of `from_pretrained` that quantise the denoiser and nothing else; none for plain precisions.

    Raises ConfigError where the library for it is missing.
    """
    if not is_quantised(precision):
        return {}
    try:
        importlib.import_module(PACKAGES[precision])
    except ImportError as error:
        message = f"precision: '{precision}' needs the package {PACKAGES[precision]}, which is not here"
        raise ConfigError(f"{message}: pip install {PACKAGES[precision]}, or set precision: bf16") from error
    from diffusers import PipelineQuantizationConfig

    return {"quantization_config": PipelineQuantizationConfig(quant_mapping={family.denoiser: _config(precision)})}


def _config(precision: str) -> Any:
    import torch

    if precision == "nf4":
        from diffusers import BitsAndBytesConfig

        kinds = {"bnb_4bit_quant_type": "nf4", "bnb_4bit_compute_dtype": torch.bfloat16}
        return BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_use_double_quant=True, **kinds)
    from diffusers import TorchAoConfig

    kind = {"fp8": "Float8WeightOnlyConfig", "int8": "Int8WeightOnlyConfig"}[precision]
    return TorchAoConfig(getattr(importlib.import_module("torchao.quantization"), kind)())
