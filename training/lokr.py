"""A Kronecker adapter as the LoRA that it equals, since few loaders take LoKr.

LoKr changes a weight by W1 ⊗ (B A). By the mixed-product rule that is (W1 ⊗ B)(I ⊗ A): a LoRA whose rank is that of B times the
columns of W1. (Edalati et al. 2022, Yeh et al. 2024)
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

FACTOR = 8  # side of W1 where it divides the layer's: the LoRA's rank is at most this many times the LoKr's


def as_lora(layer: Any, adapter: str) -> tuple[Tensor, Tensor]:
    """Factors (A [rank, in], B [out, rank]) of a trained peft LoKr layer over a linear one, its scaling within B, in float32."""
    outer = layer.lokr_w1[adapter].detach().float() * layer.scaling[adapter]
    up, down = _inner(layer, adapter)
    return torch.kron(torch.eye(outer.shape[1], device=outer.device), down).contiguous(), torch.kron(outer, up).contiguous()


def _inner(layer: Any, adapter: str) -> tuple[Tensor, Tensor]:
    """W2 as a product; whole where its rank is not below its sides."""
    if adapter not in layer.lokr_w2:
        return layer.lokr_w2_a[adapter].detach().float(), layer.lokr_w2_b[adapter].detach().float()
    whole = layer.lokr_w2[adapter].detach().float()
    rows, columns = whole.shape
    if rows <= columns:
        return torch.eye(rows, device=whole.device), whole
    return whole, torch.eye(columns, device=whole.device)
