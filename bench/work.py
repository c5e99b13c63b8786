"""What a step costs apart from time: floating-point operations, bytes kept for backward, noise of the loss estimate."""

from __future__ import annotations

import copy
import re
from dataclasses import replace

import torch
from loops import CPU, Ours
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from training.losses import asker


class NaiveAdapter(nn.Module):
    """W x + B A x, as one writes it first."""

    def __init__(self, layer: nn.Module, rank: int) -> None:
        super().__init__()
        self.layer = layer
        self.down = nn.Parameter(torch.randn(rank, layer.in_features) / rank)
        self.up = nn.Parameter(torch.zeros(layer.out_features, rank))

    def forward(self, x: Tensor) -> Tensor:
        added: Tensor = self.layer(x) + (x @ self.down.T) @ self.up.T
        return added


def naive_adapters(ours: Ours) -> nn.Module:
    """The same denoiser with plain adapters on the same layers."""
    from training.base import load_pipeline

    denoiser: nn.Module = copy.deepcopy(getattr(load_pipeline(ours.base, torch.float32), ours.base.family.denoiser))
    chosen = [name for name, _ in denoiser.named_modules() if re.fullmatch(ours.base.family.targets, name)]
    for name in chosen:
        holder, _, leaf = name.rpartition(".")
        parent = denoiser.get_submodule(holder)
        layer = NaiveAdapter(denoiser.get_submodule(name), ours.config.rank)
        if isinstance(parent, nn.ModuleList):
            parent[int(leaf)] = layer
        else:
            setattr(parent, leaf, layer)
    return denoiser


def step_flops(denoiser: nn.Module, ours: Ours) -> int:
    """Floating-point operations of one forward and backward."""
    question = ours.question()
    with FlopCounterMode(display=False) as counter:
        question.loss(denoiser).backward()
    denoiser.zero_grad(set_to_none=True)
    return int(counter.get_total_flops())


def backward_bytes(denoiser: nn.Module, ours: Ours) -> int:
    """Bytes of distinct storages kept between forward and backward, weights not counted."""
    question, kept = ours.question(), dict[int, int]()
    weights = {parameter.untyped_storage().data_ptr() for parameter in denoiser.parameters()}
    alive: list[Tensor] = []  # so that no address is given out twice

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            alive.append(tensor)
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        question.loss(denoiser)
    return sum(kept.values())


@torch.no_grad()
def variance_ratio(ours: Ours, *, draws: int) -> float:
    """Variance of a batch's mean loss over draws of noise and noise levels: stratified over independent."""
    ask = asker(ours.base.family, ours.pipe.scheduler, ours.config, CPU)
    batch = ours.batch()

    def estimate(draw: int, uniform: Tensor | None) -> Tensor:
        return ask(ours.trainee.denoiser, replace(batch, uniform=uniform), torch.Generator().manual_seed(draw)).mean()

    independent = torch.rand(draws, len(batch.mean), generator=torch.Generator().manual_seed(0)).clamp(1e-5, 1 - 1e-5)
    stratified = torch.stack([estimate(draw, None) for draw in range(draws)])
    plain = torch.stack([estimate(draw, independent[draw]) for draw in range(draws)])
    return float(stratified.var() / plain.var())
