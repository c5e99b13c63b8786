"""What the loop is given: a base that may be trained, its denoiser alone on the device, an adapter in it, a held-out loss."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from training.adapter import inject
from training.base import Base
from training.compiling import compile_where_it_pays
from training.config import TrainConfig
from training.data.cache import Wants
from training.errors import BaseModelError
from training.events import Events
from training.families import Family, is_distilled
from training.fit import Fit, checkpoint_gradients
from training.validation import HeldOut, stable_losses


@dataclass(frozen=True, kw_only=True, slots=True)
class Trainee:
    """A denoiser ready for the loop, the parameters to train, and how it runs, for the record."""

    denoiser: nn.Module
    parameters: Mapping[str, nn.Parameter]
    how: Mapping[str, Any]


def require_undistilled(base: Base, config: TrainConfig, events: Events) -> None:
    """Refuse step-distilled weights, whose distillation a LoRA undoes; where the job insists, warn instead."""
    index = json.loads((base.folder / "model_index.json").read_text(encoding="utf-8"))
    if not is_distilled(base.family, base.ref, index):
        return
    instead = base.family.train_instead or "its undistilled sibling"
    message = f"base '{base.ref}' is distilled to few steps, which a LoRA undoes: train on {instead}"
    if not config.train_distilled:
        raise BaseModelError(f"{message}, or set train_distilled: true")
    events.emit("warning", message=f"{message}, as train_distilled: true overrules")


def wants_of(config: TrainConfig) -> Wants:
    """What has to be encoded beside pictures and captions."""
    return Wants(empty=config.caption_dropout > 0, generic=config.prior_weight > 0)


def make_trainee(pipe: Any, base: Base, config: TrainConfig, fit: Fit, *, device: torch.device, shapes: int) -> Trainee:
    """The denoiser on the device with the configured adapter in it, the encoders out of its way; `shapes` token counts to come."""
    denoiser: nn.Module = getattr(pipe, base.family.denoiser)
    for component in pipe.components.values():
        if isinstance(component, nn.Module) and component is not denoiser:
            component.to("cpu")
    parameters = inject(
        denoiser.to(device),
        base.family,
        rank=config.rank,
        alpha=config.alpha,
        seed=config.seed,
        kind=config.adapter,
        rslora=config.rslora,
        preset=config.preset,
    )
    checkpointing = checkpoint_gradients(denoiser, config, wanted=fit.checkpointing, sound=base.family.checkpoints)
    compiled = compile_where_it_pays(denoiser, config, device=device.type, shapes=shapes)
    how = {"precision": fit.precision, "gradient_checkpointing": checkpointing, "compiled": compiled}
    return Trainee(denoiser=denoiser, parameters=parameters, how=how)


def held_out_loss(
    denoiser: nn.Module, scheduler: Any, family: Family, pictures: HeldOut, *, rows: int
) -> Callable[[], float] | None:
    """A function to the mean stable loss over `pictures`; None where there are none to measure on."""
    if not pictures:
        return None
    return lambda: float(stable_losses(denoiser, scheduler, family, pictures, rows=rows).mean())
