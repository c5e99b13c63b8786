"""How a pipeline calls its denoiser, found by changing one input at a time; nothing here knows a family by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

import torch
from torch import Tensor

from training.conditioning import Node, ReplayError, Wiring, batched_paths, same
from training.families import Family
from training.recording import first_call, first_step

# timestep in scheduler units, count of training timesteps -> what the denoiser is given, written as pipelines write it
CLOCKS: Mapping[str, Callable[[Tensor, int], Tensor]] = {
    "t": lambda t, count: t,
    "t / n": lambda t, count: t / count,
    "(n - t) / n": lambda t, count: (count - t) / count,
    "1 - t / n": lambda t, count: 1 - t / count,
}
EARLY, LATE = 839.1, 755.2  # at these two all clocks differ by more than rounding, at every precision


def probe(pipe: Any, family: Family, height: int, width: int) -> Wiring:
    """How this pipeline calls its denoiser; encodes a prompt five times and runs the denoiser once.

    Raises ReplayError where the call can not be replayed.
    """
    first = first_call(pipe, family, [_PROMPT], height, width, timestep=EARLY).arguments
    later = first_call(pipe, family, [_PROMPT], height, width, timestep=LATE).arguments
    other = first_call(pipe, family, [_PROMPT], height, width, timestep=EARLY, seed=1).arguments
    pair = first_call(pipe, family, [_PROMPT, _PROMPT], height, width, timestep=EARLY).arguments
    timestep, latents = _only_change(first, later, "timestep"), _only_change(first, other, "latents")
    with torch.no_grad():
        step = first_step(pipe, family, [_PROMPT], height, width, timestep=EARLY, generator=torch.Generator().manual_seed(0))
    as_list, extra_axis = _presentation(first[latents], step.sample)
    count = int(pipe.scheduler.config.num_train_timesteps)
    clock, cast = _clock(first[timestep], later[timestep], count)
    sign, kept = _sign(squeezed(step.answer, extra_axis), step.prediction)
    shared = {name: node for name, node in first.items() if name not in (latents, timestep)}
    return Wiring(
        latents=latents,
        as_list=as_list,
        extra_axis=extra_axis,
        timestep=timestep,
        clock=clock,
        clock_count=count,
        clock_cast=cast,
        clock_dtype=str(first[timestep].dtype).removeprefix("torch."),
        sign=sign,
        kept=kept,
        batched={path: axis for name, node in shared.items() for path, axis in batched_paths(node, pair[name], name)},
    )


def presented(wiring: Wiring, latents: Tensor) -> Tensor | list[Tensor]:
    """Latents in step layout as the denoiser is given them."""
    whole = latents if wiring.extra_axis is None else latents.unsqueeze(wiring.extra_axis)
    return list(whole.unbind(0)) if wiring.as_list else whole


def clocked(wiring: Wiring, timesteps: Tensor) -> Tensor:
    """Timesteps [B] in scheduler units as the denoiser is given them."""
    dtype = getattr(torch, wiring.clock_dtype)
    exact = timesteps.to(dtype if wiring.clock_cast == "before" else torch.float32)
    return CLOCKS[wiring.clock](exact, wiring.clock_count).to(dtype)


def predicted(wiring: Wiring, answer: Tensor, latents: Tensor) -> Tensor:
    """What the scheduler is given of the denoiser's answer to `latents` (step layout)."""
    return wiring.sign * _narrowed(squeezed(answer, wiring.extra_axis), wiring.kept, latents.shape[1])


def squeezed(answer: Tensor, axis: int | None) -> Tensor:
    """The answer without the axis of size one that the scheduler's latents lack."""
    return answer if axis is None else answer.squeeze(axis)


_PROMPT = "a picture"


def _only_change(before: dict[str, Node], after: dict[str, Node], what: str) -> str:
    changed = [name for name in before if not same(before[name], after[name])]
    if len(changed) != 1:
        raise ReplayError(
            f"a change of the {what} changes the denoiser's arguments {changed}, expected one: this call cannot be replayed"
        )
    return changed[0]


def _presentation(given: Node, sample: Tensor) -> tuple[bool, int | None]:
    """How the scheduler's sample becomes what the denoiser is given: (as a list, axis of size one put in)."""
    as_list = isinstance(given, list)
    whole = torch.stack(given) if as_list else given
    for axis in (None, *range(1, sample.dim() + 1)):
        if same(whole, (sample if axis is None else sample.unsqueeze(axis)).to(whole.dtype)):
            return as_list, axis
    raise ReplayError(f"the denoiser is given latents {tuple(whole.shape)} that are not the scheduler's {tuple(sample.shape)}")


def _clock(early: Tensor, late: Tensor, count: int) -> tuple[str, Literal["before", "after"]]:
    """The clock and the moment of its cast that give what the denoiser received, exactly."""
    received = torch.stack([early.flatten()[0], late.flatten()[0]]).cpu()
    asked = torch.tensor([EARLY, LATE])
    moments: tuple[Literal["before", "after"], ...] = ("before", "after")
    for name, clock in CLOCKS.items():
        for cast in moments:
            if torch.equal(clock(asked.to(received.dtype) if cast == "before" else asked, count).to(received.dtype), received):
                return name, cast
    raise ReplayError(f"the denoiser gets {received.tolist()} for the timesteps {asked.tolist()}, which no known clock explains")


def _sign(answer: Tensor, prediction: Tensor) -> tuple[int, Literal["all", "first", "last"]]:
    """Sign, and part along axis 1, of the answer that the scheduler is given."""
    parts: tuple[Literal["all", "first", "last"], ...] = ("all", "first", "last")
    for kept in parts:
        for sign in (1, -1):
            if same(sign * _narrowed(answer, kept, prediction.shape[1]).to(prediction.dtype), prediction):
                return sign, kept
    raise ReplayError(
        "the scheduler is not given the denoiser's answer, its negative or a part of it: this call cannot be replayed"
    )


def _narrowed(answer: Tensor, kept: Literal["all", "first", "last"], length: int) -> Tensor:
    if kept == "all":
        return answer
    return answer[:, :length] if kept == "first" else answer[:, -length:]
