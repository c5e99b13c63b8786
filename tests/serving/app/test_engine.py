"""The engine serves every family that can be trained: at each strength its pictures are those of training, at 0 the base's."""

import copy
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from flows.settings import called
from serving.app.engine import DiffusersEngine, Work
from serving.app.errors import SettingsError, TimedOut
from serving.app.settings import Installed, Pipeline, Settings
from serving.release.weights import copy_base
from tests.serving.app.packages import sha256
from tests.training.tiny import tiny_pipeline
from tests.training.tiny.questions import HEIGHT, WIDTH, denoiser_of, row
from training.adapter import inject
from training.adapter import strength as at_strength
from training.export import export
from training.families import FAMILIES
from training.sample import Sampling, draw

pytestmark = [
    pytest.mark.filterwarnings("ignore:Mismatch dtype between input and weight"),  # norms of Krea 2 and Kandinsky 5
    pytest.mark.filterwarnings("ignore:.FluxPosEmbed. is deprecated:FutureWarning"),  # said when Chroma is loaded
]
PROMPT, SEED, STEPS, GUIDANCE = "a red dog", 7, 2, 2.0
FUSED = 0.75
NEAR = 1  # of 255: merged weights add up in another order

Pixels = np.ndarray[Any, Any]


@pytest.mark.parametrize("family", list(FAMILIES))
def test_pictures_at_every_strength_are_those_of_training(package: Installed, tmp_path: Path, family: str) -> None:
    pipe = _trained(family)
    expected = {strength: _drawn(pipe, family, strength) for strength in (FUSED, 0.25)}
    expected[0.0] = _drawn(tiny_pipeline(family), family, None)
    engine = DiffusersEngine(_installed(package, tmp_path, family, pipe))
    found = {strength: _pixels(engine, strength) for strength in expected}
    apart = {strength: int(np.abs(found[strength] - expected[strength]).max()) for strength in expected}
    assert max(apart.values()) <= NEAR, apart
    assert min(np.abs(expected[FUSED] - expected[other]).max() for other in (0.0, 0.25)) > 2 * NEAR
    with pytest.raises(TimedOut, match="longer than this app allows"):
        list(engine.generate(_work(FUSED, deadline=time.monotonic())))


def test_lokr_is_served_as_the_lora_that_it_equals(package: Installed, tmp_path: Path) -> None:
    pipe = _trained("z-image", kind="lokr")
    engine = DiffusersEngine(_installed(package, tmp_path, "z-image", pipe))
    for strength in (FUSED, 0.25):
        assert np.abs(_pixels(engine, strength) - _drawn(pipe, "z-image", strength)).max() <= NEAR


def test_a_file_that_tells_no_alpha_has_that_of_its_rank(package: Installed, tmp_path: Path) -> None:
    pipe = _trained("longcat-image", alpha=2.0)
    installed = _installed(package, tmp_path, "longcat-image", pipe, header=False)
    assert np.abs(_pixels(DiffusersEngine(installed), 1.0) - _drawn(pipe, "longcat-image", 1.0)).max() <= NEAR


@pytest.mark.parametrize("adapter_of", ["sd15", "lumina-2", "wider"])
def test_an_adapter_for_another_base_stops_the_start(package: Installed, tmp_path: Path, adapter_of: str) -> None:
    installed = _installed(package, tmp_path, "z-image", _trained("z-image" if adapter_of == "wider" else adapter_of))
    if adapter_of == "wider":
        state = load_file(installed.adapter)
        save_file({name: torch.cat([tensor, tensor], dim=1).contiguous() for name, tensor in state.items()}, installed.adapter)
    with pytest.raises(SettingsError, match="was made for another base") as error:
        DiffusersEngine(_verified(installed))
    assert "\n" not in str(error.value)


def test_settings_older_than_the_pipeline_field_are_read_as_they_were_meant(package: Installed) -> None:
    old = {name: value for name, value in package.settings.model_dump(by_alias=True).items() if name != "pipeline"}
    assert Settings.model_validate(old).called == Pipeline()
    assert Settings.model_validate(old | {"family": "qwen-image"}).called == called(FAMILIES["qwen-image"])


def _trained(family: str, *, kind: str = "lora", alpha: float = 3.0) -> Any:
    """The tiny pipeline around a copy of its denoiser with a random adapter in it, nothing of it zero."""
    pipe, denoiser = copy.copy(tiny_pipeline(family)), copy.deepcopy(denoiser_of(family))
    for index, parameter in enumerate(inject(denoiser, row(family), rank=2, alpha=alpha, seed=0, kind=kind).values()):
        torch.nn.init.normal_(parameter, std=1.0, generator=torch.Generator().manual_seed(index))
    setattr(pipe, row(family).denoiser, denoiser)
    return pipe


def _installed(package: Installed, folder: Path, family: str, trained: Any, *, header: bool = True) -> Installed:
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
    return Installed(folder=folder, hash="0", settings=Settings.model_validate(changed))


def _save_base(family: str, folder: Path) -> None:
    """The base as a package carries it, but for a stand-in among its parts, which no package would take."""
    if any(type(part).__module__.startswith("tests.") for part in tiny_pipeline(family).components.values()):
        tiny_pipeline(family).save_pretrained(folder / "base")
        return
    tiny_pipeline(family).save_pretrained(folder / "saved")
    copy_base(folder / "saved", folder / "base")


def _verified(installed: Installed) -> Installed:
    """The same with the sha256 of the adapter as it is now."""
    adapter = installed.settings.adapter.model_copy(update={"sha256": sha256(installed.adapter)})
    return Installed(
        folder=installed.folder, hash=installed.hash, settings=installed.settings.model_copy(update={"adapter": adapter})
    )


def _work(strength: float, deadline: float) -> Work:
    return Work(
        prompt=PROMPT,
        width=WIDTH,
        height=HEIGHT,
        steps=STEPS,
        guidance_scale=GUIDANCE,
        seed=SEED,
        images=1,
        strength=strength,
        deadline=deadline,
    )


def _pixels(engine: DiffusersEngine, strength: float) -> Pixels:
    (picture,) = engine.generate(_work(strength, time.monotonic() + 600))
    return np.asarray(picture.convert("RGB")).astype(int)


def _drawn(pipe: Any, family: str, strength: float | None) -> Pixels:
    """Pixels of the training room's own picture; strength None where there is no adapter."""
    how = Sampling(steps=STEPS, guidance_scale=GUIDANCE, height=HEIGHT, width=WIDTH)
    at = nullcontext() if strength is None else at_strength(getattr(pipe, row(family).denoiser), strength)
    with at:
        return np.asarray(draw(pipe, row(family), PROMPT, seed=SEED, how=how)).astype(int)
