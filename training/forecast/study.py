"""A base and a recipe, counted on the meta device: parameters, one traced step, the autoencoder's appetite."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from types import MethodType
from typing import Any

import torch
from torch import Tensor, nn

from training.adapter import inject
from training.config import Recipe
from training.errors import BaseModelError
from training.forecast.bases import Anatomy
from training.forecast.calls import LONGISH, Setting, arguments_for, text_tokens
from training.forecast.memory import Counts, Memory, memory_of
from training.forecast.trace import Trace, trace_peak, trace_step


@dataclass(frozen=True, kw_only=True, slots=True)
class Study:
    """What is known of a run before anything is downloaded."""

    anatomy: Anatomy
    counts: Counts
    trace: Trace  # of one part of a batch
    autoencoder_bytes: int  # while it encodes or decodes one picture
    optimizer: str
    parts: float  # of a batch, that a step takes one after another
    passes: int  # forward passes with gradients a part; 2 with prior preservation, and one more without

    def memory(self, precision: str, *, checkpointing: bool) -> Memory:
        """Bytes of the run with the base in a precision, with gradient checkpointing or without."""
        return memory_of(
            self.counts,
            self.trace,
            precision=precision,
            checkpointing=checkpointing,
            optimizer=self.optimizer,
            passes=self.passes,
            autoencoder_bytes=self.autoencoder_bytes,
        )

    def step_flops(self, *, checkpointing: bool) -> float:
        """Operations of a whole optimizer step."""
        extra = (self.passes - 1) * self.trace.forward_flops
        return self.parts * (self.passes * self.trace.step_flops(checkpointing=checkpointing) + extra)

    @property
    def operations(self) -> float:
        """Calls of kernels in a whole optimizer step, about."""
        return self.parts * self.passes * self.trace.operations


def study(anatomy: Anatomy, recipe: Recipe, dtype: torch.dtype = torch.bfloat16, *, text: int | None = None) -> Study:
    """Count what a run of `recipe` on the base asks for, computing in `dtype`; `text` tokens where captions are not padded.

    BaseModelError for a denoiser that cannot be counted.
    """
    denoiser, autoencoder = anatomy.denoiser.build(), anatomy.autoencoder.build()
    linear = [module.weight.numel() for module in denoiser.modules() if isinstance(module, nn.Linear)]
    plain = _parameters(denoiser)
    side = _side(recipe.resolution, anatomy.family.multiple)
    part = -(-recipe.batch_size // recipe.gradient_accumulation)
    try:
        trace, adapter = _traced(denoiser, autoencoder, anatomy, recipe, dtype, side=side, batch=part, text=text)
        autoencoder_bytes = _autoencoder_peak(nn.Module.to(autoencoder, dtype), side, frames=anatomy.family.frames)
    except (NotImplementedError, RuntimeError, TypeError, KeyError) as error:
        reason = " ".join(str(error).split())[:160]
        raise BaseModelError(
            f"base '{anatomy.name}' cannot be counted without its weights ({reason}): train without a plan"
        ) from error
    return Study(
        anatomy=anatomy,
        counts=Counts(
            denoiser=plain,
            linear=sum(linear),
            largest_linear=max(linear, default=0),
            adapter=adapter,
            encoders=sum(_parameters(encoder.build()) for encoder in anatomy.encoders),
            autoencoder=_parameters(autoencoder),
        ),
        trace=trace,
        autoencoder_bytes=autoencoder_bytes,
        optimizer=recipe.optimizer,
        parts=recipe.batch_size / part,
        passes=2 if recipe.prior_weight else 1,
    )


def latent_cell(autoencoder: Any) -> int:
    """Side of the square of pixels that one cell of the autoencoder's grid stands for."""
    config = autoencoder.config
    if "temperal_downsample" in config:
        return int(2 ** len(config["temperal_downsample"]))
    channels = config.get("block_out_channels") or config["encoder_block_out_channels"]
    return int(2 ** (len(channels) - 1))


def _traced(
    denoiser: Any,
    autoencoder: Any,
    anatomy: Anatomy,
    recipe: Recipe,
    dtype: torch.dtype,
    *,
    side: int,
    batch: int,
    text: int | None,
) -> tuple[Trace, int]:
    """One step of the denoiser with its adapter, and the number of the adapter's parameters."""
    cells = side // latent_cell(autoencoder)
    setting = Setting(
        config=denoiser.config,
        batch=batch,
        height=cells,
        width=cells,
        text=text_tokens(anatomy.denoiser.kind, text),
        words=text or LONGISH,
        dtype=dtype,
    )
    nn.Module.to(denoiser, dtype)  # not diffusers' own `to`, which warns of layers that it keeps in float32
    with torch.device("meta"):
        adapter = inject(
            denoiser,
            anatomy.family,
            rank=recipe.rank,
            alpha=recipe.alpha,
            seed=0,
            kind=recipe.adapter,
            rslora=recipe.rslora,
            preset=recipe.preset,
        )
    _balance_experts(denoiser)
    trace = trace_step(denoiser, arguments_for(anatomy.denoiser.kind, setting))
    return trace, sum(parameter.numel() for parameter in adapter.values())


def _autoencoder_peak(autoencoder: Any, side: int, *, frames: bool) -> int:
    """The larger of encoding and decoding one picture."""
    dtype = next(autoencoder.parameters()).dtype
    channels = autoencoder.config.get("in_channels", 3)  # four where it reads opacity
    picture = torch.empty((1, channels, *([1] if frames else []), side, side), dtype=dtype, device="meta")
    grids: list[Tensor] = []

    def encode() -> None:
        answer = autoencoder.encode(picture)
        grids.append(answer.latent_dist.mean if "latent_dist" in answer else answer.latent)

    return max(trace_peak(autoencoder, encode), trace_peak(autoencoder, lambda: autoencoder.decode(grids[0])))


def _balance_experts(denoiser: nn.Module) -> None:
    """Mixtures of experts choose by values, which the meta device has not: here every expert gets its even share."""
    for module in _mixtures(denoiser):
        module.forward = MethodType(_even, module)


def _mixtures(denoiser: nn.Module) -> Iterator[nn.Module]:
    return (module for module in denoiser.modules() if hasattr(module, "experts") and hasattr(module, "num_activated_experts"))


def _even(self: Any, states: Tensor) -> Tensor:
    _, weights, _ = self.gate(states)
    repeated = states.flatten(0, -2).repeat_interleave(self.num_activated_experts, 0)
    answers = torch.cat([expert(share) for expert, share in zip(self.experts, repeated.chunk(len(self.experts)), strict=False)])
    mixed = (answers.view(*weights.shape, -1) * weights.unsqueeze(-1)).sum(1).view_as(states).to(states.dtype)
    whole: Tensor = mixed + self.shared_experts(states)
    return whole


def _side(resolution: int, multiple: int) -> int:
    return max(multiple, resolution // multiple * multiple)


def _parameters(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())
