"""The cache encodes once, and again only what changed."""

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from tests.training.tiny import tiny_pipeline
from training.base import Base, locate
from training.conditioning import same
from training.data import entries
from training.data.buckets import batches, batches_from
from training.data.cache import Encoding, Example, Wants, encode_pictures, load_pixels
from training.data.manifest import read_dataset
from training.denoise import record
from training.errors import DatasetError
from training.latents import encode, posterior

ROOT = Path(__file__).resolve().parents[2]
PLAIN = Wants()


@pytest.fixture(scope="module")
def base(base_folder: Path) -> Base:
    return locate(str(base_folder))


@pytest.fixture(scope="module")
def warm(base: Base, dataset_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Encoding]:
    folder = tmp_path_factory.mktemp("warm")
    return folder, encoded(dataset_folder, base, folder)


def encoded(dataset_folder: Path, base: Base, folder: Path, wants: Wants = PLAIN) -> Encoding:
    dataset = read_dataset(dataset_folder)
    return encode_pictures(dataset, dataset.pictures, tiny_pipeline("z-image"), base, folder, wants=wants)


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


def test_the_posterior_is_kept_so_that_its_noise_can_stay_fresh(
    warm: tuple[Path, Encoding], base: Base, dataset_folder: Path
) -> None:
    dataset, pipe = read_dataset(dataset_folder), tiny_pipeline("z-image")
    for picture, example in zip(dataset.pictures[:2], warm[1].examples[:2], strict=True):
        mean, std = posterior(pipe, base.family, load_pixels(dataset.folder / picture.path)[None])
        assert std is not None
        assert example.std is not None
        assert torch.equal(example.mean, mean[0])
        assert torch.equal(example.std, std[0])
        assert example.std.shape == example.latents.shape
        assert bool((example.std > 0).all())


def test_a_picture_that_was_cropped_in_another_way_is_encoded_again(
    warm: tuple[Path, Encoding], base: Base, dataset_folder: Path, tmp_path: Path
) -> None:
    moved = with_manifest(dataset_folder, tmp_path / "moved", lambda manifest: None)
    place = moved / read_dataset(moved).pictures[3].path
    with Image.open(place) as picture:
        shifted = np.roll(np.asarray(picture), 1, axis=1)
    Image.fromarray(shifted).save(place)
    again = encoded(moved, base, warm[0])
    assert (again.latents_made, again.conditioning_made) == (1, 0)


def aligned(pairs: Sequence[tuple[str, Tensor]], truth: dict[str, Tensor]) -> bool:
    """Whether every caption meets the latents of its own picture."""
    return all(torch.equal(latents, truth[caption]) for caption, latents in pairs)


def test_captions_keep_their_pictures_under_reshuffling(warm: tuple[Path, Encoding], base: Base, dataset_folder: Path) -> None:
    """The fault of scripts that cache latents by step: in the second epoch a caption meets another picture's latents."""
    dataset, pipe = read_dataset(dataset_folder), tiny_pipeline("z-image")
    truth = {
        picture.caption: encode(pipe, base.family, load_pixels(dataset.folder / picture.path)[None])[0]
        for picture in dataset.pictures
    }
    assert len(truth) == len(dataset.pictures)
    shuffled = sorted(dataset.pictures, key=lambda picture: picture.sha256)
    examples = encode_pictures(dataset, shuffled, pipe, base, warm[0]).examples
    epoch = len(batches(_buckets(examples), 3, seed=5, epoch=0))
    met = [[examples[index] for index in batch] for batch in islice(batches_from(0, _buckets(examples), 3, seed=5), 3 * epoch)]
    assert aligned([(item.caption, item.latents) for batch in met for item in batch], truth)
    by_step = [[item.latents for item in batch] for batch in met[:epoch]]
    replayed = [
        (item.caption, latents)
        for batch, cached in zip(met[epoch : 2 * epoch], by_step, strict=True)
        for item, latents in zip(batch, cached, strict=False)
    ]
    assert not aligned(replayed, truth)


def _buckets(examples: Sequence[Example]) -> list[tuple[int, int]]:
    return [item.bucket for item in examples]


def test_no_caption_and_the_generic_caption_are_there_when_wanted(
    warm: tuple[Path, Encoding], base: Base, dataset_folder: Path, tmp_path: Path
) -> None:
    def name(manifest: dict[str, Any]) -> None:
        for picture in manifest["pictures"]:
            picture["generic"] = "a dog"

    assert all(item.empty is None and item.generic is None for item in warm[1].examples)
    made = encoded(with_manifest(dataset_folder, tmp_path / "named", name), base, warm[0], Wants(empty=True, generic=True))
    shapes = set(_buckets(made.examples))
    assert (made.latents_made, made.conditioning_made) == (0, 2 * len(shapes))
    pipe = tiny_pipeline("z-image")
    for example in made.examples[:2]:
        for given, caption in ((example.empty, ""), (example.generic, "a dog")):
            assert given is not None
            assert same(dict(given.arguments), dict(record(pipe, base.family, caption, *example.bucket).arguments))


def test_prior_preservation_without_a_trigger_is_refused(base: Base, dataset_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"has no trigger: set dataset\.trigger, or prior_weight to 0"):
        encoded(dataset_folder, base, tmp_path / "cache", Wants(generic=True))


def test_pictures_to_train_on_are_flipped_only_where_the_subject_is_symmetric(
    warm: tuple[Path, Encoding], base: Base, dataset_folder: Path, tmp_path: Path
) -> None:
    assert all(item.flipped is None for item in warm[1].examples)
    told = with_manifest(dataset_folder, tmp_path / "told", lambda manifest: manifest.update(symmetric=True))
    dataset, pipe = read_dataset(told), tiny_pipeline("z-image")
    made = encoded(told, base, warm[0])
    assert made.latents_made == len(dataset.split("train"))
    for picture, example in zip(dataset.pictures, made.examples, strict=True):
        assert (example.flipped is None) == (picture.split == "held_out")
    example, pixels = made.examples[0], load_pixels(dataset.folder / dataset.pictures[0].path)
    assert example.flipped is not None
    assert torch.equal(example.flipped.latents, encode(pipe, base.family, pixels.flip(-1)[None])[0])
    assert not torch.equal(example.flipped.latents, example.latents)
    assert example.flipped.caption == example.caption


ENCODE = """
import sys
from pathlib import Path
from tests.training.tiny import tiny_pipeline
from training.base import locate
from training.data.cache import encode_pictures
from training.data.manifest import read_dataset

base, dataset, cache = map(Path, sys.argv[1:])
pipe, data = tiny_pipeline("z-image"), read_dataset(dataset)
print("ready", flush=True)
sys.stdin.readline()
encode_pictures(data, data.pictures, pipe, locate(str(base)), cache)
"""


def test_two_processes_may_fill_one_cache_at_once(
    warm: tuple[Path, Encoding], base: Base, base_folder: Path, dataset_folder: Path, tmp_path: Path
) -> None:
    arguments = [str(base_folder), str(dataset_folder), str(tmp_path / "cache")]
    command = [sys.executable, "-c", ENCODE, *arguments]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdin
        assert other.stdout
        assert other.stdout.readline() == "ready\n"
        other.stdin.write("go\n")
        other.stdin.flush()
        encoded(dataset_folder, base, tmp_path / "cache")
        other.stdin.close()
        assert other.wait(300) == 0
    alone = {path.relative_to(warm[0]) for path in warm[0].rglob("*.safetensors")}
    together = {path.relative_to(tmp_path / "cache") for path in (tmp_path / "cache").rglob("*") if path.is_file()}
    assert together <= alone  # nothing half written is left behind; the other tests have put more into the warm one
    again = encoded(dataset_folder, base, tmp_path / "cache")
    assert (again.latents_made, again.conditioning_made) == (0, 0)
    for one, two in zip(again.examples, warm[1].examples, strict=True):
        assert torch.equal(one.latents, two.latents)


def test_an_entry_that_cannot_be_written_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "a" / "entry.safetensors").mkdir(parents=True)  # in the way of the rename
    with pytest.raises(OSError):
        entries.write(tmp_path / "a" / "entry.safetensors", {"mean": torch.zeros(2)}, {})
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["entry.safetensors"]
