"""The engine serves every family that can be trained: its adapter is fused, and strength 0 is the base."""

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import DiffusionPipeline
from PIL import Image as PIL
from safetensors.torch import save_file

from serving.app.engine import DiffusersEngine, Work, guidance
from serving.app.errors import SettingsError
from serving.app.settings import Installed, Settings
from serving.release.weights import copy_base
from tests.serving.app.packages import random_adapter, sha256
from tests.training.tiny_pipelines import tiny_pipeline

FAMILIES = ["sd15", "sdxl", "flux.1", "flux.2-klein", "qwen-image", "z-image"]
SIDE = 64


@pytest.mark.parametrize("family", FAMILIES)
def test_strengths_of_a_family(package: Installed, tmp_path: Path, family: str) -> None:
    engine = DiffusersEngine(_installed(package, tmp_path, family))
    without, fused, between = (_pixels(engine, strength) for strength in (0.0, 1.0, 0.5))
    assert np.abs(without - _plain(family, tmp_path / "saved")).max() <= 1
    assert np.abs(fused - without).max() > 2
    assert not np.array_equal(between, fused)
    assert np.array_equal(_pixels(engine, 1.0), fused)


def test_an_adapter_for_another_base_stops_the_start(package: Installed, tmp_path: Path) -> None:
    installed = _installed(package, tmp_path, "z-image", adapter_of="sd15")
    with pytest.raises((SettingsError, ValueError, KeyError)):
        DiffusersEngine(installed)


def _installed(package: Installed, folder: Path, family: str, adapter_of: str | None = None) -> Installed:
    """A folder as a package has it, as far as the engine looks."""
    tiny_pipeline(family).save_pretrained(folder / "saved")
    copy_base(folder / "saved", folder / "base")
    save_file(random_adapter(adapter_of or family, size=1.0), folder / "adapter.safetensors")
    changed = package.settings.model_dump(by_alias=True)
    changed |= {"family": family, "adapter": {"sha256": sha256(folder / "adapter.safetensors"), "scale": 1.0}}
    return Installed(folder=folder, hash="0", settings=Settings.model_validate(changed))


def _work(strength: float) -> Work:
    return Work(
        prompt="a red dog",
        width=SIDE,
        height=SIDE,
        steps=2,
        guidance_scale=2.0,
        seed=7,
        images=1,
        strength=strength,
        deadline=time.monotonic() + 60,
    )


def _pixels(engine: DiffusersEngine, strength: float) -> np.ndarray[Any, Any]:
    (picture,) = engine.generate(_work(strength))
    assert isinstance(picture, PIL.Image)
    return np.asarray(picture).astype(int)


def _plain(family: str, saved: Path) -> np.ndarray[Any, Any]:
    """Pixels of the family's pipeline, without any adapter."""
    generator = torch.Generator().manual_seed(7)
    call = {"width": SIDE, "height": SIDE, "num_inference_steps": 2, "generator": generator, **guidance(family, 2.0)}
    pipe = DiffusionPipeline.from_pretrained(saved, dtype=torch.float32)
    return np.asarray(pipe(prompt="a red dog", **call).images[0]).astype(int)
