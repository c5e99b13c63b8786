"""A LoRA layer as one function: what peft's layer computes, in fewer passes over the activations and with fewer of them kept.

peft's layer is five to seven operations, most of which write a tensor of the layer's size, and over a bfloat16 base each layer
keeps a float32 copy of its input for the backward pass. Here the low-rank products are added where the base's own are written, and
what is kept is the input as it came, once for all layers that share it.
"""

from __future__ import annotations

from types import MethodType
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable


def fuse(denoiser: nn.Module) -> None:
    """Run peft's LoRA layers over linear ones as one function each where gradients are asked for, in place.

    Modules, parameters and names stay peft's, and so do the products and their precisions; sums may round in another order. Over a
    quantised layer its own forward runs first. Without gradients peft's own code runs: what is measured, drawn and exported answers
    as it will once it is loaded.
    """
    from peft.tuners.lora import Linear, LoraLayer

    for layer in denoiser.modules():
        if isinstance(layer, LoraLayer) and isinstance(layer.base_layer, nn.Linear):
            plain = type(layer) is Linear and type(layer.base_layer) is nn.Linear
            layer.forward = MethodType(_whole if plain else _on_top, layer)


def _whole(self: Any, x: Tensor, *arguments: Any, **options: Any) -> Tensor:
    name = _adapter(self)
    if name is None or arguments or options:
        return _as_peft(self, x, *arguments, **options)
    base, down, up = self.base_layer, self.lora_A[name].weight, self.lora_B[name].weight
    answer: Tensor = _LoraLinear.apply(x, base.weight, base.bias, down, up, self.scaling[name])  # type: ignore[no-untyped-call]
    return answer


def _on_top(self: Any, x: Tensor, *arguments: Any, **options: Any) -> Tensor:
    name = _adapter(self)
    if name is None or arguments or options:
        return _as_peft(self, x, *arguments, **options)
    whole, down, up = self.base_layer(x), self.lora_A[name].weight, self.lora_B[name].weight
    answer: Tensor = _LoraAdded.apply(whole, x, down, up, self.scaling[name])  # type: ignore[no-untyped-call]
    return answer


def _adapter(layer: Any) -> str | None:
    """The one adapter at work in a layer that is asked for gradients."""
    names = [name for name in layer.active_adapters if name in layer.lora_A]
    fusible = torch.is_grad_enabled() and len(names) == 1 and not (layer.disable_adapters or layer.merged)
    return names[0] if fusible else None


def _as_peft(layer: Any, *arguments: Any, **options: Any) -> Tensor:
    answer: Tensor = type(layer).forward(layer, *arguments, **options)
    return answer


class _LoraLinear(torch.autograd.Function):
    """W x + b + scale B A x for x [..., in], frozen W [out, in] and b, trained A [rank, in] and B [out, rank]. (Hu et al. 2021)"""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, down: Tensor, up: Tensor, scale: float) -> Tensor:
        rows = _rows(x)
        inner = _scaled(rows.to(down.dtype) @ down.T, scale)
        ctx.save_for_backward(x, inner, down, up, weight)
        ctx.scale = scale
        whole = torch.nn.functional.linear(rows, weight, bias)
        return _added(whole, inner, up.T, out=whole).view(*x.shape[:-1], -1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, inner, down, up, weight = ctx.saved_tensors
        inner_gradient, *of_adapter = _adapter_gradients(gradient, x, inner, up, ctx.scale)
        if not ctx.needs_input_grad[0]:
            return None, None, None, *of_adapter, None
        of_base = _rows(gradient) @ weight
        return _added(of_base, inner_gradient, down, out=of_base).view_as(x), None, None, *of_adapter, None


class _LoraAdded(torch.autograd.Function):
    """whole + scale B A x, for the answer of any layer to x."""

    @staticmethod
    def forward(ctx: Any, whole: Tensor, x: Tensor, down: Tensor, up: Tensor, scale: float) -> Tensor:
        inner = _scaled(_rows(x).to(down.dtype) @ down.T, scale)
        ctx.save_for_backward(x, inner, down, up)
        ctx.scale = scale
        return _added(_rows(whole), inner, up.T, out=torch.empty_like(_rows(whole))).view_as(whole)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, inner, down, up = ctx.saved_tensors
        inner_gradient, *of_adapter = _adapter_gradients(gradient, x, inner, up, ctx.scale)
        of_x = (inner_gradient @ down).to(x.dtype).view_as(x) if ctx.needs_input_grad[1] else None
        return gradient, of_x, *of_adapter, None


def _adapter_gradients(gradient: Tensor, x: Tensor, inner: Tensor, up: Tensor, scale: float) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of A x, of A and of B."""
    wide = _rows(gradient).to(up.dtype)
    of_inner = _scaled(wide @ up, scale)
    return of_inner, of_inner.T @ _rows(x).to(up.dtype), wide.T @ inner


def _added(whole: Tensor, left: Tensor, right: Tensor, *, out: Tensor) -> Tensor:
    """`whole` + left @ right, rounded once where `whole` is of a lower precision."""
    if whole.dtype == left.dtype:
        return torch.addmm(whole, left, right, out=out)
    return torch.add(whole, left @ right, out=out)


def _scaled(inner: Tensor, scale: float) -> Tensor:
    return inner if scale == 1 else inner * scale


def _rows(x: Tensor) -> Tensor:
    return x.reshape(-1, x.shape[-1])
