"""Image-to-image by the family's own pipeline around the same parts: from nearly the picture to nearly none of it."""

from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from PIL import Image

from flows.calls import IMAGE_TO_IMAGE
from serving.app.drawing.adapter import denoiser_of
from serving.app.drawing.call import changing
from serving.app.drawing.decoding import precision_of
from serving.app.drawing.engine import DiffusersEngine, Shape, Wanted
from serving.app.drawing.loading import image_to_image
from serving.app.errors import SettingsError
from serving.app.settings import Installed
from tests.serving.app.served import (
    FUSED,
    NEAR,
    PROMPT,
    WANTED,
    Counted,
    Pixels,
    apart,
    first,
    packed,
    pixels_of,
    shape_at,
    with_adapter,
)
from tests.training.tiny.questions import HEIGHT, WIDTH

pytestmark = pytest.mark.filterwarnings("ignore:.FluxPosEmbed. is deprecated:FutureWarning")  # said when Chroma is loaded


@pytest.mark.parametrize("family", list(IMAGE_TO_IMAGE))
def test_pictures_come_from_their_own_start_and_seed_alone(package: Installed, tmp_path: Path, family: str) -> None:
    engine = DiffusersEngine(packed(package, tmp_path, family, with_adapter(family)))
    before = first(engine, FUSED)
    wanted = [Wanted(prompt=one.prompt, seed=one.seed, start=_picture(one.seed)) for one in WANTED[:3]]
    alone = [_changed(engine, [one])[0] for one in wanted]
    together = _changed(engine, wanted)
    assert max(apart(one, other) for one, other in zip(alone, together, strict=True)) <= NEAR
    other_start = Wanted(prompt=wanted[0].prompt, seed=wanted[0].seed, start=_picture(99))
    assert apart(alone[0], _changed(engine, [other_start])[0]) > 2 * NEAR
    assert apart(before, first(engine, FUSED)) == 0
    assert engine._changing is not None
    assert denoiser_of(engine._changing) is denoiser_of(engine.pipe)


@pytest.mark.parametrize(("change", "steps"), [(0.01, 100), (0.2, 5), (0.3, 4), (1 / 3, 4), (0.5, 4), (1.0, 4)])
def test_at_least_one_step_runs_however_little_is_to_change(change: float, steps: int) -> None:
    pipe = diffusers.StableDiffusionImg2ImgPipeline
    wanted = {"num_inference_steps": 4, "width": 64, "height": 32, "prompt": ["a"]}
    made = changing(pipe, wanted, starts=[_picture(1)], change=change)
    assert made["num_inference_steps"] == steps
    assert int(made["num_inference_steps"] * change) >= 1
    assert "width" not in made, "the size of this pipeline is that of its picture"


def test_one_step_is_run_of_a_small_change(package: Installed, tmp_path: Path) -> None:
    engine = DiffusersEngine(packed(package, tmp_path, "z-image", with_adapter("z-image")))
    counted = Counted()
    engine.draw(_shape(change=0.05), [Wanted(prompt=PROMPT, seed=1, start=_picture(1))], go_on=counted)
    assert counted.asked == 1


def test_a_start_that_does_not_fit_into_memory_leaves_the_decoder_as_it_was(package: Installed, tmp_path: Path) -> None:
    """SDXL's pipeline encodes in float32, and would leave the VAE so: each later picture of the runner would fail."""
    engine = DiffusersEngine(packed(package, tmp_path, "sdxl", with_adapter("sdxl")))
    engine.pipe.to(torch.bfloat16)  # as on a GPU
    engine._precision = precision_of(engine.pipe.vae)
    before = first(engine, FUSED)

    def full(*_: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")

    hook = engine.pipe.vae.encoder.register_forward_hook(full)
    with pytest.raises(torch.OutOfMemoryError):
        _changed(engine, [Wanted(prompt=PROMPT, seed=1, start=_picture(1))])
    hook.remove()
    assert engine.pipe.vae.dtype == torch.float32
    assert apart(before, first(engine, FUSED)) == 0
    assert set(precision_of(engine.pipe.vae)) == {torch.bfloat16}


def test_a_pipeline_that_diffusers_does_not_have_stops_the_start_in_one_line() -> None:
    with pytest.raises(SettingsError, match=r"there is no diffusers[.]AnotherPipeline: build the package anew"):
        image_to_image(None, "AnotherPipeline")


def _changed(engine: DiffusersEngine, wanted: list[Wanted]) -> list[Pixels]:
    return [pixels_of(picture) for picture in engine.draw(_shape(change=0.6), wanted, go_on=lambda: True)]


def _shape(*, change: float) -> Shape:
    plain: Any = shape_at(FUSED)
    return Shape(
        width=WIDTH, height=HEIGHT, steps=4, guidance_scale=plain.guidance_scale, lora_scale=plain.lora_scale, change=change
    )


def _picture(seed: int) -> Image.Image:
    fields = np.random.default_rng(seed).integers(0, 256, (4, 8, 3), dtype=np.uint8)
    return Image.fromarray(fields).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC)
