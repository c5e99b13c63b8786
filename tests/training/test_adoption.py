"""The adopt command: a LoRA file from elsewhere becomes the folder that a training leaves, without the base's weights."""

import copy
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from tests.training.tiny import tiny_pipeline
from training.adapter import inject
from training.adopt import modules_of, read_lora
from training.base import sha256_of
from training.config import TrainConfig
from training.export import FILE, pairs_of
from training.export_formats import spelled
from training.families import FAMILIES
from training.keys import formats_of
from training.pairs import Lora, different
from training.run import main

FAMILY = FAMILIES["z-image"]
HEADER = {
    "ss_steps": "120",
    "ss_learning_rate": "0.0001",
    "ss_optimizer": "AdamW8bit",
    "ss_seed": "None",
    "ss_sd_model_name": "D:\\models\\somebody\\tiny.safetensors",
    "modelspec.title": "Clay\nstyle",
    "modelspec.thumbnail": "data:image/jpeg;base64,AAAA",
}


@pytest.fixture(scope="module")
def lora() -> Lora:
    denoiser = copy.deepcopy(tiny_pipeline("z-image").transformer)
    for index, parameter in enumerate(inject(denoiser, FAMILY, rank=2, alpha=3.0, seed=0).values()):
        torch.nn.init.normal_(parameter, std=0.3, generator=torch.Generator().manual_seed(index))
    return pairs_of(denoiser)


@pytest.fixture
def file(lora: Lora, tmp_path: Path) -> Path:
    modules, formats = modules_of(tiny_pipeline("z-image").transformer), formats_of("z-image")
    assert formats.kohya is not None
    tensors = spelled(lora, formats.names(formats.kohya, modules, flat=True), modules, kohya=True)
    save_file(tensors, tmp_path / "clay.safetensors", metadata=HEADER)
    return tmp_path / "clay.safetensors"


def asked(config: TrainConfig, file: Path, folder: Path) -> list[str]:
    (folder / "config.json").write_text(config.model_dump_json())
    return ["adopt", "--config", f"{folder}/config.json", "--adapter", str(file), "--out", f"{folder}/out"]


def test_it_leaves_what_a_training_leaves(
    lora: Lora, file: Path, make_config: Callable[..., TrainConfig], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(asked(make_config(), file, tmp_path)) == 0, capsys.readouterr().err
    record = json.loads((tmp_path / "out" / "training.json").read_text())
    assert record["adapter_sha256"] == sha256_of(tmp_path / "out" / FILE)
    assert {"dataset", "base"} <= record["terms"].keys()
    modules = modules_of(tiny_pipeline("z-image").transformer)
    assert different(read_lora(tmp_path / "out" / FILE, FAMILY, modules).lora, lora) == []


def test_what_the_header_says_is_kept_as_evidence_without_places_or_pictures(
    file: Path, make_config: Callable[..., TrainConfig], tmp_path: Path
) -> None:
    assert main(asked(make_config(), file, tmp_path)) == 0
    adopted = json.loads((tmp_path / "out" / "training.json").read_text())["adopted"]
    assert (adopted["file"], adopted["sha256"], adopted["format"]) == ("clay.safetensors", sha256_of(file), "kohya")
    assert (adopted["rank"], adopted["alpha"]) == (2, 3.0)
    assert adopted["training"] == {"steps": 120, "batch_size": None, "learning_rate": 1e-4, "seed": None, "optimizer": "AdamW8bit"}
    assert adopted["said"] == {"modelspec.title": "Clay style", "ss_sd_model_name": "tiny.safetensors"}


def test_a_file_that_does_not_fit_is_one_line_and_leaves_nothing(
    make_config: Callable[..., TrainConfig], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_file({"lora_unet_x.lora_down.weight": torch.ones(2, 2)}, tmp_path / "other.safetensors")
    assert main(asked(make_config(), tmp_path / "other.safetensors", tmp_path)) == 2
    line = capsys.readouterr().err
    assert "1 of 1 modules are not in a z-image base, first 'lora_unet_x'" in line
    assert line.count("\n") == 1
    assert not (tmp_path / "out" / FILE).exists()
