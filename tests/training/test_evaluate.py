"""What is measured of an adapter, and when it may be said to have learned."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from training.adapter import inject
from training.base import load_pipeline, locate
from training.bundle import write_bundle
from training.config import TrainConfig
from training.data.cache import encode_pictures, load_pixels
from training.data.manifest import read_dataset
from training.evaluate import Subject, evaluate, paired_bootstrap, stable_losses, verdict
from training.export import FILE, export
from training.grid import grid
from training.sample import PLACE


@pytest.fixture(scope="module")
def adapter(base_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An adapter that does something, exported."""
    base = locate(str(base_folder))
    denoiser = load_pipeline(base, torch.float32).transformer
    for index, parameter in enumerate(inject(denoiser, base.family, rank=2, alpha=2.0, seed=0).values()):
        torch.nn.init.normal_(parameter, std=0.2, generator=torch.Generator().manual_seed(index))
    return export(denoiser, base.family, tmp_path_factory.mktemp("adapter"), rank=2, alpha=2.0)


def subject_of(base_folder: Path, dataset_folder: Path, adapter: Path, cache: Path, *, held_out: bool = True) -> Subject:
    base, dataset = locate(str(base_folder)), read_dataset(dataset_folder)
    if not held_out:
        dataset = dataset.model_copy(update={"pictures": dataset.split("train")})
    pipe = load_pipeline(base, torch.float32)
    pictures = dataset.split("held_out")
    examples = encode_pictures(dataset, pictures or dataset.pictures[:1], pipe, base, cache).examples
    pairs = tuple(zip(pictures, examples, strict=True)) if pictures else ()
    return Subject(pipe=pipe, family=base.family, adapter=adapter, dataset=dataset, held_out=pairs, probe=examples[0])


def test_an_evaluation_holds_what_the_gate_and_the_page_read(
    base_folder: Path, dataset_folder: Path, adapter: Path, make_config: Callable[..., TrainConfig], tmp_path: Path
) -> None:
    config = make_config()
    subject = subject_of(base_folder, dataset_folder, adapter, config.cache)
    (tmp_path / FILE).write_bytes(adapter.read_bytes())
    seen: list[tuple[str, int, int]] = []
    found = evaluate(subject, config, tmp_path, progress=lambda *step: seen.append(step))

    assert found["schema"] == "lorasmith/evaluation/1"
    assert (found["held_out"], found["strength_zero_equal"], found["learned"]) == (2, True, False)
    assert found["loss"]["relative"] == pytest.approx(found["loss"]["adapter"] / found["loss"]["base"] - 1)
    assert found["loss"]["adapter"] != found["loss"]["base"]
    assert [row["caption"] for row in found["per_picture"]] == [picture.caption for picture, _ in subject.held_out]
    parts = [(part, done) for part, done, total in seen if total == 4]
    assert parts == [(part, done) for start in (0, 2) for part in ("loss", "samples") for done in (start + 1, start + 2)]
    for row, (picture, _) in zip(found["samples"], subject.held_out, strict=True):
        base, adapted, real = (load_pixels(tmp_path / row[name]) for name in ("base", "adapter", "real"))
        assert base.shape[1:] == adapted.shape[1:] == real.shape[1:] == picture.bucket
        assert not torch.equal(base, adapted)
        assert torch.equal(real, load_pixels(subject.dataset.folder / picture.path))
    assert found["grid"] == "samples/grid.png"

    manifest = write_bundle(tmp_path, found, config=config, base=locate(str(base_folder)), dataset=subject.dataset)
    assert json.loads((tmp_path / "manifest.json").read_text()) == manifest
    assert manifest["adapter_sha256"] == manifest["files"][FILE]
    assert set(manifest["files"]) == {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.*")} - {
        "manifest.json",
        PLACE,
    }


def test_stable_loss_repeats_and_does_not_depend_on_the_other_pictures(
    base_folder: Path, dataset_folder: Path, adapter: Path, make_config: Callable[..., TrainConfig]
) -> None:
    subject = subject_of(base_folder, dataset_folder, adapter, make_config().cache)
    both = stable_losses(subject.pipe, subject.family, subject.held_out, 8, lambda done: None)
    alone = stable_losses(subject.pipe, subject.family, subject.held_out[1:], 8, lambda done: None)
    assert both[1] == alone[0]
    by_three = stable_losses(subject.pipe, subject.family, subject.held_out, 3, lambda done: None)
    assert by_three == pytest.approx(both, rel=1e-5)


def test_without_held_out_pictures_nothing_is_claimed(
    base_folder: Path, dataset_folder: Path, adapter: Path, make_config: Callable[..., TrainConfig], tmp_path: Path
) -> None:
    config = make_config(inference={"steps": 1, "guidance_scale": 0.0})
    subject = subject_of(base_folder, dataset_folder, adapter, config.cache, held_out=False)
    found = evaluate(subject, config, tmp_path, progress=lambda *step: None)
    assert found["loss"] == {"base": None, "adapter": None, "relative": None}
    assert (found["held_out"], found["bootstrap"]["high"], found["learned"]) == (0, None, False)
    assert len(found["samples"]) == 8


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
