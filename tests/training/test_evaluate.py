"""What is measured of an adapter, and when it may be said to have learned."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from training.adapter import inject, remove
from training.base import load_pipeline, locate
from training.bundle import write_bundle
from training.comparison import Losses, against, by_level, noise_floor, paired_bootstrap, verdict
from training.config import TrainConfig
from training.data.cache import encode_pictures, load_pixels
from training.data.manifest import read_dataset
from training.evaluate import Subject, evaluate
from training.export import FILE, export
from training.grid import grid
from training.metadata import metadata_of
from training.sample import PLACE
from training.scores import Scorers
from training.shots import STRENGTHS, shots_of
from training.validation import SIGMAS, stable_losses

SCHEMA = Path(__file__).resolve().parents[2] / "docs" / "schemas" / "evaluation.schema.json"


@pytest.fixture(scope="module")
def adapter(base_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An adapter that does something, exported."""
    base = locate(str(base_folder))
    denoiser = load_pipeline(base, torch.float32).transformer
    for index, parameter in enumerate(inject(denoiser, base.family, rank=2, alpha=2.0, seed=0).values()):
        torch.nn.init.normal_(parameter, std=0.2, generator=torch.Generator().manual_seed(index))
    return export(denoiser, base.family, tmp_path_factory.mktemp("adapter"))


@pytest.fixture(scope="module")
def other(adapter: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same at half of its strength."""
    halved = {name: tensor / 2 if "lora_B" in name else tensor for name, tensor in load_file(adapter).items()}
    save_file(halved, place := tmp_path_factory.mktemp("other") / FILE, metadata=metadata_of(adapter))
    return place


BRIEF = {"steps": 1, "guidance_scale": 0.0}
NOBODY = Scorers(clip="no CLIP here", dino="no DINO here")
Make = Callable[..., TrainConfig]


def subject_of(base_folder: Path, dataset_folder: Path, adapter: Path, cache: Path, *, held_out: bool = True) -> Subject:
    base, dataset = locate(str(base_folder)), read_dataset(dataset_folder)
    if not held_out:
        dataset = dataset.model_copy(update={"pictures": dataset.split("train")})
    pipe = load_pipeline(base, torch.float32)
    pictures = dataset.split("held_out")
    examples = encode_pictures(dataset, pictures or dataset.pictures[:1], pipe, base, cache).examples
    pairs = tuple(zip(pictures, examples, strict=True)) if pictures else ()
    return Subject(
        pipe=pipe, family=base.family, adapter=adapter, dataset=dataset, held_out=pairs, probe=examples[0], scorers=NOBODY
    )


@pytest.fixture
def subject(base_folder: Path, dataset_folder: Path, adapter: Path, make_config: Make) -> Subject:
    return subject_of(base_folder, dataset_folder, adapter, make_config().cache)


def losses_of(subject: Subject, rows: int = 8, start: int = 0) -> Losses:
    return stable_losses(subject.pipe.transformer, subject.pipe.scheduler, subject.family, subject.held_out[start:], rows=rows)


def test_an_evaluation_holds_what_the_gate_and_the_page_read(
    subject: Subject, base_folder: Path, adapter: Path, make_config: Make, tmp_path: Path
) -> None:
    config = make_config()
    (tmp_path / FILE).write_bytes(adapter.read_bytes())
    seen: list[tuple[str, int, int]] = []
    found = evaluate(subject, config, tmp_path, progress=lambda *step: seen.append(step))

    jsonschema.validate(found, json.loads(SCHEMA.read_text()), cls=jsonschema.Draft202012Validator)
    assert (found["held_out"], found["strength_zero_equal"], found["learned"]) == (2, True, False)
    assert found["loss"]["relative"] == pytest.approx(found["loss"]["adapter"] / found["loss"]["base"] - 1)
    assert found["loss"]["adapter"] != found["loss"]["base"]
    assert (found["champion"], found["twin"]) == (None, {"floor": 0.0})
    assert [row["caption"] for row in found["per_picture"]] == [picture.caption for picture, _ in subject.held_out]
    for name in ("base", "adapter"):
        assert np.mean([row[name] for row in found["levels"]]) == pytest.approx(found["loss"][name])
        assert np.mean([row[name] for row in found["per_picture"]]) == pytest.approx(found["loss"][name])
    for part in ("loss", "samples"):
        totals = {total for name, _, total in seen if name == part}
        assert [done for name, done, _ in seen if name == part] == list(range(1, totals.pop() + 1))
        assert totals == set()
    for row, (picture, _) in zip(found["samples"], subject.held_out, strict=True):
        base, adapted, real = (load_pixels(tmp_path / row[name]) for name in ("base", "adapter", "real"))
        assert base.shape[1:] == adapted.shape[1:] == real.shape[1:] == picture.bucket
        assert not torch.equal(base, adapted)
        assert torch.equal(real, load_pixels(subject.dataset.folder / picture.path))
    assert (tmp_path / found["grid"]).is_file()
    assert (found["strip"]["strengths"], (tmp_path / found["strip"]["sheet"]).is_file()) == (list(STRENGTHS), True)

    manifest = write_bundle(tmp_path, found, config=config, base=locate(str(base_folder)), dataset=subject.dataset)
    assert json.loads((tmp_path / "manifest.json").read_text()) == manifest
    assert manifest["adapter_sha256"] == manifest["files"][FILE]
    assert set(manifest["files"]) == {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.*")} - {
        "manifest.json",
        PLACE,
    }


def test_what_is_live_is_asked_the_same_questions_and_leaves_no_trace(
    subject: Subject, make_config: Make, other: Path, tmp_path: Path
) -> None:
    config = make_config(inference=BRIEF)
    alone = evaluate(subject, config, tmp_path / "alone", progress=_quiet)
    remove(subject.pipe.transformer)
    beside = evaluate(replace(subject, champion=other), config, tmp_path / "beside", progress=_quiet)
    remove(subject.pipe.transformer)
    itself = evaluate(replace(subject, adapter=other), config, tmp_path / "itself", progress=_quiet)
    live = beside["champion"]
    assert live["loss"] == itself["loss"]["adapter"] != alone["loss"]["adapter"]
    assert live["difference"] == pytest.approx(beside["loss"]["adapter"] - live["loss"])
    assert live["bootstrap"]["low"] <= live["difference"] <= live["bootstrap"]["high"]
    assert [row["champion"] for row in beside["per_picture"]] == [row["adapter"] for row in itself["per_picture"]]
    assert (beside["loss"], beside["strength_zero_equal"]) == (alone["loss"], True)
    rows = zip(beside["samples"], itself["samples"], strict=True)
    assert all(
        (tmp_path / "beside" / one["champion"]).read_bytes() == (tmp_path / "itself" / two["adapter"]).read_bytes()
        for one, two in rows
    )
    widths = [load_pixels(tmp_path / name / "samples" / "grid.png").shape[2] for name in ("alone", "beside")]
    assert widths[0] < widths[1]


def test_a_live_adapter_that_does_not_fit_is_unmeasured_and_taken_out_again(
    subject: Subject, make_config: Make, tmp_path: Path
) -> None:
    lame = tmp_path / FILE
    save_file({"transformer.layers.0.attention.to_q.lora_A.weight": torch.zeros(2, 3)}, lame)
    found = evaluate(replace(subject, champion=lame), make_config(inference=BRIEF), tmp_path, progress=_quiet)
    assert "does not fit this base" in found["champion"]["unmeasured"]
    assert found["strength_zero_equal"] is True
    remove(subject.pipe.transformer)
    said = evaluate(replace(subject, champion="it is gone"), make_config(inference=BRIEF), tmp_path, progress=_quiet)["champion"]
    assert said == {"unmeasured": "it is gone"}


def test_the_noise_floor_is_what_a_second_training_shows(subject: Subject, make_config: Make, other: Path, tmp_path: Path) -> None:
    config = make_config(inference=BRIEF)

    def floor(**changes: Any) -> dict[str, Any]:
        remove(subject.pipe.transformer)
        twin: dict[str, Any] = evaluate(replace(subject, **changes), config, tmp_path, progress=_quiet)["twin"]
        return twin

    assert floor(repeats=False) == {"unmeasured": "no second training of the same recipe was made"}
    same = tmp_path / "same.safetensors"
    same.write_bytes(subject.adapter.read_bytes())
    assert floor(repeats=False, twin=same) == {"floor": 0.0}
    unlike = floor(repeats=False, twin=other)
    assert unlike["floor"] == max(abs(unlike["bootstrap"]["low"]), abs(unlike["bootstrap"]["high"])) > 0


def test_stable_loss_repeats_and_does_not_depend_on_the_other_pictures(subject: Subject) -> None:
    both = losses_of(subject)
    assert both.shape == (2, len(SIGMAS))
    assert (both[1] == losses_of(subject, start=1)[0]).all()
    assert losses_of(subject, rows=3) == pytest.approx(both, rel=1e-5)


def test_stable_loss_weighs_pictures_by_their_masks(subject: Subject) -> None:
    (picture, example), *_ = subject.held_out
    even = replace(subject, held_out=[(picture, replace(example, mask=torch.ones_like(example.latents)))])
    assert losses_of(even) == pytest.approx(losses_of(subject)[:1])
    mask = torch.zeros_like(example.latents)
    mask[..., :1] = mask.shape[-1]
    assert losses_of(replace(subject, held_out=[(picture, replace(example, mask=mask))])) != pytest.approx(losses_of(even))


def test_without_held_out_pictures_nothing_is_claimed(
    base_folder: Path, dataset_folder: Path, adapter: Path, make_config: Make, tmp_path: Path
) -> None:
    config = make_config(inference=BRIEF)
    subject = subject_of(base_folder, dataset_folder, adapter, config.cache, held_out=False)
    found = evaluate(replace(subject, champion=adapter), config, tmp_path, progress=_quiet)
    assert found["loss"] == {"base": None, "adapter": None, "relative": None}
    assert (found["held_out"], found["bootstrap"]["high"], found["learned"], found["levels"]) == (0, None, False, [])
    assert found["champion"] == {"unmeasured": "no picture was held out"}
    assert found["memorisation"]["hash"] == {"unmeasured": "no picture was held out to judge by"}
    assert len(found["samples"]) == 8


def test_shots_repeat_and_neutral_prompts_do_without_the_trigger(dataset_folder: Path) -> None:
    dataset = read_dataset(dataset_folder)
    plain = shots_of(dataset)
    assert plain == shots_of(dataset)
    everything = (*plain.own, *plain.neutral, *plain.varied, *plain.recalled)
    assert len({shot.seed for shot in everything}) == len(everything)
    captions = {picture.caption for picture in dataset.pictures}
    assert not captions & {shot.prompt for shot in plain.neutral}
    trained = {picture.caption for picture in dataset.split("train")}
    assert {shot.prompt for shot in (*plain.varied, *plain.recalled)} <= trained
    called = [picture.model_copy(update={"generic": f"without {picture.file}"}) for picture in dataset.pictures]
    neutral = shots_of(dataset.model_copy(update={"trigger": "zog", "pictures": tuple(called)})).neutral
    assert all(shot.prompt.startswith("without ") for shot in neutral)
    assert len({shot.prompt for shot in neutral}) == len(neutral)


def _quiet(part: str, done: int, total: int) -> None:
    """Nobody listens."""


def _around(mean: float, count: int, spread: float = 0.005) -> np.ndarray:
    return mean + spread * np.random.default_rng(count).standard_normal(count)


@pytest.mark.parametrize(
    ("count", "adapter_loss", "spread", "learned"),
    [(20, 0.45, 0.005, True), (19, 0.45, 0.005, False), (20, 0.49, 0.005, False), (20, 0.55, 0.005, False), (20, 0.46, 0.5, False)],
)
def test_learned_means_enough_pictures_enough_below_and_sure(count: int, adapter_loss: float, spread: float, learned: bool) -> None:
    base = np.full(count, 0.5)
    adapter = _around(adapter_loss, count, spread)
    adapter += adapter_loss - adapter.mean()
    assert verdict(base, adapter)["learned"] is learned


def test_against_what_is_live_the_difference_is_paired() -> None:
    live = np.linspace(0.1, 0.9, 20)
    found = against(live, live - 0.01)
    assert (found["difference"], found["relative"]) == (pytest.approx(-0.01), pytest.approx(-0.02))
    assert found["bootstrap"]["high"] == pytest.approx(-0.01)  # pictures differ fifty times as much as the adapters do
    assert noise_floor(live, live + 0.02)["floor"] == pytest.approx(0.02)
    assert noise_floor(live[:0], live[:0]) == {"unmeasured": "no picture was held out"}


def test_losses_by_level_are_means_over_pictures() -> None:
    losses = np.arange(16.0).reshape(2, 8)
    rows = by_level({"base": losses, "adapter": losses + 1})
    assert [row["sigma"] for row in rows] == list(SIGMAS)
    assert [row["base"] for row in rows] == [4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 11.0]
    assert all(row["adapter"] == row["base"] + 1 for row in rows)
    assert by_level({"base": losses[:0], "adapter": losses[:0]}) == []


def test_the_bootstrap_interval_holds_the_mean_repeats_and_narrows() -> None:
    few, many = _around(-0.1, 20, 0.05), _around(-0.1, 2000, 0.05)
    low, high = paired_bootstrap(few)
    assert low < few.mean() < high
    assert (low, high) == paired_bootstrap(few)
    assert high - low == pytest.approx(2 * 1.96 * few.std() / np.sqrt(20), rel=0.1)
    narrow = paired_bootstrap(many)
    assert narrow[1] - narrow[0] < (high - low) / 5


def test_the_grid_has_a_cell_for_each_picture_and_headings_outside_of_them() -> None:
    colours = ("red", "lime", "blue")
    rows = [("a very long caption about " + "many things " * 20, [Image.new("RGB", (64, 32), colour) for colour in colours])] * 2
    sheet = grid(rows, cell=100)
    found = {tuple(pixel) for pixel in np.asarray(sheet).reshape(-1, 3)}
    assert {(255, 0, 0), (0, 255, 0), (0, 0, 255)} <= found
    coloured = np.asarray(sheet).astype(int)
    red = np.argwhere((coloured == (255, 0, 0)).all(axis=2))
    assert len(red) == 2 * 100 * 50
    heading = np.asarray(sheet.crop((0, 0, sheet.width, 36)).convert("L"))
    assert (heading < 100).any()
    labels = np.asarray(sheet.crop((0, 36, 180, sheet.height)).convert("L"))
    assert (labels < 100).any()
