"""Accelerated engines: compiled blocks draw the same, eight bits and a first-block cache alike, all with strengths and stops."""

import copy
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch._dynamo
from fal.toolkit import compilation
from torch._dynamo.utils import counters

from serving.app.drawing.acceleration import accelerate
from serving.app.drawing.compile_cache import cache_key, platform_cache
from serving.app.drawing.engine import DiffusersEngine, Wanted
from serving.app.errors import Stopped
from serving.app.settings import Acceleration, Base, Installed, Quality
from tests.serving.app.second_adapters import FUSED, installed, pixels, shape
from tests.training.tiny.questions import answer, denoiser_of
from training.families import FAMILIES

NEAR = 1  # of 255: compiled code adds up in another order
MEASURED = Quality(psnr=30, ssim=0.9, pictures=1)
CACHED = {"acceleration": Acceleration(first_block_cache=0.5, quality=MEASURED).model_dump()}
COMPILED = {"acceleration": Acceleration(compile="on").model_dump(), "batching": {"max_batch": 1}}
CPU = torch.device("cpu")


@pytest.fixture
def fresh_compiler() -> Iterator[None]:
    """What the compiler knows and how it is set ends with the test."""
    with torch._dynamo.config.patch(suppress_errors=False):
        torch._dynamo.reset()
        yield
        torch._dynamo.reset()


def test_a_cached_picture_depends_on_its_seed_alone(package: Installed, tmp_path: Path) -> None:
    engine = DiffusersEngine(installed(package, tmp_path, "pixart-sigma", changes=CACHED))
    first, second = (pixels(engine, shape(), seed)[0] for seed in (1, 2))
    assert not np.array_equal(first, second)
    together = pixels(engine, shape(), 2, 1)
    assert np.array_equal(together[1], first)
    assert np.array_equal(together[0], second)

    steps = iter([True, True, False])
    with pytest.raises(Stopped):
        engine.draw(shape(), [Wanted(prompt="a red dog", seed=2)], go_on=lambda: next(steps))
    pixels(engine, shape(width=32), 2)
    assert np.array_equal(pixels(engine, shape(), 1)[0], first)


def test_a_cached_picture_follows_the_strength(package: Installed, tmp_path: Path) -> None:
    engine = DiffusersEngine(installed(package, tmp_path / "cached", "pixart-sigma", changes=CACHED))
    exact = DiffusersEngine(installed(package, tmp_path / "exact", "pixart-sigma"))
    found = {scale: pixels(engine, shape(scale=scale))[0] for scale in (FUSED, 0.0, FUSED)}
    assert not np.array_equal(found[FUSED], found[0.0])
    for scale, picture in found.items():
        others = pixels(exact, shape(scale=scale)) + pixels(exact, shape(scale=FUSED - scale))
        assert np.abs(picture - others[0]).mean() < np.abs(picture - others[1]).mean()


@pytest.mark.parametrize("family", ["z-image", "sdxl"])
def test_eight_bits_follow_strengths_and_keep_nothing_of_them(package: Installed, tmp_path: Path, family: str) -> None:
    how = {"acceleration": Acceleration(fp8=True, quality=MEASURED).model_dump()}
    engine = DiffusersEngine(installed(package, tmp_path / "fp8", family, changes=how))
    exact = DiffusersEngine(installed(package, tmp_path / "exact", family))
    assert not engine._fast.alone
    (first,) = pixels(engine, shape())
    for scale in (FUSED, 0.0, 1.5):
        picture, near, far = pixels(engine, shape(scale=scale))[0], *(pixels(exact, shape(scale=to))[0] for to in (scale, 0.4))
        assert np.abs(picture - near).mean() < np.abs(picture - far).mean()
    assert np.array_equal(pixels(engine, shape())[0], first)


@pytest.mark.parametrize("family", list(FAMILIES))
def test_every_family_answers_alike_in_eight_bits(family: str) -> None:
    denoiser = copy.deepcopy(denoiser_of(family))
    exact = answer(family, denoiser)
    accelerate(denoiser, Acceleration(fp8=True, quality=MEASURED), device=CPU, dtype=torch.float32)
    small = [weight.numel() for weight in denoiser.parameters() if weight.dtype is torch.float8_e4m3fn]
    assert sum(small) > 0.4 * sum(weight.numel() for weight in denoiser.parameters())
    apart = (answer(family, denoiser) - exact).norm() / exact.norm()
    assert 0 < apart < 0.2


def test_compiled_blocks_draw_the_same_at_every_strength_and_size(package: Installed, tmp_path: Path, fresh_compiler: None) -> None:
    engine = DiffusersEngine(installed(package, tmp_path / "compiled", "pixart-sigma", changes=COMPILED))
    exact = DiffusersEngine(installed(package, tmp_path / "exact", "pixart-sigma"))
    assert engine._fast.compiled
    assert counters["stats"]["unique_graphs"] > 0
    wanted: list[Callable[[DiffusersEngine], list[Any]]] = [
        lambda engine: pixels(engine, shape(scale=0.0), 1),
        lambda engine: pixels(engine, shape(width=32), 1),
        lambda engine: pixels(engine, shape(), 1),
    ]
    for draw in wanted:
        assert np.abs(np.stack(draw(engine)) - np.stack(draw(exact))).max() <= NEAR


def test_a_compiler_that_fails_is_a_line_and_the_pictures_are_drawn_without(
    package: Installed, tmp_path: Path, fresh_compiler: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import torch._inductor.config as inductor

    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "inductor"))
    with inductor.patch({"cpp.cxx": (str(tmp_path / "no-compiler"),)}):
        engine = DiffusersEngine(installed(package, tmp_path / "compiled", "pixart-sigma", changes=COMPILED))
    assert not engine._fast.compiled
    lines = [line for line in capsys.readouterr().out.splitlines() if "not_compiled" in line]
    assert len(lines) == 1
    exact = DiffusersEngine(installed(package, tmp_path / "exact", "pixart-sigma"))
    assert np.array_equal(pixels(engine, shape())[0], pixels(exact, shape())[0])


def test_compiled_code_of_one_runner_serves_the_next(tmp_path: Path, fresh_compiler: None, monkeypatch: pytest.MonkeyPatch) -> None:
    here, there = tmp_path / "local", tmp_path / "data" / "inductor-caches"
    (tmp_path / "data").mkdir()
    monkeypatch.setattr(compilation, "LOCAL_INDUCTOR_CACHE_DIR", here)
    monkeypatch.setattr(compilation, "GLOBAL_INDUCTOR_CACHES_DIR", there)
    monkeypatch.setattr(compilation, "PERSISTENT_TMP_DIR", tmp_path / "data" / "tmp")
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", "")  # load_inductor_cache sets it; back to what it was afterwards

    def run() -> int:
        torch._dynamo.reset()
        counters.clear()
        with platform_cache("lorasmith/key"):
            torch.compile(lambda x: torch.sin(x) * 2)(torch.ones(8))
        return int(counters["inductor"]["fxgraph_cache_hit"])

    assert run() == 0
    assert [path.name for path in there.rglob("*.zip")] == ["key.zip"]
    for path in sorted(here.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()  # the next runner has a disk of its own
    assert run() == 1


def test_a_disk_that_fails_is_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "inductor-caches").write_text("not a folder")
    (tmp_path / "local").mkdir()
    monkeypatch.setattr(compilation, "LOCAL_INDUCTOR_CACHE_DIR", tmp_path / "local")
    monkeypatch.setattr(compilation, "GLOBAL_INDUCTOR_CACHES_DIR", tmp_path / "data" / "inductor-caches")
    monkeypatch.setattr(compilation, "PERSISTENT_TMP_DIR", tmp_path / "data" / "tmp")
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", "")
    with platform_cache("lorasmith/key"):
        (tmp_path / "local" / "code.so").write_bytes(b"")
    assert '"failed": "save"' in capsys.readouterr().out


def test_the_code_is_named_by_what_it_was_made_from_not_by_the_package() -> None:
    base = Base(kind="hub", ref="owner/base", revision="0" * 40)
    key = cache_key(base, kind="float32")
    assert key == cache_key(base.model_copy(), kind="float32")
    others = [cache_key(base, kind="bfloat16"), cache_key(base.model_copy(update={"revision": "1" * 40}), kind="float32")]
    assert len({key, *others}) == 3
