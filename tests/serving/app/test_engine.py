"""The engine serves every family that can be trained: at each strength its pictures are those of training, at 0 the base's."""

import inspect
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from flows.calls import called
from serving.app.drawing.adapter import denoiser_of as denoiser
from serving.app.drawing.engine import DiffusersEngine, Wanted, warm_ups
from serving.app.drawing.fused import DATA_VARIABLE
from serving.app.errors import SettingsError, Stopped, TooFewSteps
from serving.app.settings import Batching, Installed, Pipeline, Settings, Size
from tests.serving.app.packages import sha256
from tests.serving.app.served import (
    FUSED,
    NEAR,
    PROMPT,
    SEED,
    STEPS,
    WANTED,
    Counted,
    Served,
    apart,
    drawn,
    first,
    made,
    packed,
    pixels_of,
    shape_at,
    with_adapter,
)
from tests.training.tiny import tiny_pipeline
from tests.training.tiny.questions import row
from training.families import FAMILIES

pytestmark = [
    pytest.mark.filterwarnings("ignore:Mismatch dtype between input and weight"),  # norms of Krea 2 and Kandinsky 5
    pytest.mark.filterwarnings("ignore:.FluxPosEmbed. is deprecated:FutureWarning"),  # said when Chroma is loaded
]


@pytest.fixture(scope="module", params=list(FAMILIES))
def served(package: Installed, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Served]:
    family, folder = request.param, tmp_path_factory.mktemp("served")
    (folder / "data").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(DATA_VARIABLE, str(folder / "data"))
        trained = with_adapter(family)
        installed = packed(package, folder, family, trained)
        yield Served(family=family, trained=trained, installed=installed, engine=DiffusersEngine(installed))


def test_pictures_at_every_strength_are_those_of_training(served: Served) -> None:
    expected = {strength: drawn(served.trained, served.family, strength) for strength in (FUSED, 0.25)}
    expected[0.0] = drawn(tiny_pipeline(served.family), served.family, None)
    found = {strength: first(served.engine, strength) for strength in expected}
    off = {strength: apart(found[strength], expected[strength]) for strength in expected}
    assert max(off.values()) <= NEAR, off
    assert min(apart(expected[FUSED], expected[other]) for other in (0.0, 0.25)) > 2 * NEAR


def test_a_picture_is_the_same_alone_and_in_company(served: Served) -> None:
    called = served.engine._settings.called
    wanted = WANTED if called.negative_prompt else [replace(one, negative_prompt="") for one in WANTED]
    alone = [made(served.engine, [one])[0] for one in wanted]
    off = [apart(one, other) for one, other in zip(alone, made(served.engine, wanted), strict=True)]
    assert max(off) <= NEAR, off
    if not called.batches:  # drawn one by one, and not for nothing
        together = served.engine._called(shape_at(FUSED), wanted[:2], lambda: True)
        assert max(apart(one, pixels_of(other)) for one, other in zip(alone, together, strict=False)) > NEAR


def test_a_negative_prompt_is_offered_where_it_changes_the_picture(served: Served) -> None:
    called, plain = served.engine._settings.called, Wanted(prompt=PROMPT, seed=SEED)
    if "negative_prompt" not in inspect.signature(served.engine.pipe.__call__).parameters:
        assert not called.negative_prompt
        return
    without, told = (made(served.engine, [one])[0] for one in (plain, replace(plain, negative_prompt=WANTED[1].prompt)))
    assert bool(apart(without, told)) == called.negative_prompt


def test_after_a_restart_the_kept_weights_make_the_same_pictures(served: Served) -> None:
    before = [made(served.engine, WANTED[:2], strength)[index] for index, strength in enumerate((FUSED, 0.25))]
    for weights in (served.installed.folder / "base" / row(served.family).denoiser).glob("*.safetensors"):
        weights.unlink()  # they are not asked for again
    again = DiffusersEngine(served.installed)
    after = [made(again, WANTED[:2], strength)[index] for index, strength in enumerate((FUSED, 0.25))]
    assert max(apart(one, other) for one, other in zip(before, after, strict=True)) <= NEAR


def test_a_call_that_nobody_waits_for_stops_before_its_next_step_and_leaves_no_trace(served: Served) -> None:
    before, counted = first(served.engine, FUSED), Counted(last=1)
    with pytest.raises(Stopped):
        served.engine.draw(shape_at(0.25), WANTED[:1], go_on=counted)
    assert counted.asked == 2
    hooked = [module for module in denoiser(served.engine.pipe).modules() if module._forward_hooks or module._forward_pre_hooks]
    assert hooked == []
    assert apart(before, first(served.engine, FUSED)) == 0


@pytest.mark.parametrize(("where", "overflow"), [("denoiser", float("nan")), ("decoder", float("inf"))])
def test_a_picture_that_holds_no_numbers_fails_and_leaves_no_trace(served: Served, where: str, overflow: float) -> None:
    """diffusers would make it black or white, and it would be billed."""
    pipe, before = served.engine.pipe, first(served.engine, FUSED)
    broken = pipe.vae.decoder if where == "decoder" else _first_linear(denoiser(pipe))
    hook = broken.register_forward_hook(lambda _module, _given, out: out * overflow)
    with pytest.raises(FloatingPointError, match="NaN or infinity"):
        first(served.engine, 0.25)
    hook.remove()
    assert not pipe.vae.decoder._forward_hooks
    assert apart(before, first(served.engine, FUSED)) == 0


def _first_linear(model: torch.nn.Module) -> torch.nn.Module:
    return next(module for module in model.modules() if isinstance(module, torch.nn.Linear))


def test_pictures_of_one_shape_are_made_in_one_call_but_for_those_with_negative_prompts(plain: DiffusersEngine) -> None:
    def steps(wanted: list[Wanted]) -> int:
        counted = Counted()
        plain.draw(shape_at(FUSED), wanted, go_on=counted)
        return counted.asked

    assert steps(WANTED[:1]) == STEPS
    assert steps(WANTED[:2] * 2) == STEPS
    assert steps(WANTED) == 2 * STEPS


def test_what_does_not_fit_into_memory_is_told_and_the_next_call_is_made(plain: DiffusersEngine) -> None:
    def full(*_: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")

    before = first(plain, FUSED)
    hook = denoiser(plain.pipe).register_forward_hook(full)
    with pytest.raises(torch.OutOfMemoryError):
        first(plain, 0.25)
    hook.remove()
    assert apart(before, first(plain, FUSED)) == 0


def test_guidance_may_be_off_and_seeds_are_counted_to_the_last(plain: DiffusersEngine) -> None:
    for guidance_scale in (0.0, 1.0):
        shape = replace(shape_at(FUSED), guidance_scale=guidance_scale)
        seeds = [Wanted(prompt=PROMPT, seed=seed) for seed in (0, 2**32 - 1)]
        zero, last = (pixels_of(picture) for picture in plain.draw(shape, seeds, go_on=lambda: True))
        assert apart(zero, last) > 2 * NEAR


def test_one_step_of_a_schedule_that_ends_at_a_set_level_is_refused(plain: DiffusersEngine) -> None:
    schedule = plain.pipe.scheduler
    plain.pipe.scheduler = type(schedule).from_config(schedule.config, shift_terminal=0.02)  # as that of Qwen-Image
    try:
        with pytest.raises(TooFewSteps) as error:
            plain.draw(replace(shape_at(FUSED), steps=1), WANTED[:1], go_on=lambda: True)
        assert error.value.body()["detail"] == [
            {"loc": ["body", "num_inference_steps"], "msg": str(error.value), "type": "greater_than_equal"}
        ]
        plain.draw(replace(shape_at(FUSED), steps=2), WANTED[:1], go_on=lambda: True)
    finally:
        plain.pipe.scheduler = schedule
    plain.draw(replace(shape_at(FUSED), steps=1), WANTED[:1], go_on=lambda: True)


def test_each_size_is_warmed_alone_and_in_the_largest_call(plain: DiffusersEngine, package: Installed) -> None:
    more = package.settings.model_copy(update={"warm_up": (Size(width=16, height=48),), "batching": Batching(max_batch=3)})
    drawn_first = [(shape.width, shape.height, count) for shape, count in warm_ups(more)]
    assert drawn_first == [(32, 32, 1), (32, 32, 3), (16, 48, 1), (16, 48, 3)]
    apart_only = more.model_copy(update={"pipeline": Pipeline(batches=False)})
    assert [count for _, count in warm_ups(apart_only)] == [1, 1]
    for shape, count in warm_ups(more):
        assert len(plain.draw(shape, [Wanted(prompt="warm up", seed=0)] * count, go_on=lambda: True)) == count


@pytest.fixture(scope="module")
def plain(package: Installed, tmp_path_factory: pytest.TempPathFactory) -> DiffusersEngine:
    return DiffusersEngine(packed(package, tmp_path_factory.mktemp("plain"), "z-image", with_adapter("z-image")))


def test_lokr_is_served_as_the_lora_that_it_equals(package: Installed, tmp_path: Path) -> None:
    pipe = with_adapter("z-image", kind="lokr")
    engine = DiffusersEngine(packed(package, tmp_path, "z-image", pipe))
    for strength in (FUSED, 0.25):
        assert apart(first(engine, strength), drawn(pipe, "z-image", strength)) <= NEAR


def test_a_file_that_tells_no_alpha_has_that_of_its_rank(package: Installed, tmp_path: Path) -> None:
    pipe = with_adapter("longcat-image", alpha=2.0)
    installed = packed(package, tmp_path, "longcat-image", pipe, header=False)
    assert apart(first(DiffusersEngine(installed), 1.0), drawn(pipe, "longcat-image", 1.0)) <= NEAR


@pytest.mark.parametrize("adapter_of", ["sd15", "lumina-2", "wider"])
def test_an_adapter_for_another_base_stops_the_start(package: Installed, tmp_path: Path, adapter_of: str) -> None:
    installed = packed(package, tmp_path, "z-image", with_adapter("z-image" if adapter_of == "wider" else adapter_of))
    if adapter_of == "wider":
        state = load_file(installed.adapter)
        save_file({name: torch.cat([tensor, tensor], dim=1).contiguous() for name, tensor in state.items()}, installed.adapter)
    with pytest.raises(SettingsError, match="was made for another base") as error:
        DiffusersEngine(_verified(installed))
    assert "\n" not in str(error.value)


def test_settings_older_than_the_pipeline_field_are_read_as_they_were_meant(package: Installed) -> None:
    old = {name: value for name, value in package.settings.model_dump(by_alias=True).items() if name != "pipeline"}
    assert Settings.model_validate(old).called == Pipeline()
    meant, now = Settings.model_validate(old | {"family": "qwen-image"}).called, called(FAMILIES["qwen-image"])
    assert (meant.guidance_argument, meant.options) == (now.guidance_argument, now.options)


def _verified(installed: Installed) -> Installed:
    """The same with the sha256 of the adapter as it is now."""
    adapter = installed.settings.adapter.model_copy(update={"sha256": sha256(installed.adapter)})
    return Installed(
        folder=installed.folder, hash=installed.hash, settings=installed.settings.model_copy(update={"adapter": adapter})
    )
