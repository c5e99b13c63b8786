"""An adapter that has four pictures of the demo by heart is caught, on the base that the demo trains on."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from training.base import load_pipeline, locate
from training.config import DatasetOptions, InferenceConfig, TrainConfig
from training.data.manifest import read_dataset
from training.data.prepare import prepare
from training.events import Events
from training.export import FILE, load_adapter
from training.measures import memorisation
from training.memorisation import COPY
from training.shelf import Shelf
from training.shots import drawn, shots_of
from training.stages import train_adapter

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
BY_HEART = ("baby-bottle", "chestnut", "deer", "goose")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, TrainConfig]:
    folder = tmp_path_factory.mktemp("memorised")
    (folder / "pictures").mkdir()
    for name in BY_HEART:
        for suffix in (".webp", ".txt"):
            shutil.copy(EXAMPLES / "emoji" / "pictures" / f"{name}{suffix}", folder / "pictures")
    prepare(folder / "pictures", folder / "data", DatasetOptions(resolution=64, held_out=EXAMPLES / "emoji" / "held_out"))
    recipe = {"steps": 60, "batch_size": 4, "rank": 16, "alpha": 16, "learning_rate": 3e-3, "resolution": 64}
    places = {"base": str(EXAMPLES / "base"), "dataset": folder / "data", "cache": folder / "cache"}
    config = TrainConfig(**recipe, **places, inference=InferenceConfig(steps=12, guidance_scale=0.5))
    train_adapter(config, folder / "adapter", work=folder / "work", events=Events())
    return folder / "adapter" / FILE, config


def test_an_adapter_that_knows_its_pictures_by_heart_is_caught(trained: tuple[Path, TrainConfig]) -> None:
    adapter, config = trained
    base, dataset = locate(config.base), read_dataset(config.dataset)
    pipe, shots = load_pipeline(base, torch.float32), shots_of(dataset)
    asked = [*shots.own[:2], shots.varied[0], *shots.recalled]
    plain = drawn(pipe, base.family, asked, config.inference, lambda: None)
    load_adapter(pipe, adapter)
    learned = drawn(pipe, base.family, asked, config.inference, lambda: None)

    def looked_at(pictures: Sequence[Image.Image]) -> dict[str, Any]:
        pairs = {shot.prompt: pair for shot, pair in zip(asked, zip(plain, pictures, strict=True), strict=True)}
        own, recalled = (dict(list(pairs.items())[part]) for part in (slice(2), slice(2, None)))
        measured = memorisation("no model is here", own, recalled, Shelf(dataset, "train"), Shelf(dataset, "held_out"))
        found: dict[str, Any] = measured["hash"]
        return found

    found = looked_at(learned)
    caught = {row["sample"] for row in found["samples"] if row["distance"] < min(found["bar"], COPY * row["base"])}
    assert caught == {name.replace("-", " ") for name in BY_HEART}
    assert found["copies"] == len(BY_HEART)
    assert looked_at(plain)["copies"] == 0  # although the base draws a deer that is below the bar
    assert looked_at(plain)["below_bar"] == 1
