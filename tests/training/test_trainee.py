"""Which bases may be trained: distilled ones are refused with the name of the one to train instead, or trained with a warning."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.training.conftest import paint
from training.config import DatasetOptions, TrainConfig
from training.data.manifest import read_dataset
from training.data.prepare import prepare
from training.families import FAMILIES
from training.run import main

Make = Callable[..., TrainConfig]


@pytest.fixture
def distilled(base_folder: Path, tmp_path: Path) -> Path:
    """The tiny base under the name of a distilled one."""
    return Path(shutil.copytree(base_folder, tmp_path / "Z-Image-Turbo"))


def train(config: TrainConfig, folder: Path) -> tuple[int, list[dict[str, Any]]]:
    (folder / "config.json").write_text(config.model_dump_json())
    asked = ["train", "--config", f"{folder}/config.json", "--out", f"{folder}/out", "--work", f"{folder}/work"]
    code = main([*asked, "--events", f"{folder}/events"])
    return code, [json.loads(line) for line in (folder / "events").read_text().splitlines()]


def test_a_distilled_base_is_refused_and_the_one_to_train_instead_is_named(
    distilled: Path, make_config: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, events = train(make_config(base=str(distilled)), tmp_path)
    line = capsys.readouterr().err
    assert code == 2
    assert f"train on {FAMILIES['z-image'].train_instead}, or set train_distilled: true" in line
    assert FAMILIES["z-image"].train_instead
    assert line.count("\n") == 1
    assert [event["event"] for event in events] == ["error"]  # nothing was loaded or encoded


def test_a_distilled_base_is_trained_on_request_with_a_warning(
    distilled: Path, make_config: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, events = train(make_config(base=str(distilled), steps=2, train_distilled=True), tmp_path)
    assert code == 0, capsys.readouterr().err
    (warning,) = [event["message"] for event in events if event["event"] == "warning"]
    assert FAMILIES["z-image"].train_instead in warning


def test_leave_to_train_a_distilled_base_decides_no_weights(make_config: Make) -> None:
    assert make_config().terms() == make_config(train_distilled=True).terms()
    assert make_config().terms() != make_config(optimizer="sgd").terms()


def test_a_recipe_with_everything_runs_from_folder_to_adapter(
    make_config: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Empty and generic captions are encoded because the recipe asks for them, and only then."""
    for index in range(6):
        paint(tmp_path / "source" / f"{index}.png", index, caption=f"a sks dog {index % 2}")
    options = DatasetOptions(resolution=32, held_out=2, min_side=16, near_duplicate=0, trigger="sks", symmetric=True)
    prepare(tmp_path / "source", tmp_path / "prepared", options)
    recipe = {"caption_dropout": 0.5, "prior_weight": 1.0, "loss": "huber", "min_snr_gamma": 5.0, "rslora": True}
    recipe |= {"preset": "subject", "validate_every": 2, "gradient_accumulation": 2, "gradient_checkpointing": "on"}
    plain = {"dataset": str(tmp_path / "prepared"), "cache": str(tmp_path / "cache"), "trigger": "sks", "steps": 4, "batch_size": 2}
    code, _ = train(make_config(**plain, **recipe), tmp_path)
    assert code == 0, capsys.readouterr().err
    record = json.loads((tmp_path / "out" / "training.json").read_text())
    assert record["how"]["gradient_checkpointing"]
    pictures = read_dataset(tmp_path / "prepared").split("train")
    captions = {"", *(picture.caption for picture in pictures), *(picture.generic for picture in pictures)}
    assert len(captions) > 3
    assert record["encoded"] == {"latents": 2 * len(pictures), "conditioning": len(captions)}  # each picture and its mirror
