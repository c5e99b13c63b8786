"""A family's tiny base as the engine serves it, with a random adapter strong enough to be seen; what it draws, as numbers."""

import copy
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from flows.calls import called
from serving.app.drawing.engine import DiffusersEngine, Shape, Wanted
from serving.app.settings import Installed, Settings
from serving.release.weights import copy_base
from tests.serving.app.packages import sha256
from tests.training.tiny import tiny_pipeline
from tests.training.tiny.questions import CAPTIONS, HEIGHT, WIDTH, denoiser_of, row
from training.adapter import inject
from training.adapter import strength as at_strength
from training.export import export
from training.families import FAMILIES
from training.sample import Sampling, draw

PROMPT, SEED, STEPS, GUIDANCE = "a red dog", 7, 2, 2.0
FUSED = 0.75
NEAR = 1  # of 255: merged weights, and pictures of a call, add up in another order
WANTED = [
    Wanted(prompt="a dog", seed=1),
    Wanted(prompt=CAPTIONS[1], seed=2**32 - 1),
    Wanted(prompt="", seed=0, negative_prompt="blurry, and everything else that nobody wants to see in a picture"),
    Wanted(prompt=PROMPT, seed=SEED, negative_prompt="a cat"),
]

Pixels = np.ndarray[Any, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Served:
    """A family's tiny base with a strong adapter: as it was trained, as it was packed, and as it is served."""

    family: str
    trained: Any
    installed: Installed
    engine: DiffusersEngine


@dataclass(kw_only=True, slots=True)
class Counted:
    """A go_on that counts how often it is asked, and says no after the `last`."""

    last: float = float("inf")
    asked: int = 0

    def __call__(self) -> bool:
        self.asked += 1
        return self.asked <= self.last


def with_adapter(family: str, *, kind: str = "lora", alpha: float = 3.0) -> Any:
    """The tiny pipeline around a copy of its denoiser with a random adapter in it, nothing of it zero."""
    pipe, denoiser = copy.copy(tiny_pipeline(family)), copy.deepcopy(denoiser_of(family))
    for index, parameter in enumerate(inject(denoiser, row(family), rank=2, alpha=alpha, seed=0, kind=kind).values()):
        torch.nn.init.normal_(parameter, std=1.0, generator=torch.Generator().manual_seed(index))
    setattr(pipe, row(family).denoiser, denoiser)
    return pipe


def packed(package: Installed, folder: Path, family: str, trained: Any, *, header: bool = True) -> Installed:
    """A folder as a package has it, as far as the engine looks."""
    prefix = "unet" if hasattr(trained, "unet") else "transformer"
    owner = next(name for name in FAMILIES if FAMILIES[name].pipeline == type(trained).__name__)
    export(getattr(trained, prefix), row(owner), folder)
    if not header:
        save_file(load_file(folder / "adapter.safetensors"), folder / "adapter.safetensors")
    _save_base(family, folder)
    changed = package.settings.model_dump(by_alias=True)
    changed |= {"family": family, "pipeline": called(row(family)), "default_size": {"width": WIDTH, "height": HEIGHT}}
    changed["adapter"] = {"sha256": sha256(folder / "adapter.safetensors"), "scale": FUSED}
    return Installed(folder=folder, hash=str(folder), settings=Settings.model_validate(changed))


def _save_base(family: str, folder: Path) -> None:
    """The base as a package carries it, but for a stand-in among its parts, which no package would take."""
    if any(type(part).__module__.startswith("tests.") for part in tiny_pipeline(family).components.values()):
        tiny_pipeline(family).save_pretrained(folder / "base")
        return
    tiny_pipeline(family).save_pretrained(folder / "saved")
    copy_base(folder / "saved", folder / "base")


def shape_at(strength: float) -> Shape:
    return Shape(width=WIDTH, height=HEIGHT, steps=STEPS, guidance_scale=GUIDANCE, lora_scale=strength)


def first(engine: DiffusersEngine, strength: float) -> Pixels:
    return made(engine, [Wanted(prompt=PROMPT, seed=SEED)], strength)[0]


def made(engine: DiffusersEngine, wanted: Sequence[Wanted], strength: float = FUSED) -> list[Pixels]:
    return [pixels_of(picture) for picture in engine.draw(shape_at(strength), wanted, go_on=lambda: True)]


def pixels_of(picture: Any) -> Pixels:
    return np.asarray(picture.convert("RGB")).astype(int)


def apart(one: Pixels, other: Pixels) -> int:
    return int(np.abs(one - other).max())


def drawn(pipe: Any, family: str, strength: float | None) -> Pixels:
    """Pixels of the training room's own picture; strength None where there is no adapter."""
    how = Sampling(steps=STEPS, guidance_scale=GUIDANCE, height=HEIGHT, width=WIDTH)
    at = nullcontext() if strength is None else at_strength(getattr(pipe, row(family).denoiser), strength)
    with at:
        return np.asarray(draw(pipe, row(family), PROMPT, seed=SEED, how=how)).astype(int)
