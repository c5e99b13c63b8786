"""Train what inference runs: record the call that a pipeline makes to its denoiser, and replay it in the loop.

A pipeline's own `__call__` is run with a scheduler that stops at the first step (`recording`). Runs that differ in one input each
show which argument carries the latents and which the timestep, how the timestep is written, and what happens to the answer before
it reaches `scheduler.step` (`wiring`); the other arguments are the conditioning of a caption. Nothing here knows a family by name.

Latents are in *step layout* throughout: shaped as `scheduler.step` gets them, of unit variance scale (a scheduler that rescales
its model input sees the same denoiser).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from training.conditioning import Conditioning, ReplayError, Wiring, collate, mapped
from training.families import Family, objective_of
from training.latents import as_pipeline_input
from training.recording import first_call, first_step, stacked
from training.wiring import EARLY, clocked, predicted, presented, probe

__all__ = ["Conditioning", "ReplayError", "Wiring", "collate", "oracle", "predict", "probe", "record", "timesteps_for"]


def record(pipe: Any, family: Family, prompt: str, height: int, width: int, *, wiring: Wiring | None = None) -> Conditioning:
    """Conditioning of one caption for pictures of height x width pixels.

    Give the `wiring` of an earlier recording of the same pipeline, and the denoiser is not run at all.
    Raises ReplayError where the pipeline's call can not be replayed.
    """
    wiring = wiring or probe(pipe, family, height, width)
    call = first_call(pipe, family, [prompt], height, width, timestep=EARLY)
    kept = {name: mapped(node, lambda leaf: leaf.detach().clone()) for name, node in call.arguments.items()}
    del kept[wiring.latents], kept[wiring.timestep]
    return Conditioning(family=family.name, wiring=wiring, shift=call.shift, arguments=kept)


def predict(denoiser: Callable[..., Any], family: Family, latents: Tensor, timesteps: Tensor, conditioning: Conditioning) -> Tensor:
    """The denoiser's prediction in the layout and sign that `scheduler.step` gets, differentiable.

    `latents` [B, ...] in step layout, `timesteps` [B] in scheduler units; computed in the conditioning's precision.
    """
    if conditioning.family != family.name:
        raise ReplayError(f"conditioning was recorded for {conditioning.family!r}, got {family.name!r}: encode the captions again")
    if conditioning.parts:
        rows = zip(_apart(latents), _apart(timesteps), conditioning.parts, strict=True)
        return torch.cat([predict(denoiser, family, *row) for row in rows])
    wiring = conditioning.wiring
    answer = denoiser(
        **conditioning.arguments,
        **{wiring.latents: presented(wiring, latents.to(conditioning.dtype)), wiring.timestep: clocked(wiring, timesteps)},
    )
    return predicted(wiring, stacked(answer), latents)


def oracle(
    pipe: Any, family: Family, latents: Tensor, timesteps: Tensor, prompt: str | Sequence[str], height: int, width: int
) -> Tensor:
    """The pipeline's own maths: what it hands to `scheduler.step` for `latents` [B, ...] in step layout at `timesteps` [B].

    Each picture goes through the pipeline alone, as a timestep of inference is one for all.
    """
    prompts = [prompt] * len(latents) if isinstance(prompt, str) else list(prompt)
    predictions = []
    for row, text, timestep in zip(_apart(latents), prompts, timesteps.tolist(), strict=True):
        start = as_pipeline_input(pipe, family, row, height, width)
        predictions.append(first_step(pipe, family, [text], height, width, timestep=timestep, latents=start).prediction)
    return torch.cat(predictions)


def timesteps_for(scheduler: Any, sigma: Tensor) -> Tensor:
    """Scheduler timesteps for noise levels in [0, 1]: N sigma for flow, else the discrete step at or below it."""
    count: int = scheduler.config.num_train_timesteps
    return sigma * count if objective_of(scheduler) == "flow" else (sigma * count).long().clamp(0, count - 1)


def _apart(batch: Tensor) -> list[Tensor]:
    """A batch as batches of one."""
    return [batch[index : index + 1] for index in range(len(batch))]
