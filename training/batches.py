"""The pictures of a step, put together in main memory and sent to the device without waiting for it.

Which pictures, whether mirrored or without caption, and at which noise levels are functions of seed, step and part alone.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from training import objective
from training.conditioning import Conditioning, collate, mapped
from training.config import TrainConfig
from training.data.cache import Example
from training.errors import ConfigError
from training.families import Family

SPREAD = 8  # noise levels that are drawn together at least, over several steps where a batch is smaller


@dataclass(frozen=True, kw_only=True, slots=True)
class Batch:
    """Pictures of one bucket, stacked: posterior mean and deviation [B, ...] in step layout, weights, captions, noise levels.

    `std` is None where the mode is trained on, `weights` where all of a picture counts, `generic` without prior preservation, and
    `uniform` [B] where noise levels are to be drawn for this batch alone.
    """

    mean: Tensor
    std: Tensor | None
    weights: Tensor | None
    conditioning: Conditioning
    generic: Conditioning | None
    uniform: Tensor | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """The share of a step's batch that is taken at once: the `index`-th of `count`, over processes and accumulation."""

    step: int
    index: int
    count: int

    def of(self, batch: Sequence[int]) -> list[int]:
        """This part of a batch; a short batch goes round until all parts have the same number."""
        rounds = -(-len(batch) // self.count) * self.count
        return [batch[index % len(batch)] for index in range(self.index, rounds, self.count)]

    def generator(self, seed: int, device: torch.device) -> torch.Generator:
        """Source of this part's noise."""
        return torch.Generator(device).manual_seed((seed << 32) + self.step * self.count + self.index)


def batcher(
    examples: Sequence[Example], family: Family, config: TrainConfig, device: torch.device
) -> Callable[[Sequence[int], Part], Batch]:
    """A function from picture numbers and a part to a batch on the device; ConfigError where examples lack what config asks for."""
    _check(examples, config)
    sampled = _samples_posterior(examples, config)

    def batch(numbers: Sequence[int], part: Part) -> Batch:
        choose = random.Random(f"{config.seed}/{part.step}/{part.index}")
        chosen = [_seen(examples[number], choose) for number in numbers]
        captions = [item.empty if choose.random() < config.caption_dropout else item.conditioning for item in chosen]
        generic = [item.generic for item in chosen if item.generic] if config.prior_weight else []
        return Batch(
            mean=_sent(torch.stack([item.mean for item in chosen]), device),
            std=_sent(torch.stack([item.std for item in chosen if item.std is not None]), device) if sampled else None,
            weights=_weights(chosen, device),
            conditioning=_moved([caption for caption in captions if caption], family, device),
            generic=_moved(generic, family, device) if generic else None,
            uniform=_uniform(len(numbers), part, config, device),
        )

    return batch


def _check(examples: Sequence[Example], config: TrainConfig) -> None:
    if config.caption_dropout and not all(example.empty for example in examples):
        raise ConfigError("caption_dropout: the examples hold no empty caption: encode them again with Wants(empty=True)")
    if config.prior_weight and not all(example.generic for example in examples):
        raise ConfigError("prior_weight: the examples hold no generic captions: encode them again with Wants(generic=True)")


def _samples_posterior(examples: Sequence[Example], config: TrainConfig) -> bool:
    """auto: where the spread was trained, that is below half of the latents' own; else a sample would be mostly noise."""
    if config.posterior == "mode" or not all(example.std is not None for example in examples):
        return False
    spread = sum(float(example.std.float().mean()) for example in examples if example.std is not None) / len(examples)
    latents = sum(float(example.mean.float().std()) for example in examples) / len(examples)
    return config.posterior == "sample" or spread < 0.5 * latents


def _seen(example: Example, choose: random.Random) -> Example:
    return example.flipped if example.flipped is not None and choose.random() < 0.5 else example


def _weights(chosen: Sequence[Example], device: torch.device) -> Tensor | None:
    if all(item.mask is None for item in chosen):
        return None
    return _sent(
        torch.stack([torch.ones_like(item.mean) if item.mask is None else item.mask.expand_as(item.mean) for item in chosen]),
        device,
    )


def _moved(captions: list[Conditioning], family: Family, device: torch.device) -> Conditioning:
    whole = collate(captions, family)
    parts = tuple(_all_sent(part, device) for part in whole.parts)
    return replace(_all_sent(whole, device), parts=parts)


def _all_sent(conditioning: Conditioning, device: torch.device) -> Conditioning:
    arguments = {name: mapped(node, lambda leaf: _sent(leaf, device)) for name, node in conditioning.arguments.items()}
    return replace(conditioning, arguments=arguments)


def _sent(tensor: Tensor, device: torch.device) -> Tensor:
    """On the device; from page-locked memory, so that the copy does not hold up the host."""
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)


def _uniform(count: int, part: Part, config: TrainConfig, device: torch.device) -> Tensor | None:
    """Stratified draws for `count` pictures of a part, shared by the parts of a step and by steps enough to make SPREAD of them."""
    whole = -(-config.batch_size // part.count) * part.count
    window = -(-SPREAD // whole)
    if part.count == window == 1:
        return None
    generator = torch.Generator(device).manual_seed(-((config.seed << 32) + part.step // window + 1))  # apart from the noise's
    draws = objective.stratified(whole * window, generator)
    start = part.step % window * whole
    return draws[start : start + whole][part.index :: part.count][:count]
