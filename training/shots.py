"""Which pictures an evaluation draws: fixed prompts and seeds, the same for base, champion and adapter."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

from PIL import Image

from training.config import InferenceConfig
from training.data.manifest import Dataset, Picture
from training.families import Family
from training.sample import Sampling, draw

SHOWN, FIRST_SEED = 8, 1000
NEUTRAL, VARIED, RECALLED = 2, 3, 7  # prompts without the trigger; seeds of one training caption; other training captions
STRENGTHS = (0.0, 0.25, 0.5, 0.75, 1.0)  # 0 is the base's picture, 1 the adapter's
GENERAL = ("a wooden table with a lamp on it", "a mountain lake in the morning")  # where no caption can do without the trigger

Drawing = Callable[[], None]  # hears of each picture drawn


@dataclass(frozen=True, kw_only=True, slots=True)
class Shot:
    """One picture to draw; sides in pixels."""

    prompt: str
    seed: int
    height: int
    width: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Shots:
    """What to draw.

    `own`: held-out captions; `neutral`: prompts that do not call the adapter; `varied`: a training caption at several seeds;
    `recalled`: other training captions, with the first of `varied` as many as are shown.
    """

    shown: tuple[Picture, ...]
    own: tuple[Shot, ...]
    neutral: tuple[Shot, ...]
    varied: tuple[Shot, ...]
    recalled: tuple[Shot, ...]


def shots_of(dataset: Dataset) -> Shots:
    """What to draw for a dataset; training captions stand in where nothing is held out."""
    shown = (dataset.split("held_out") or dataset.split("train"))[:SHOWN]
    trained = sorted(dataset.split("train") or shown, key=lambda picture: picture.sha256)
    neutral = [picture.generic for picture in trained if dataset.trigger and picture.generic]
    prompts = list(dict.fromkeys([*neutral, *GENERAL]))[:NEUTRAL]
    return Shots(
        shown=shown,
        own=tuple(_shot(picture, picture.caption, FIRST_SEED + index) for index, picture in enumerate(shown, start=1)),
        neutral=tuple(_shot(trained[0], prompt, FIRST_SEED + index) for index, prompt in enumerate(prompts, start=101)),
        varied=tuple(_shot(trained[0], trained[0].caption, FIRST_SEED + index) for index in range(201, 201 + VARIED)),
        recalled=tuple(
            _shot(picture, picture.caption, FIRST_SEED + index)
            for index, picture in enumerate(trained[1 : 1 + RECALLED], start=301)
        ),
    )


def drawn(pipe: Any, family: Family, shots: Sequence[Shot], inference: InferenceConfig, done: Drawing) -> list[Image.Image]:
    """The pictures of `shots` by the pipeline as it stands."""
    pictures = []
    for shot in shots:
        how = Sampling(steps=inference.steps, guidance_scale=inference.guidance_scale, height=shot.height, width=shot.width)
        pictures.append(draw(pipe, family, shot.prompt, seed=shot.seed, how=how))
        done()
    return pictures


def counted(report: Callable[[str, int, int], None], part: str, total: int) -> Drawing:
    """A counter that reports `part` as it goes from 1 to `total`."""
    numbers = count(1)
    return lambda: report(part, next(numbers), total)


def _shot(picture: Picture, prompt: str, seed: int) -> Shot:
    height, width = picture.bucket
    return Shot(prompt=prompt, seed=seed, height=height, width=width)
