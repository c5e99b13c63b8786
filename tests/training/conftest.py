"""A tiny base on disk, pictures, a prepared dataset and a configuration, shared by the tests of this room."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from tests.training.tiny_pipelines import tiny_pipeline
from training.config import DatasetOptions, TrainConfig
from training.data.prepare import prepare

Painter = Callable[..., Path]


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def paint(path: Path, seed: int, *, size: tuple[int, int] = (40, 40), caption: str | None = "a picture") -> Path:
    """A picture of 5 x 5 random colour fields, no two seeds alike, and its caption beside it."""
    fields = np.random.default_rng(seed).integers(0, 256, (5, 5, 3), dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(fields).resize(size, Image.Resampling.BICUBIC).save(path)
    if caption is not None:
        path.with_suffix(".txt").write_text(caption, encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def base_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved_base("z-image", tmp_path_factory.mktemp("base"))


def saved_base(family: str, folder: Path) -> Path:
    tiny_pipeline(family).save_pretrained(folder, safe_serialization=True)
    return folder


@pytest.fixture(scope="session")
def dataset_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight pictures to train on in two buckets, two held out, captions of unlike lengths."""
    folder = tmp_path_factory.mktemp("data")
    for index in range(10):
        size = (40, 40) if index % 3 else (80, 20)
        paint(folder / "source" / f"{index}.png", index, size=size, caption="a dog " * (1 + index % 3) + str(index))
    options = DatasetOptions(resolution=32, held_out=2, min_side=16, near_duplicate=0)
    prepare(folder / "source", folder / "prepared", options)
    return folder / "prepared"


@pytest.fixture
def make_config(base_folder: Path, dataset_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., TrainConfig]:
    cache = tmp_path_factory.getbasetemp() / "cache"

    def make(**changes: Any) -> TrainConfig:
        plain = {
            "base": str(base_folder),
            "dataset": dataset_folder,
            "cache": cache,
            "resolution": 32,
            "steps": 6,
            "batch_size": 3,
            "rank": 2,
            "alpha": 2.0,
            "learning_rate": 1e-2,
            "warmup": 2,
            "checkpoint_every": 2,
            "log_every": 3,
            "inference": {"steps": 2, "guidance_scale": 2.0},
        }
        return TrainConfig.model_validate({**plain, **changes})

    return make
