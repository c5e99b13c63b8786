"""The cache encodes once, and again only what changed."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.training.tiny_pipelines import tiny_pipeline
from training.base import Base, locate
from training.conditioning import same
from training.data.cache import Encoding, encode_pictures, load_pixels
from training.data.manifest import read_dataset
from training.denoise import record
from training.errors import DatasetError
from training.latents import encode


@pytest.fixture(scope="module")
def base(base_folder: Path) -> Base:
    return locate(str(base_folder))


@pytest.fixture(scope="module")
def warm(base: Base, dataset_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Encoding]:
    folder = tmp_path_factory.mktemp("warm")
    return folder, encoded(dataset_folder, base, folder)


def encoded(dataset_folder: Path, base: Base, folder: Path) -> Encoding:
    dataset = read_dataset(dataset_folder)
    return encode_pictures(dataset, dataset.pictures, tiny_pipeline("z-image"), base, folder)


def with_manifest(dataset_folder: Path, to: Path, change: Any) -> Path:
    shutil.copytree(dataset_folder, to)
    manifest = json.loads((to / "manifest.json").read_text())
    change(manifest)
    (to / "manifest.json").write_text(json.dumps(manifest))
    return to


def test_a_first_run_encodes_all_and_a_second_nothing(warm: tuple[Path, Encoding], base: Base, dataset_folder: Path) -> None:
    folder, first = warm
    assert (first.latents_made, first.conditioning_made) == (10, 10)
    again = encoded(dataset_folder, base, folder)
    assert (again.latents_made, again.conditioning_made) == (0, 0)
    for one, two in zip(first.examples, again.examples, strict=True):
        assert torch.equal(one.latents, two.latents)
        assert same(dict(one.conditioning.arguments), dict(two.conditioning.arguments))
    assert not list(folder.rglob("*.part"))


def test_examples_are_their_own_pictures_and_captions(warm: tuple[Path, Encoding], base: Base, dataset_folder: Path) -> None:
    dataset, pipe = read_dataset(dataset_folder), tiny_pipeline("z-image")
    for picture, example in zip(dataset.pictures, warm[1].examples, strict=True):
        pixels = load_pixels(dataset.folder / picture.path)
        assert torch.equal(example.latents, encode(pipe, base.family, pixels[None])[0])
        alone = record(pipe, base.family, picture.caption, *picture.bucket)
        assert same(dict(example.conditioning.arguments), dict(alone.arguments))
        assert (example.caption, example.bucket) == (picture.caption, picture.bucket)


def test_one_edited_caption_is_encoded_again_alone(
    warm: tuple[Path, Encoding], base: Base, dataset_folder: Path, tmp_path: Path
) -> None:
    def edit(manifest: dict[str, Any]) -> None:
        manifest["pictures"][4]["caption"] = "something else"

    again = encoded(with_manifest(dataset_folder, tmp_path / "edited", edit), base, warm[0])
    assert (again.latents_made, again.conditioning_made) == (0, 1)
    assert again.examples[4].caption == "something else"


def test_the_same_caption_is_encoded_once(base: Base, dataset_folder: Path, tmp_path: Path) -> None:
    def edit(manifest: dict[str, Any]) -> None:
        for picture in manifest["pictures"]:
            picture["caption"] = "sks"

    made = encoded(with_manifest(dataset_folder, tmp_path / "edited", edit), base, tmp_path / "cache")
    assert made.conditioning_made == len({picture.bucket for picture in read_dataset(dataset_folder).pictures})


@pytest.mark.parametrize(
    ("component", "made"),
    [("vae", (10, 0)), ("text_encoder", (0, 10)), ("transformer", (0, 0))],
)
def test_other_encoder_weights_are_other_keys(
    component: str, made: tuple[int, int], warm: tuple[Path, Encoding], base_folder: Path, dataset_folder: Path, tmp_path: Path
) -> None:
    shutil.copytree(base_folder, tmp_path / "base")
    (weights,) = (tmp_path / "base" / component).glob("*.safetensors")
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x7f")
    shutil.copytree(warm[0], tmp_path / "cache")
    again = encoded(dataset_folder, locate(str(tmp_path / "base")), tmp_path / "cache")
    assert (again.latents_made, again.conditioning_made) == made


def test_a_damaged_file_is_encoded_again(warm: tuple[Path, Encoding], base: Base, dataset_folder: Path, tmp_path: Path) -> None:
    shutil.copytree(warm[0], tmp_path / "cache")
    for kind in ("latents", "conditioning"):
        victim = sorted((tmp_path / "cache" / kind).rglob("*.safetensors"))[0]
        victim.write_bytes(victim.read_bytes()[:40])
    again = encoded(dataset_folder, base, tmp_path / "cache")
    assert (again.latents_made, again.conditioning_made) == (1, 1)
    assert encoded(dataset_folder, base, tmp_path / "cache").latents_made == 0


def test_a_missing_picture_and_a_wrong_multiple_are_named(base: Base, dataset_folder: Path, tmp_path: Path) -> None:
    def narrow(manifest: dict[str, Any]) -> None:
        manifest["pictures"][0]["bucket"] = [24, 32]

    with pytest.raises(DatasetError, match="needs sides divisible by 16"):
        encoded(with_manifest(dataset_folder, tmp_path / "narrow", narrow), base, tmp_path / "cache")
    gone = with_manifest(dataset_folder, tmp_path / "gone", lambda manifest: None)
    next(iter((gone / "pictures").iterdir())).unlink()
    with pytest.raises(DatasetError, match="prepare the dataset again"):
        encoded(gone, base, tmp_path / "cache")
