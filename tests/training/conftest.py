"""A tiny base on disk, pictures, a prepared dataset and a configuration, shared by the tests of this room."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from tests.licenses.loopback_hub import LoopbackHub, serving
from tests.training.runs import Run
from tests.training.tiny import tiny_pipeline
from training.base import Base, load_pipeline, locate
from training.config import DatasetOptions, TrainConfig
from training.data.cache import Example, encode_pictures
from training.data.manifest import read_dataset
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


@pytest.fixture(scope="session")
def base(base_folder: Path) -> Base:
    return locate(str(base_folder))


@pytest.fixture(scope="session")
def examples(base: Base, dataset_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Example, ...]:
    """The eight training pictures, encoded."""
    dataset, cache = read_dataset(dataset_folder), tmp_path_factory.getbasetemp() / "cache"
    return encode_pictures(dataset, dataset.split("train"), load_pipeline(base, torch.float32), base, cache).examples


@pytest.fixture
def run(base: Base, examples: tuple[Example, ...], make_config: Callable[..., TrainConfig], tmp_path: Path) -> Callable[..., Run]:
    """Starts trainings on the tiny base: a name for the work folder, examples of one's own, changes of the configuration."""

    def start(work: str, *, examples: tuple[Example, ...] = examples, base: Base = base, **changes: Any) -> Run:
        return Run(base, examples, make_config(**changes), tmp_path / work)

    return start


@pytest.fixture(scope="session")
def running_hub() -> Iterator[LoopbackHub]:
    with serving() as hub:
        yield hub


@pytest.fixture
def hub(running_hub: LoopbackHub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> LoopbackHub:
    """The loopback Hub as HF_ENDPOINT, with a cache of its own and no token."""
    for name in ("HF_TOKEN", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_ENDPOINT", running_hub.address)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
    running_hub.repos.clear()
    return running_hub
