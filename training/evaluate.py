"""Did the adapter learn? Loss on held-out pictures at fixed noise, paired with the base's, and samples at equal seeds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from training import objective
from training.adapter import strength
from training.conditioning import collate
from training.config import TrainConfig
from training.data.cache import Example
from training.data.manifest import Dataset, Picture
from training.denoise import predict, timesteps_for
from training.export import answer_of, load_adapter
from training.families import Family, objective_of
from training.grid import grid
from training.sample import Sampling, draw, save_png

SCHEMA = "lorasmith/evaluation/1"
SIGMAS = tuple((index + 0.5) / 8 for index in range(8))  # noise levels asked of every picture
LEARNED_PICTURES, LEARNED_BELOW = 20, -0.05  # fewest held-out pictures, relative loss at most
RESAMPLES, SEED = 10_000, 0
SHOWN, FIRST_SEED = 8, 1000

Progress = Callable[[str, int, int], None]  # part ("loss", "samples"), done, total


@dataclass(frozen=True, kw_only=True, slots=True)
class Subject:
    """What is evaluated: the plain base in a pipeline, the adapter file, the dataset and its held-out pictures, encoded."""

    pipe: Any
    family: Family
    adapter: Path
    dataset: Dataset
    held_out: Sequence[tuple[Picture, Example]]
    probe: Example  # asked at strength zero


def evaluate(subject: Subject, config: TrainConfig, out: Path, *, progress: Progress) -> dict[str, Any]:
    """Measure base and adapter, write samples/ below `out` and return the evaluation.

    The base is measured before the adapter is loaded; at strength zero the loaded adapter must answer bit for bit as the base.
    Without held-out pictures loss and interval are None: unmeasured, never zero.
    """
    pipe, family = subject.pipe, subject.family
    shown = (subject.dataset.split("held_out") or subject.dataset.split("train"))[:SHOWN]
    work = len(subject.held_out) * 2
    base_loss = stable_losses(pipe, family, subject.held_out, config.batch_size, lambda done: progress("loss", done, work))
    plain = answer_of(pipe, family, subject.probe)
    base_pictures = _draw_all(pipe, family, shown, config, lambda done: progress("samples", done, 2 * len(shown)))

    load_adapter(pipe, subject.adapter)
    with strength(getattr(pipe, family.denoiser), 0.0):
        unchanged = torch.equal(plain, answer_of(pipe, family, subject.probe))
    adapter_loss = stable_losses(
        pipe, family, subject.held_out, config.batch_size, lambda done: progress("loss", work // 2 + done, work)
    )
    offset = len(shown)
    adapter_pictures = _draw_all(pipe, family, shown, config, lambda done: progress("samples", offset + done, 2 * offset))
    return {
        "schema": SCHEMA,
        "held_out": len(subject.held_out),
        **verdict(base_loss, adapter_loss),
        "per_picture": [
            {"caption": picture.caption, "base": float(before), "adapter": float(after)}
            for (picture, _), before, after in zip(subject.held_out, base_loss, adapter_loss, strict=True)
        ],
        "strength_zero_equal": unchanged,
        "samples": _save_samples(shown, base_pictures, adapter_pictures, subject.dataset, out),
        "grid": "samples/grid.png",
    }


def verdict(base: NDArray[np.float64], adapter: NDArray[np.float64]) -> dict[str, Any]:
    """The fields loss, bootstrap and learned from the paired losses of each picture. Pure."""
    if len(base) == 0:
        unmeasured = {"low": None, "high": None, "samples": 0, "seed": SEED}
        return {"loss": {"base": None, "adapter": None, "relative": None}, "bootstrap": unmeasured, "learned": False}
    relative = float(adapter.mean() / base.mean() - 1)
    low, high = paired_bootstrap(adapter - base)
    return {
        "loss": {"base": float(base.mean()), "adapter": float(adapter.mean()), "relative": relative},
        "bootstrap": {"low": low, "high": high, "samples": RESAMPLES, "seed": SEED},
        "learned": len(base) >= LEARNED_PICTURES and relative <= LEARNED_BELOW and high < 0,
    }


def paired_bootstrap(differences: NDArray[np.float64]) -> tuple[float, float]:
    """95 % percentile interval of the mean difference over resampled pictures, with a fixed seed. (Efron 1979)"""
    chosen = np.random.default_rng(SEED).integers(len(differences), size=(RESAMPLES, len(differences)))
    low, high = np.percentile(differences[chosen].mean(axis=1), [2.5, 97.5])
    return float(low), float(high)


def stable_losses(
    pipe: Any, family: Family, pictures: Sequence[tuple[Picture, Example]], rows: int, done: Callable[[int], None]
) -> NDArray[np.float64]:
    """Mean loss of each picture over SIGMAS, `rows` levels a call; the noise is a function of the picture and the level alone."""
    losses = []
    for number, (picture, example) in enumerate(pictures, start=1):
        parts = [_loss(pipe, family, picture, example, SIGMAS[start : start + rows]) for start in range(0, len(SIGMAS), rows)]
        losses.append(torch.cat(parts).double().mean().item())
        done(number)
    return np.array(losses, dtype=np.float64)


def _loss(pipe: Any, family: Family, picture: Picture, example: Example, sigmas: Sequence[float]) -> Tensor:
    denoiser = getattr(pipe, family.denoiser)
    clean = example.latents.float().to(denoiser.device).expand(len(sigmas), *example.latents.shape)
    noise = torch.stack([_noise(picture, sigma, example.latents) for sigma in sigmas]).to(clean)
    sigma = torch.tensor(sigmas, device=clean.device)
    timesteps = timesteps_for(pipe.scheduler, sigma)
    kind = objective_of(pipe.scheduler)
    table = None if kind == "flow" else pipe.scheduler.alphas_cumprod.to(clean.device)
    noised, target = objective.question(kind, clean, noise, sigma, timesteps, table)
    conditioning = collate([example.conditioning] * len(sigmas), family).to(clean.device)
    with torch.no_grad():
        return objective.squared_error(predict(denoiser, family, noised, timesteps, conditioning), target).cpu()


def _noise(picture: Picture, sigma: float, like: Tensor) -> Tensor:
    seed = int(picture.sha256[:12], 16) * 1000 + round(sigma * 999)
    return torch.randn(like.shape, generator=torch.Generator().manual_seed(seed))


def _draw_all(
    pipe: Any, family: Family, pictures: Sequence[Picture], config: TrainConfig, done: Callable[[int], None]
) -> list[Image.Image]:
    drawn = []
    for number, picture in enumerate(pictures, start=1):
        height, width = picture.bucket
        steps, guidance = config.inference.steps, config.inference.guidance_scale
        how = Sampling(steps=steps, guidance_scale=guidance, height=height, width=width)
        drawn.append(draw(pipe, family, picture.caption, seed=FIRST_SEED + number, how=how))
        done(number)
    return drawn


def _save_samples(
    shown: Sequence[Picture], base: Sequence[Image.Image], adapter: Sequence[Image.Image], dataset: Dataset, out: Path
) -> list[dict[str, Any]]:
    rows, listed = [], []
    for index, (picture, before, after) in enumerate(zip(shown, base, adapter, strict=True)):
        with Image.open(dataset.folder / picture.path) as file:
            real = file.convert("RGB")
        names = {name: f"samples/{name}_{index:02d}.png" for name in ("base", "adapter", "real")}
        for name, image in zip(names, (before, after, real), strict=True):
            save_png(image, out / names[name])
        rows.append((picture.caption, (before, after, real)))
        listed.append({"prompt": picture.caption, "seed": FIRST_SEED + index + 1, **names})
    save_png(grid(rows), out / "samples" / "grid.png")
    return listed
