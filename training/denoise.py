"""Train what inference runs: record the call that a pipeline makes to its denoiser, and replay it in the loop.

A pipeline's own `__call__` is run with a scheduler that stops at the first step. Runs that differ in one input each show which
argument carries the latents and which the timestep, how the timestep is written, and what happens to the answer before it reaches
`scheduler.step`; the other arguments are the conditioning of a caption. Nothing here knows a family by name.

Latents are in *step layout* throughout: shaped as `scheduler.step` gets them, of unit variance scale (a scheduler that rescales
its model input sees the same denoiser).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from training.conditioning import Conditioning, Node, ReplayError, Wiring, batched_paths, collate, mapped, same
from training.families import Family, objective_of
from training.latents import as_pipeline_input

__all__ = ["Conditioning", "ReplayError", "Wiring", "collate", "oracle", "predict", "probe", "record", "timesteps_for"]


def record(pipe: Any, family: Family, prompt: str, height: int, width: int, *, wiring: Wiring | None = None) -> Conditioning:
    """Conditioning of one caption for pictures of height x width pixels.

    Give the `wiring` of an earlier recording of the same pipeline, and the denoiser is not run at all.
    Raises ReplayError where the pipeline's call can not be replayed.
    """
    wiring = wiring or probe(pipe, family, height, width)
    arguments = _first_call(pipe, family, [prompt], height, width, seed=0, time=_EARLY)
    kept = {name: mapped(node, lambda leaf: leaf.detach().clone()) for name, node in arguments.items()}
    del kept[wiring.latents], kept[wiring.timestep]
    return Conditioning(family=family.name, wiring=wiring, arguments=kept)


def predict(denoiser: Callable[..., Any], family: Family, latents: Tensor, timesteps: Tensor, conditioning: Conditioning) -> Tensor:
    """The denoiser's prediction in the layout and sign that `scheduler.step` gets, differentiable.

    `latents` [B, ...] in step layout, `timesteps` [B] in scheduler units; computed in the conditioning's precision.
    """
    if conditioning.family != family.name:
        raise ReplayError(f"conditioning was recorded for {conditioning.family!r}, got {family.name!r}: encode the captions again")
    wiring = conditioning.wiring
    answer = denoiser(
        **conditioning.arguments,
        **{wiring.latents: _presented(wiring, latents.to(conditioning.dtype)), wiring.timestep: _clock(wiring, timesteps)},
    )
    return wiring.sign * _squeezed(_stacked(answer), wiring.extra_axis)


def oracle(
    pipe: Any, family: Family, latents: Tensor, timesteps: Tensor, prompt: str | Sequence[str], height: int, width: int
) -> Tensor:
    """The pipeline's own maths: what it hands to `scheduler.step` for `latents` [B, ...] in step layout at `timesteps` [B]."""
    prompts = [prompt] * len(latents) if isinstance(prompt, str) else list(prompt)
    start = as_pipeline_input(pipe, family, latents, height, width)
    return _first_step(pipe, family, prompts, height, width, timesteps, latents=start)[0]


def timesteps_for(scheduler: Any, sigma: Tensor) -> Tensor:
    """Scheduler timesteps for noise levels in [0, 1]: N sigma for flow, else the discrete step at or below it."""
    count: int = scheduler.config.num_train_timesteps
    return sigma * count if objective_of(scheduler) == "flow" else (sigma * count).long().clamp(0, count - 1)


def probe(pipe: Any, family: Family, height: int, width: int) -> Wiring:
    """How this pipeline calls its denoiser, found by changing one input at a time; runs the denoiser once."""
    first = _first_call(pipe, family, [_PROBE], height, width, seed=0, time=_EARLY)
    later = _first_call(pipe, family, [_PROBE], height, width, seed=0, time=_LATE)
    other = _first_call(pipe, family, [_PROBE], height, width, seed=1, time=_EARLY)
    pair = _first_call(pipe, family, [_PROBE, _PROBE], height, width, seed=0, time=_EARLY)
    timestep, latents = _only_change(first, later, "timestep"), _only_change(first, other, "latents")
    answer, prediction, sample = _first_answer(pipe, family, height, width)
    as_list, extra_axis = _presentation(first[latents], sample)
    clock_sign, clock_shift, clock_scale = _clock_rule(first[timestep], later[timestep], pipe.scheduler.config.num_train_timesteps)
    shared = {name: node for name, node in first.items() if name not in (latents, timestep)}
    return Wiring(
        latents=latents,
        as_list=as_list,
        extra_axis=extra_axis,
        timestep=timestep,
        clock_sign=clock_sign,
        clock_shift=clock_shift,
        clock_scale=clock_scale,
        clock_dtype=str(first[timestep].dtype).removeprefix("torch."),
        sign=_sign(_squeezed(answer, extra_axis), prediction),
        batched=tuple(path for name, node in shared.items() for path in batched_paths(node, pair[name], name)),
    )


_EARLY, _LATE = 768.0, 256.0  # exact in bfloat16, so that probing is exact at any precision
_PROBE = "a picture"


class _Stop(Exception):
    """The scheduler has what it waits for."""


class _Seen(Exception):
    """The denoiser is about to be called."""


class _RecordingScheduler:
    """Stands in for `pipe.scheduler`: one iteration at a timestep a picture; `step` keeps what it is given and stops."""

    order = 1
    init_noise_sigma = 1.0

    def __init__(self, inner: Any, timesteps: Tensor) -> None:
        def set_timesteps(*args: Any, **kwargs: Any) -> None:
            """Keep the one iteration, whatever schedule is asked for."""

        set_timesteps.__signature__ = inspect.signature(inner.set_timesteps)  # type: ignore[attr-defined]  # pipelines look at it
        self.inner = inner
        self.set_timesteps = set_timesteps
        self.timesteps = timesteps[None]
        self.captured: tuple[Tensor, Tensor] | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def scale_model_input(self, sample: Tensor, timestep: Any) -> Tensor:
        return sample

    def set_begin_index(self, begin_index: int = 0) -> None:
        """The one iteration has no index."""

    def step(self, prediction: Tensor, timestep: Any, sample: Tensor, **kwargs: Any) -> None:
        self.captured = prediction, sample
        raise _Stop


@contextmanager
def _recording(pipe: Any, timesteps: Tensor) -> Iterator[_RecordingScheduler]:
    scheduler, bar = pipe.scheduler, getattr(pipe, "_progress_bar_config", {})
    recorder = _RecordingScheduler(scheduler, timesteps)
    pipe.scheduler = recorder
    pipe.set_progress_bar_config(disable=True)
    try:
        yield recorder
    except _Stop:
        pass
    finally:
        pipe.scheduler = scheduler
        pipe.set_progress_bar_config(**bar)


def _first_step(
    pipe: Any, family: Family, prompts: list[str], height: int, width: int, timesteps: Tensor, **start: Any
) -> tuple[Tensor, Tensor]:
    """Run the pipeline to its first `scheduler.step`: (prediction, sample)."""
    call = {"prompt": list(prompts), "height": height, "width": width, "num_inference_steps": 1, "output_type": "latent"}
    with _recording(pipe, timesteps) as recorder:
        with_gradients = inspect.unwrap(type(pipe).__call__)  # without the pipeline's torch.no_grad
        with_gradients(pipe, **call, **family.call, **start)
    if recorder.captured is None:
        raise ReplayError(f"{type(pipe).__name__} never called scheduler.step: this diffusers version is not supported")
    return recorder.captured


def _first_call(
    pipe: Any, family: Family, prompts: list[str], height: int, width: int, *, seed: int, time: float
) -> dict[str, Node]:
    """Run the pipeline to its first call of the denoiser: the arguments by name."""
    seen: dict[str, Node] = {}

    def stop(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        seen.update(inspect.signature(module.forward).bind(*args, **kwargs).arguments)
        raise _Seen

    handle = getattr(pipe, family.denoiser).register_forward_pre_hook(stop, with_kwargs=True)
    try:
        with torch.no_grad():
            _first_step(pipe, family, prompts, height, width, _times(pipe, len(prompts), time), generator=_generator(seed))
    except _Seen:
        return seen
    finally:
        handle.remove()
    raise ReplayError(f"{type(pipe).__name__} called scheduler.step without calling its {family.denoiser}")


def _first_answer(pipe: Any, family: Family, height: int, width: int) -> tuple[Tensor, Tensor, Tensor]:
    """Run the probe through the denoiser: (its answer, the prediction that the scheduler gets, the sample that it gets)."""
    answers: list[Any] = []
    handle = getattr(pipe, family.denoiser).register_forward_hook(lambda module, args, output: answers.append(output))
    try:
        with torch.no_grad():
            prediction, sample = _first_step(
                pipe, family, [_PROBE], height, width, _times(pipe, 1, _EARLY), generator=_generator(0)
            )
    finally:
        handle.remove()
    if len(answers) != 1:
        raise ReplayError(f"{type(pipe).__name__} runs its denoiser {len(answers)} times a step: guidance is not off")
    return _stacked(answers[0]), prediction, sample


def _times(pipe: Any, count: int, time: float) -> Tensor:
    return torch.full((count,), time, device=pipe._execution_device)


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


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


def _presented(wiring: Wiring, latents: Tensor) -> Tensor | list[Tensor]:
    whole = latents if wiring.extra_axis is None else latents.unsqueeze(wiring.extra_axis)
    return list(whole.unbind(0)) if wiring.as_list else whole


def _clock_rule(early: Tensor, late: Tensor, count: int) -> tuple[int, int, int]:
    """(sign, shift, scale) so that the denoiser gets (shift + sign * t) / scale, exactly: as the pipelines write it."""
    clocks = torch.tensor([_EARLY, _LATE], dtype=early.dtype)
    received = torch.stack([early.flatten()[0], late.flatten()[0]]).cpu()
    for sign, shift, scale in ((1, 0, 1), (1, 0, count), (-1, count, count), (-1, count, 1), (1, -1, 1)):
        if torch.equal((shift + sign * clocks) / scale, received):
            return sign, shift, scale
    raise ReplayError(f"the denoiser gets {received.tolist()} for the timesteps {clocks.tolist()}, which no known clock explains")


def _clock(wiring: Wiring, timesteps: Tensor) -> Tensor:
    exact = timesteps.to(getattr(torch, wiring.clock_dtype))
    return (wiring.clock_shift + wiring.clock_sign * exact) / wiring.clock_scale


def _sign(answer: Tensor, prediction: Tensor) -> int:
    for sign in (1, -1):
        if same(sign * answer.to(prediction.dtype), prediction):
            return sign
    raise ReplayError("the scheduler is not given the denoiser's answer or its negative: this call cannot be replayed")


def _stacked(answer: Any) -> Tensor:
    """The denoiser's answer as one tensor, however it is wrapped."""
    inner = answer[0] if isinstance(answer, tuple) else answer.sample
    return torch.stack(inner) if isinstance(inner, list) else inner


def _squeezed(answer: Tensor, axis: int | None) -> Tensor:
    return answer if axis is None else answer.squeeze(axis)
