"""A challenger beside the fused champion draws what an app of its own would draw, and the champion never notices."""

import json
from pathlib import Path
from shutil import copytree

import numpy as np
import pytest
from fastapi.testclient import TestClient

from serving.app.app import LoraApp
from serving.app.drawing.engine import DiffusersEngine
from serving.app.errors import SettingsError
from serving.app.settings import Installed
from tests.serving.app.packages import built, sha256
from tests.serving.app.second_adapters import SECOND, installed, pixels, shape, write_adapter

NEAR = 1  # of 255: the champion is taken out of the weights by adding its negative, which rounds in another order


@pytest.mark.parametrize("family", ["z-image", "sdxl", "qwen-image"])
def test_it_draws_as_in_an_app_of_its_own_and_leaves_no_trace(package: Installed, tmp_path: Path, family: str) -> None:
    second = write_adapter(tmp_path / "second.safetensors", family, layers=("to_k", "to_v"), rank=3, seed=5)
    engine = DiffusersEngine(installed(package, tmp_path / "both", family, challenger=second))
    (before,) = pixels(engine, shape())
    found = {scale: pixels(engine, shape("challenger", scale=scale))[0] for scale in (SECOND, 1.0)}
    assert np.array_equal(pixels(engine, shape())[0], before)

    alone = _alone(package, tmp_path / "alone", family, second)
    for scale, picture in found.items():
        assert np.abs(picture - pixels(alone, shape(scale=scale))[0]).max() <= NEAR
        assert np.abs(picture - before).max() > 2 * NEAR
    assert np.abs(found[SECOND] - found[1.0]).max() > 2 * NEAR


def test_another_file_takes_its_place_without_a_restart(package: Installed, tmp_path: Path) -> None:
    files = [write_adapter(tmp_path / f"{seed}.safetensors", "z-image", layers=("to_v",), rank=2, seed=seed) for seed in (5, 6)]
    engine = DiffusersEngine(installed(package, tmp_path / "both", "z-image", challenger=files[0]))
    (champion,), (first,) = pixels(engine, shape()), pixels(engine, shape("challenger", scale=SECOND))
    engine.replace_challenger(files[1], sha256=sha256(files[1]))
    (second,) = pixels(engine, shape("challenger", scale=SECOND))
    assert np.abs(second - first).max() > 2 * NEAR
    assert np.abs(second - pixels(_alone(package, tmp_path / "alone", "z-image", files[1]), shape(scale=SECOND))[0]).max() <= NEAR
    assert np.array_equal(pixels(engine, shape())[0], champion)

    unfit = write_adapter(tmp_path / "unfit.safetensors", "lumina-2", layers=("to_q",), rank=2, seed=7)
    for path, expected, message in (
        (files[0], sha256(files[1]), "has sha256"),
        (tmp_path / "none.safetensors", sha256(files[0]), "can not be read"),
        (unfit, sha256(unfit), "was made for another base"),
    ):
        with pytest.raises(SettingsError, match=message) as error:
            engine.replace_challenger(path, sha256=expected)
        assert "\n" not in str(error.value)
    assert np.array_equal(pixels(engine, shape("challenger", scale=SECOND))[0], second)


def test_one_that_does_not_fit_the_base_stops_the_start(package: Installed, tmp_path: Path) -> None:
    unfit = write_adapter(tmp_path / "unfit.safetensors", "lumina-2", layers=("to_q",), rank=2, seed=5)
    both = installed(package, tmp_path / "both", "z-image", challenger=unfit)
    with pytest.raises(SettingsError, match="was made for another base"):
        DiffusersEngine(both)
    both.challenger.write_bytes(b"changed")
    with pytest.raises(SettingsError, match="has sha256"):
        DiffusersEngine(both)


def _alone(package: Installed, folder: Path, family: str, adapter: Path) -> DiffusersEngine:
    """An engine that has this file as its own adapter, fused at SECOND."""
    own = installed(package, folder, family)
    own.adapter.write_bytes(adapter.read_bytes())
    changed = own.settings.adapter.model_copy(update={"sha256": sha256(adapter), "scale": SECOND})
    settings = own.settings.model_copy(update={"adapter": changed})
    return DiffusersEngine(Installed(folder=folder, hash="0", settings=settings))


def test_callers_ask_for_it_by_a_field_and_get_its_own_strength(package: Installed, tmp_path: Path) -> None:
    second = write_adapter(tmp_path / "second.safetensors", "z-image", layers=("to_v",), rank=2, seed=5)
    folder = tmp_path / "package"
    copytree(package.folder, folder)
    (folder / "challenger.safetensors").write_bytes(second.read_bytes())
    settings = json.loads((folder / "settings.json").read_text())
    (folder / "settings.json").write_text(json.dumps(settings | {"challenger": {"sha256": sha256(second), "scale": SECOND}}))
    with TestClient(built(LoraApp, folder)) as client:
        asked = {
            "prompt": "a red dog",
            "seed": 1,
            "sync_mode": True,
            "output_format": "png",
            "image_size": {"width": 32, "height": 32},
        }
        champion, unsaid, said, other = (
            client.post("/", json=asked | more).raise_for_status().json()["images"][0]["url"]
            for more in (
                {},
                {"adapter": "challenger"},
                {"adapter": "challenger", "lora_scale": SECOND},
                {"adapter": "challenger", "lora_scale": 1.5},
            )
        )
        assert unsaid == said
        assert len({champion, said, other}) == 3
