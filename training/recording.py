"""Run a pipeline up to its first call of the denoiser, or of the scheduler, and keep what it hands over."""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from training.conditioning import Node, ReplayError
from training.families import Family, objective_of


@dataclass(frozen=True, kw_only=True, slots=True)
class Call:
    """What a pipeline hands its denoiser first: the arguments by name, and the shift of its noise levels at this size."""

    arguments: dict[str, Node]
    shift: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """What a pipeline hands `scheduler.step` first, and what its denoiser answered before."""

    answer: Tensor
    prediction: Tensor
    sample: Tensor


def first_call(pipe: Any, family: Family, prompts: list[str], height: int, width: int, *, timestep: float, seed: int = 0) -> Call:
    """Run the pipeline to its first call of the denoiser, which does not run."""
    seen: dict[str, Node] = {}

    def stop(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        seen.update(inspect.signature(module.forward).bind(*args, **kwargs).arguments)
        raise _Stop

    handle = getattr(pipe, family.denoiser).register_forward_pre_hook(stop, with_kwargs=True)
    try:
        with torch.no_grad():
            recorder = _run(pipe, family, prompts, height, width, timestep, generator=torch.Generator().manual_seed(seed))
    finally:
        handle.remove()
    if recorder.captured is not None:
        raise ReplayError(f"{type(pipe).__name__} called scheduler.step without calling its {family.denoiser}")
    return Call(arguments=seen, shift=_shift(recorder))


def first_step(pipe: Any, family: Family, prompts: list[str], height: int, width: int, *, timestep: float, **start: Any) -> Step:
    """Run the pipeline through the denoiser to its first `scheduler.step`; `start` are further arguments of its call."""
    answers: list[Any] = []
    handle = getattr(pipe, family.denoiser).register_forward_hook(lambda module, args, output: answers.append(output))
    try:
        recorder = _run(pipe, family, prompts, height, width, timestep, **start)
    finally:
        handle.remove()
    if recorder.captured is None:
        raise ReplayError(f"{type(pipe).__name__} never called scheduler.step: this diffusers version is not supported")
    if len(answers) != 1:
        raise ReplayError(f"{type(pipe).__name__} runs its denoiser {len(answers)} times a step: guidance is not off")
    prediction, sample = recorder.captured
    return Step(answer=stacked(answers[0]), prediction=prediction, sample=sample)


def stacked(answer: Any) -> Tensor:
    """The denoiser's answer as one tensor, however it is wrapped."""
    inner = answer[0] if isinstance(answer, tuple) else getattr(answer, "sample", answer)
    return torch.stack(inner) if isinstance(inner, list) else inner


@contextmanager
def sized(pipe: Any, family: Family, height: int, width: int) -> Iterator[None]:
    """The pipeline without the sizes of its own that it would round height x width to, for the while."""
    wanted = family.sized(pipe, height, width) if family.sized else {}
    before = {name: getattr(pipe, name) for name in wanted}
    try:
        for name, value in wanted.items():
            setattr(pipe, name, value)
        yield
    finally:
        for name, value in before.items():
            setattr(pipe, name, value)


class _Stop(Exception):
    """What was waited for has come."""


class _RecordingScheduler:
    """Stands in for `pipe.scheduler`: one iteration at one timestep; `step` keeps what it is given and stops."""

    order = 1
    init_noise_sigma = 1.0

    def __init__(self, inner: Any, timestep: Tensor) -> None:
        def set_timesteps(*args: Any, **kwargs: Any) -> None:
            """Keep the one iteration, whatever schedule is asked for."""
            self.asked.update(kwargs)

        set_timesteps.__signature__ = inspect.signature(inner.set_timesteps)  # type: ignore[attr-defined]  # pipelines look at it
        self.inner = inner
        self.set_timesteps = set_timesteps
        self.timesteps = timestep[None]
        self.asked: dict[str, Any] = {}
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


def _run(
    pipe: Any, family: Family, prompts: list[str], height: int, width: int, timestep: float, **start: Any
) -> _RecordingScheduler:
    """Call the pipeline until somebody stops it; its scheduler and progress bar are put back."""
    call = {"prompt": prompts, "height": height, "width": width, "num_inference_steps": family.steps, "output_type": "latent"}
    with_gradients = inspect.unwrap(type(pipe).__call__)  # without the pipeline's torch.no_grad
    with sized(pipe, family, height, width), _recording(pipe, torch.tensor(timestep, device=pipe._execution_device)) as recorder:
        with_gradients(pipe, **call, **family.options, **family.call, **start)
    return recorder


@contextmanager
def _recording(pipe: Any, timestep: Tensor) -> Iterator[_RecordingScheduler]:
    scheduler, bar = pipe.scheduler, getattr(pipe, "_progress_bar_config", {})
    recorder = _RecordingScheduler(scheduler, timestep)
    pipe.scheduler = recorder
    pipe.set_progress_bar_config(disable=True)
    try:
        with suppress(_Stop):  # the recorder's own way out, once it has what it wants
            yield recorder
    finally:
        pipe.scheduler = scheduler
        pipe.set_progress_bar_config(**bar)


def _shift(recorder: _RecordingScheduler) -> float:
    """How far inference shifts its noise levels at this size: sigma becomes shift * sigma / (1 + (shift - 1) * sigma).

    Taken from what the pipeline asked its scheduler for; the stretch that some schedules end with is left out.
    """
    config = recorder.inner.config
    if objective_of(recorder.inner) != "flow":
        return 1.0
    mu = recorder.asked.get("mu")
    if config.get("use_dynamic_shifting") and mu is not None:
        return float(mu) if config.get("time_shift_type") == "linear" else math.exp(mu)
    return float(config.get("shift") or config.get("flow_shift") or 1.0)
