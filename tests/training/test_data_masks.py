"""Masks: from a picture beside the picture, or its alpha, to weights of the latents' own shape."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from tests.training.conftest import paint
from tests.training.tiny import tiny_pipeline
from training.base import Base
from training.config import DatasetOptions
from training.data.cache import encode_pictures
from training.data.manifest import read_dataset
from training.data.masks import mask_of, weights_for
from training.data.prepare import prepare
from training.errors import DatasetError
from training.families import FAMILIES
from training.latents import PACKINGS


def options(**changes: Any) -> DatasetOptions:
    return DatasetOptions(**{"resolution": 32, "held_out": 0, "policy": {"duplicate_caption": "ignore"}, **changes})


def half(path: Path, size: tuple[int, int] = (40, 40)) -> None:
    """White on the left, black on the right."""
    mask = Image.new("L", size)
    mask.paste(255, (0, 0, size[0] // 2, size[1]))
    mask.save(path)


def transparent(path: Path) -> Path:
    with Image.open(paint(path, 3)) as picture:
        shown = picture.convert("RGBA")
    alpha = Image.new("L", shown.size, 255)
    alpha.paste(0, (0, 0, 20, 40))
    shown.putalpha(alpha)
    shown.save(path)
    return path


def test_a_mask_beside_a_picture_is_no_picture_and_one_without_is(tmp_path: Path) -> None:
    paint(tmp_path / "in" / "a.jpg", 1)
    half(tmp_path / "in" / "a.mask.png")
    paint(tmp_path / "in" / "b.mask.png", 2)
    manifest: Any = prepare(tmp_path / "in", tmp_path / "out", options())
    assert [(row["file"], "mask" in row) for row in manifest["pictures"]] == [("a.jpg", True), ("b.mask.png", False)]
    dataset = read_dataset(tmp_path / "out")
    with Image.open(dataset.folder / str(dataset.pictures[0].mask)) as mask:
        weights = np.asarray(mask)
    assert weights[16, 4] == 255
    assert weights[16, 28] == round(0.1 * 255)


def test_masks_are_part_of_a_datasets_identity_and_may_be_left_out(tmp_path: Path) -> None:
    paint(tmp_path / "in" / "a.png", 1)
    bare = prepare(tmp_path / "in", tmp_path / "out", options())["hash"]
    half(tmp_path / "in" / "a.mask.png")
    masked = prepare(tmp_path / "in", tmp_path / "out", options())["hash"]
    deeper = prepare(tmp_path / "in", tmp_path / "out", options(mask_background=0.0))["hash"]
    assert len({bare, masked, deeper}) == 3
    assert prepare(tmp_path / "in", tmp_path / "out", options(masks="none"))["hash"] == bare


def test_alpha_is_a_mask_when_asked_for_only(tmp_path: Path) -> None:
    transparent(tmp_path / "in" / "a.png")
    paint(tmp_path / "in" / "b.png", 4)
    files: Any = prepare(tmp_path / "in", tmp_path / "out", options())
    alpha: Any = prepare(tmp_path / "in", tmp_path / "out", options(masks="alpha"))
    assert ["mask" in row for row in files["pictures"]] == [False, False]
    assert ["mask" in row for row in alpha["pictures"]] == [True, False]
    with Image.open(tmp_path / "out" / alpha["pictures"][0]["mask"]) as mask:
        assert mask.getpixel((2, 16)) == round(0.1 * 255)
        assert mask.getpixel((30, 16)) == 255


@pytest.mark.parametrize(("kind", "says"), [("size", "other sides"), ("black", "black all over"), ("broken", "cannot be decoded")])
def test_a_mask_that_cannot_be_used_is_named(kind: str, says: str, tmp_path: Path) -> None:
    paint(tmp_path / "in" / "a.png", 1)
    place = tmp_path / "in" / "a.mask.png"
    if kind == "broken":
        place.write_text("x")
    else:
        Image.new("L", (20, 40) if kind == "size" else (40, 40), 0 if kind == "black" else 9).save(place)
    with pytest.raises(DatasetError, match=rf"a\.png: mask_unusable, .*{says}"):
        prepare(tmp_path / "in", tmp_path / "out", options())
    manifest: Any = prepare(tmp_path / "in", tmp_path / "out", options(policy={"mask_unusable": "warning"}))
    assert ["mask" in row for row in manifest["pictures"]] == [False]


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
def test_weights_are_packed_like_the_latents_of_every_family(family: Any) -> None:
    pack = PACKINGS[family.packing][0]
    marked = torch.zeros(1, 4, 8, 16)
    marked[..., :8] = 1.0  # the left half of the grid
    weights = torch.zeros(64, 128)
    weights[:, :64] = 255.0
    latents = pack(torch.rand(1, 4, 8, 16) + 3)[0]
    packed = weights_for(weights, family, latents)
    assert packed.shape == latents.shape
    assert torch.equal(packed, 2 * pack(marked)[0])
    assert float(packed.mean()) == 1.0


def test_weights_that_fit_no_latents_are_refused() -> None:
    with pytest.raises(DatasetError, match="fits no latents"):
        weights_for(torch.ones(30, 50), FAMILIES["sd15"], torch.rand(4, 7, 9))


def test_examples_carry_their_masks_and_flipped_ones_the_mirrored_mask(base: Base, tmp_path: Path) -> None:
    paint(tmp_path / "in" / "a.png", 1)
    paint(tmp_path / "in" / "b.png", 2)
    half(tmp_path / "in" / "a.mask.png")
    prepare(tmp_path / "in", tmp_path / "out", options(symmetric=True, minimum=0))
    dataset = read_dataset(tmp_path / "out")
    assert dataset.symmetric
    masked, bare = encode_pictures(dataset, dataset.pictures, tiny_pipeline("z-image"), base, tmp_path / "cache").examples
    assert bare.mask is None
    assert masked.mask is not None
    assert masked.flipped is not None
    assert masked.flipped.mask is not None
    assert masked.mask.shape == masked.latents.shape
    assert float(masked.mask.mean()) == pytest.approx(1.0)
    assert bool((masked.mask >= 0).all())
    assert torch.equal(masked.flipped.mask, masked.mask.flip(-1))
    (dataset.folder / str(dataset.pictures[0].mask)).unlink()
    with pytest.raises(DatasetError, match="prepare the dataset again"):
        mask_of(dataset.folder / str(dataset.pictures[0].mask), base.family, masked.latents)
