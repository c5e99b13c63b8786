"""Folders as packages are, as far as the engine looks: any family's tiny base, with one random adapter or two."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file

from flows.calls import called
from serving.app.drawing.engine import DiffusersEngine, Shape, Wanted
from serving.app.settings import Installed, Settings
from tests.serving.app.packages import sha256
from tests.training.tiny import tiny_pipeline
from tests.training.tiny.questions import HEIGHT, WIDTH, denoiser_of, row

FUSED, SECOND = 0.75, 0.5  # strengths
STEPS, GUIDANCE = 3, 2.0

Pixels = np.ndarray[Any, Any]


def write_adapter(path: Path, family: str, *, layers: Iterable[str], rank: int, seed: int) -> Path:
    """A random adapter for these layers of the family's denoiser, strong enough to be seen."""
    generator, prefix = torch.Generator().manual_seed(seed), row(family).denoiser
    tensors = {}
    for name, layer in denoiser_of(family).named_modules():
        if name.rpartition(".")[2] in set(layers):
            tensors[f"{prefix}.{name}.lora_A.weight"] = torch.randn(rank, layer.in_features, generator=generator)
            tensors[f"{prefix}.{name}.lora_B.weight"] = torch.randn(layer.out_features, rank, generator=generator)
    assert tensors, f"{family} has no layers {layers}"
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(tensors, path)
    return path


def installed(
    like: Installed, folder: Path, family: str, *, challenger: Path | None = None, changes: Mapping[str, Any] | None = None
) -> Installed:
    """A package with the family's tiny base; the champion's adapter is random, the challenger is a copy of this file."""
    champion = write_adapter(folder / "adapter.safetensors", family, layers=("to_q", "to_v"), rank=2, seed=1)
    tiny_pipeline(family).save_pretrained(folder / "base")
    changed = like.settings.model_dump(by_alias=True)
    changed |= {
        "family": family,
        "pipeline": called(row(family)),
        "default_size": {"width": WIDTH, "height": HEIGHT},
        **(changes or {}),
    }
    changed["adapter"] = {"sha256": sha256(champion), "scale": FUSED}
    if challenger:
        (folder / "challenger.safetensors").write_bytes(challenger.read_bytes())
        changed["challenger"] = {"sha256": sha256(challenger), "scale": SECOND}
    return Installed(folder=folder, hash="0", settings=Settings.model_validate(changed))


def shape(adapter: Any = "champion", *, scale: float = FUSED, width: int = WIDTH) -> Shape:
    return Shape(width=width, height=HEIGHT, steps=STEPS, guidance_scale=GUIDANCE, lora_scale=scale, adapter=adapter)


def pixels(engine: DiffusersEngine, wanted: Shape, *seeds: int) -> list[Pixels]:
    """Pictures of one call, a seed each (7 where none is said)."""
    asked = [Wanted(prompt="a red dog", seed=seed) for seed in seeds or (7,)]
    return [np.asarray(picture.convert("RGB")).astype(int) for picture in engine.draw(wanted, asked, go_on=lambda: True)]
