"""Acceleration is packed with what it does to pictures, measured on the package's own engine; too much of it is refused."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from serving.app.settings import Acceleration, Adapter, Base, Inference, Settings
from serving.release.errors import PackageError
from serving.release.likeness import psnr, ssim
from serving.release.lint import lint
from serving.release.quality import LEVELS, Bound, cached_base, judged, measured, require_possible
from tests.serving.app.packages import LIMITS, random_adapter, sha256, write_base
from tests.training.tiny import tiny_pipeline

ANY = Bound(psnr=0, ssim=-1)
SAMPLES = {"samples": [{"prompt": "a red dog", "seed": 1}, {"prompt": "two white birds", "seed": 2}]}


@pytest.mark.parametrize("noise", [0, 1, 8, 60])
def test_likeness_is_that_of_the_literature(noise: int) -> None:
    generator = np.random.default_rng(noise)
    one = generator.integers(0, 256, (40, 56, 3)).repeat(2, axis=0).repeat(2, axis=1)
    other = np.clip(one + generator.normal(0, 1, one.shape) * noise, 0, 255).round()
    expected = structural_similarity(  # type: ignore[no-untyped-call]
        one, other, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=255, channel_axis=-1
    )
    assert ssim(one, other) == pytest.approx(expected, abs=1e-9)
    limit = peak_signal_noise_ratio(one, other, data_range=255) if noise else 100.0  # type: ignore[no-untyped-call]
    assert psnr(one, other) == pytest.approx(limit)


def test_a_level_is_measured_and_told_without_times_or_prompts(tmp_path: Path) -> None:
    base, adapter, exact = _material(tmp_path)
    one = measured("high", base=base, adapter=adapter, exact=exact, evaluation=SAMPLES, bound=ANY, log=tmp_path / "log")
    assert one.acceleration.quality
    assert one.acceleration == Acceleration(**LEVELS["high"], quality=one.acceleration.quality)
    assert one.report["worst"] == one.acceleration.quality.model_dump()
    assert [picture["seed"] for picture in one.report["pictures"]] == [1, 2]
    assert all(20 < picture["psnr"] < 100 and 0.5 < picture["ssim"] < 1 for picture in one.report["pictures"])
    assert not [word for word in ("a red dog", "seconds", one.speed["machine"]) if word in json.dumps(one.report)]
    assert one.speed.keys() == {"exact_seconds", "accelerated_seconds", "ratio", "machine"}


def test_what_can_not_be_drawn_is_one_line(tmp_path: Path) -> None:
    base, adapter, exact = _material(tmp_path)
    adapter.write_bytes(b"not an adapter")
    with pytest.raises(
        PackageError, match=r"could not be measured .SettingsError: adapter file .* has sha256 .*: see .*log"
    ) as error:
        measured("regular", base=base, adapter=adapter, exact=exact, evaluation=SAMPLES, log=tmp_path / "log")
    assert "\n" not in str(error.value)
    with pytest.raises(PackageError, match="has none: evaluate again"):
        measured("regular", base=base, adapter=adapter, exact=exact, evaluation={}, log=tmp_path / "log")


@pytest.mark.parametrize(
    ("level", "choice"),
    [("regular", "choose acceleration: none$"), ("high", "choose acceleration: none or acceleration: regular$")],
)
def test_pictures_that_move_too_far_are_refused(level: Any, choice: str) -> None:
    figures = [{"psnr": 31.5, "ssim": 0.97}, {"psnr": 24.9, "ssim": 0.91}, {"psnr": 28.0, "ssim": 0.84}]
    for bound in (Bound(psnr=25, ssim=0.8), Bound(psnr=20, ssim=0.85)):
        with pytest.raises(PackageError, match=f"the worst of 3 has PSNR 24.9 dB and SSIM 0.84, the bound is .*{choice}"):
            judged(level, figures, bound)
    assert judged(level, figures, Bound(psnr=24.9, ssim=0.84)).model_dump() == {"psnr": 24.9, "ssim": 0.84, "pictures": 3}


def test_bases_that_can_not_be_accelerated_or_measured_are_refused_before_anything_is_drawn(tmp_path: Path) -> None:
    for family, named in (("sdxl", "UNet2DConditionModel"), ("qwen-image-2.1", "QwenImage21Transformer2DModel")):
        tiny_pipeline(family).save_config(tmp_path / family)
        with pytest.raises(PackageError, match=f"{named} can have no first-block cache: .*; choose acceleration: none"):
            require_possible("regular", tmp_path / family)
        require_possible("none", tmp_path / family)
    tiny_pipeline("z-image").save_config(tmp_path / "z-image")
    require_possible("high", tmp_path / "z-image")
    with pytest.raises(PackageError, match=r"needs base 'owner/name' on this machine .* choose acceleration: none"):
        require_possible("regular", None, ref="owner/name")
    with pytest.raises(PackageError, match="is no diffusers pipeline"):
        require_possible("regular", tmp_path)


def test_a_hub_base_is_looked_for_in_the_cache_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    assert cached_base("owner/name", "a" * 40) is None
    snapshot = tmp_path / "models--owner--name" / "snapshots" / ("a" * 40)
    snapshot.mkdir(parents=True)
    assert cached_base("owner/name", "a" * 40) == snapshot


def _material(folder: Path) -> tuple[Path, Path, Settings]:
    """A base, an adapter for it, and the settings of their package."""
    from safetensors.torch import save_file

    adapter = folder / "adapter.safetensors"
    save_file(random_adapter("z-image"), adapter)
    exact = Settings(
        schema="lorasmith/app-settings/1",
        name="tiny",
        family="z-image",
        base=Base(kind="folder", ref="base"),
        adapter=Adapter(sha256=sha256(adapter), scale=1.0),
        inference=Inference(steps=4, guidance_scale=2.0),
        limits=LIMITS,
        default_size={"width": 32, "height": 32},
        request_timeout=60,
    )
    return write_base(folder / "base"), adapter, exact


def test_lint_misses_what_the_settings_promise(tmp_path: Path) -> None:
    quality = {"psnr": 31.0, "ssim": 0.9, "pictures": 4}
    settings = {"challenger": {"sha256": "0" * 64, "scale": 1.0}, "acceleration": {"fp8": True, "quality": quality}}
    (tmp_path / "settings.json").write_text(json.dumps(settings))
    (tmp_path / "pyproject.toml").write_text('[tool.fal.apps.app]\napp_files = ["settings.json"]\n')
    promised = "app_files does not name 'challenger.safetensors', which settings.json promises"
    assert promised in lint(tmp_path)
    assert any(line.startswith("quality.json does not tell how acceleration was measured") for line in lint(tmp_path))
    for worst, said in ((quality | {"psnr": 40.0}, True), (quality, False)):
        (tmp_path / "quality.json").write_text(json.dumps({"worst": worst}))
        assert any(line.startswith("settings.json says of acceleration") for line in lint(tmp_path)) == said
    (tmp_path / "pyproject.toml").write_text('[tool.fal.apps.app]\napp_files = ["challenger.safetensors"]\n')
    assert promised not in lint(tmp_path)
