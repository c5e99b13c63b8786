"""The loop under test, made ready on the embedded base and the demo's pictures, and timed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor

from training import loop
from training.base import load_pipeline, locate
from training.config import TrainConfig
from training.data.cache import encode_pictures, load_pixels
from training.data.manifest import read_dataset
from training.data.prepare import DatasetOptions, prepare
from training.events import Events
from training.fit import fit_for
from training.losses import asker
from training.optimizers import make_optimizer
from training.trainee import make_trainee

ROOT = Path(__file__).resolve().parent.parent
DEMO = ROOT / "examples" / "emoji"
CPU = torch.device("cpu")


class Clock(Events):
    """Notes when each log point was."""

    def __init__(self) -> None:
        super().__init__()
        self.at: list[float] = []

    def emit(self, event: str, **fields: object) -> None:
        self.at.append(time.perf_counter())


class Ours:
    """The trainer's own pieces over the demo's job."""

    def __init__(self, folder: Path, **changes: Any) -> None:
        from accelerate import Accelerator

        self.folder, self.runs = folder, 0
        prepare(DEMO / "pictures", folder / "dataset", DatasetOptions(resolution=64, held_out=DEMO / "held_out"))
        self.dataset = read_dataset(folder / "dataset")
        self.config = config_for(folder).model_copy(update=changes)
        self.base = locate(self.config.base)
        self.pipe = load_pipeline(self.base, torch.float32)
        encode = partial(encode_pictures, self.dataset, pipe=self.pipe, base=self.base, folder=self.config.cache)
        self.examples = encode(self.dataset.split("train")).examples
        held_out = self.dataset.split("held_out")
        self.held_out = tuple(zip(held_out, encode(held_out).examples, strict=True))
        fit = fit_for(self.config, device="cpu", free=None, memory=None)
        self.trainee = make_trainee(self.pipe, self.base, self.config, fit, device=CPU, shapes=1)
        self.accelerator = Accelerator(cpu=True)

    def train(self, steps: int, *, held_out_loss: Callable[[], float] | None = None, **changes: Any) -> tuple[list[Any], Clock]:
        """The loop itself, in a work folder of its own; its curve and its log points."""
        self.runs += 1
        clock = Clock()
        curve = loop.train(
            self.trainee.denoiser,
            self.trainee.parameters,
            self.base.family,
            self.pipe.scheduler,
            self.examples,
            self.config.model_copy(update={"steps": steps, **changes}),
            accelerator=self.accelerator,
            work=self.folder / f"work-{self.runs}",
            terms={},
            events=clock,
            held_out_loss=held_out_loss,
        )
        return curve, clock

    def seconds(self, steps: int) -> float:
        """Wall time of `steps` warm steps: the second half of a run of twice as many."""
        _, clock = self.train(2 * steps, log_every=steps, checkpoint_every=2 * steps)
        return clock.at[-1] - clock.at[-2]

    def question(self) -> Question:
        """One batch as the loop asks it: what the denoiser is given and what it should answer."""
        asked: list[dict[str, Any]] = []
        handle = self.trainee.denoiser.register_forward_pre_hook(lambda _, args, kwargs: asked.append(kwargs), with_kwargs=True)
        batch, generator = self.batch(), torch.Generator().manual_seed(0)
        asker(self.base.family, self.pipe.scheduler, self.config, CPU)(self.trainee.denoiser, batch, generator)
        handle.remove()
        return Question(arguments=asked[0], target=torch.randn(batch.mean.shape, generator=generator))

    def batch(self) -> Any:
        from training.batches import Part, batcher

        fetch = batcher(self.examples, self.base.family, self.config, CPU)
        return fetch(list(range(self.config.batch_size)), Part(step=0, index=0, count=1))


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """Arguments of the denoiser, and a target of the shape of its answer."""

    arguments: dict[str, Any]
    target: Tensor

    def loss(self, denoiser: torch.nn.Module) -> Tensor:
        answer = denoiser(**self.arguments)[0]
        stacked = torch.stack(list(answer)) if isinstance(answer, (list, tuple)) else answer
        return (stacked.float().reshape(self.target.shape) - self.target).square().mean()


def compiled(folder: Path) -> tuple[Ours, float] | None:
    """The loop with `compile: "on"` and the seconds until its first step is done; None where there is no C++ compiler."""
    if not shutil.which(os.environ.get("CXX", "g++")):
        return None
    ours = Ours(folder, compile="on")
    begun = time.perf_counter()
    ours.train(1)
    return ours, time.perf_counter() - begun


class BareStep:
    """Forward, backward and optimizer step on one batch that is ready, and nothing else."""

    def __init__(self, ours: Ours) -> None:
        self.denoiser, self.question = ours.trainee.denoiser, ours.question()
        self.optimizer = make_optimizer(ours.trainee.parameters, ours.config)
        for group in self.optimizer.param_groups:
            group["lr"] = 0.0  # the weights are shared with the loop beside

    def seconds(self, steps: int) -> float:
        """Wall time of `steps` warm steps, after as many to warm up."""
        for _ in range(steps):
            self.step()
        begun = time.perf_counter()
        for _ in range(steps):
            self.step()
        return time.perf_counter() - begun

    def step(self) -> None:
        self.question.loss(self.denoiser).backward()
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)


def config_for(folder: Path) -> TrainConfig:
    """The demo's training, its cache and dataset in `folder`."""
    job = yaml.safe_load((DEMO / "job.yaml").read_text())
    places = {"base": str(ROOT / "examples" / "base"), "dataset": folder / "dataset", "cache": folder / "cache"}
    asked = job["training"] | {"caption_dropout": 0.0}  # the plain loops have none
    return TrainConfig.model_validate(asked | {"inference": job["inference"]} | places)


def pictures_of(ours: Ours) -> tuple[Tensor, list[str]]:
    """Training pictures [N, 3, H, W] in [-1, 1] and their captions, for the plain loops."""
    chosen = ours.dataset.split("train")
    return torch.stack([load_pixels(ours.dataset.folder / one.path) for one in chosen]), [one.caption for one in chosen]


def first_step_seconds(folder: Path) -> tuple[float, float]:
    """From the start of the command to the end of the first step: with an empty cache, with a full one."""
    config = config_for(folder).model_copy(update={"steps": 1, "log_every": 1, "cache": folder / "cache-of-first-step"})
    (folder / "first.json").write_text(config.model_dump_json())
    return tuple(_until_first_step(folder, turn) for turn in ("cold", "warm"))  # type: ignore[return-value]


def _until_first_step(folder: Path, turn: str) -> float:
    events, out = folder / f"{turn}.jsonl", folder / f"first-{turn}"
    command = [sys.executable, "-m", "training.run", "train", "--config", str(folder / "first.json"), "--out", str(out)]
    begun = time.perf_counter()
    process = subprocess.Popen([*command, "--work", str(out / "work"), "--events", str(events)], cwd=ROOT)
    while process.poll() is None and not _stepped(events):
        time.sleep(0.02)
    passed = time.perf_counter() - begun
    if process.wait() or not _stepped(events):
        raise SystemExit(f"the training command ended with {process.returncode} before its first step")
    return passed


def _stepped(events: Path) -> bool:
    lines = events.read_text().splitlines() if events.exists() else []
    return any(line.endswith("}") and json.loads(line).get("stage") == "train" and "loss" in line for line in lines)
