"""Distances between pictures, and whether samples are training pictures given back."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageFilter

from tests.training.conftest import paint
from training.data.manifest import read_dataset
from training.distances import cosine, hamming, perceptual_hashes, pixel_distance
from training.gate import CHANCE
from training.measures import diversity, drift, memorisation
from training.memorisation import chance_of_gains, judged
from training.scores import Scorer
from training.shelf import Shelf

ABSENT = "DINO model 'nobody/dino' is not on this disk"


def painted(folder: Path, *seeds: int) -> list[Image.Image]:
    return [Image.open(paint(folder / f"{seed}.png", seed, size=(64, 64))).convert("RGB") for seed in seeds]


def icons(folder: Path, *seeds: int) -> list[Image.Image]:
    """Small motifs on a white ground, alike in all but the motif."""
    sheets = []
    for motif in painted(folder, *seeds):
        sheet = Image.new("RGB", (64, 64), "white")
        sheet.paste(motif.resize((32, 32)), (16, 16))
        sheets.append(sheet)
    return sheets


def test_a_perceptual_hash_sees_through_what_a_copy_may_suffer(tmp_path: Path) -> None:
    one, two = painted(tmp_path, 1, 2)
    suffered = [
        one.resize((40, 40)).resize((64, 64)),
        one.filter(ImageFilter.GaussianBlur(1)),
        ImageEnhance.Brightness(one).enhance(0.8),
    ]
    (first, *near, other) = perceptual_hashes([one, *suffered, two])
    assert hamming(first[None], np.array(near)).max() < 0.2
    assert 0.3 < hamming(first[None], other[None]).item() < 0.7
    assert hamming(first[None], first[None]).item() == 0


def test_pixel_distance_is_a_root_mean_square_of_unit_channels() -> None:
    black, white, red = (Image.new("RGB", (4, 4), colour) for colour in ("black", "white", "red"))
    assert pixel_distance(black, white) == 1.0
    assert pixel_distance(black, red) == pytest.approx(np.sqrt(1 / 3))


HELD_OUT = np.array([[0.4, 0.6], [0.5, 0.9]])


def test_a_copy_lies_nearer_than_half_of_what_is_usual() -> None:
    drawn = np.array([[0.9, 0.19], [0.2, 0.3], [0.39, 0.8]])
    plain = np.array([[0.5, 0.5], [0.5, 0.6], [0.4, 0.9]])
    found = judged(drawn, plain, HELD_OUT, samples=["a"], recalled=["b", "c"], pictures=["one", "two"])
    assert (found["bar"], found["held_out"]) == (0.2, {"nearest": 0.4, "median": 0.45})
    assert found["samples"] == [
        {"sample": "a", "nearest": "two", "distance": 0.19, "base": 0.5},
        {"sample": "b", "nearest": "one", "distance": 0.2, "base": 0.5},
        {"sample": "c", "nearest": "one", "distance": 0.39, "base": 0.4},
    ]
    assert (found["copies"], found["below_bar"], found["nearer"]) == (1, 1, 2)
    assert found["gain"] == {"held_out": pytest.approx(0.31), "trained": pytest.approx(0.155)}
    assert found["chance"] == 1.0


@pytest.mark.parametrize(("base", "copies"), [(0.05, 0), (0.15, 0), (0.2, 0), (0.21, 1), (0.5, 1)])
def test_what_the_base_draws_already_is_no_copy_of_the_adapter(base: float, copies: int) -> None:
    found = judged(np.array([[0.1]]), np.array([[base]]), HELD_OUT[:, :1], samples=[], recalled=["a"], pictures=["one"])
    assert (found["below_bar"], found["copies"]) == (1, copies)


def test_the_base_is_asked_about_the_same_picture() -> None:
    drawn, plain = np.array([[0.1, 0.9]]), np.array([[0.8, 0.1]])  # the base resembles another picture as much
    assert judged(drawn, plain, HELD_OUT, samples=[], recalled=["a"], pictures=["one", "two"])["copies"] == 1


def test_held_out_copies_leave_memorisation_unmeasured() -> None:
    found = judged(np.array([[0.1]]), np.array([[0.5]]), np.array([[0.0]]), samples=["a"], recalled=[], pictures=["one"])
    assert "looks the same as a training picture" in found["unmeasured"]


@pytest.mark.parametrize(
    ("trained", "held_out", "chance"),
    [
        (range(8, 16), range(8), 1 / 12870),  # every training caption gained more than every other
        ([7, *range(9, 16)], [*range(7), 8], 2 / 12870),
        (range(4, 8), range(4), 1 / 70),
        ([1, 3], [0, 2], 2 / 6),
        (range(8), range(8, 16), 1.0),
        ([0.1] * 5, [0.1] * 3, 1.0),  # all alike
        ([1, 2], [], 1.0),
    ],
)
def test_the_chance_of_gains_is_exact(trained: Sequence[float], held_out: Sequence[float], chance: float) -> None:
    gains = (np.array(trained, dtype=float), np.array(held_out, dtype=float))
    assert chance_of_gains(*gains) == pytest.approx(chance)


def test_what_a_style_does_to_every_caption_alike_is_no_memory() -> None:
    generator = np.random.default_rng(0)
    plain = generator.uniform(0.4, 0.6, (16, 30))
    names: dict[str, Sequence[str]] = {"samples": "abcdefgh", "recalled": "ijklmnop", "pictures": [str(n) for n in range(30)]}
    styled, remembered = plain - 0.15, plain - 0.15
    remembered[np.arange(8, 16), np.arange(8)] = 0.1  # above the bar: no copy, but nearer than the style explains
    usual = generator.uniform(0.15, 0.3, (20, 30))
    calm, found = (judged(drawn, plain, usual, **names) for drawn in (styled, remembered))
    assert (calm["copies"], calm["chance"] > 0.01) == (0, True)
    assert (found["copies"], found["chance"] < CHANCE) == (0, True)


def test_icons_on_white_raise_no_alarm_and_their_copies_do(tmp_path: Path) -> None:
    train, held_out, fresh = (perceptual_hashes(icons(tmp_path, *seeds)) for seeds in (range(40), range(40, 60), range(60, 70)))
    copied = perceptual_hashes([ImageEnhance.Color(icon).enhance(0.7) for icon in icons(tmp_path, 3, 17)])
    usual = hamming(held_out, train)
    train_names = [str(seed) for seed in range(40)]
    plain = hamming(perceptual_hashes(icons(tmp_path, *range(70, 80))), train)
    names: dict[str, Sequence[str]] = {"samples": "abcde", "recalled": "fghij", "pictures": train_names}
    calm = judged(hamming(fresh, train), plain, usual, **names)
    assert (calm["copies"], calm["chance"] > 0.01) == (0, True)
    found = judged(hamming(copied, train), plain[:2], usual, samples=["a"], recalled=["b"], pictures=train_names)
    assert (found["copies"], [row["nearest"] for row in found["samples"]]) == (2, ["3", "17"])


def by_mean_colour() -> Scorer:
    """A scorer whose embedding is the mean colour."""

    def rows(pictures: object) -> np.ndarray:
        means = np.array([np.asarray(picture, dtype=float).mean(axis=(0, 1)) + 1 for picture in pictures])  # type: ignore[attr-defined]
        return means / np.linalg.norm(means, axis=1, keepdims=True)

    return Scorer(name="colours", pictures=rows, prompts=None)


def test_memorisation_is_measured_by_hash_and_by_embedding(dataset_folder: Path) -> None:
    dataset = read_dataset(dataset_folder)
    train, held_out = Shelf(dataset, "train"), Shelf(dataset, "held_out")
    assert (len(train), train.names) == (8, [picture.file for picture in dataset.split("train")])
    plain = Image.new("RGB", train[2].size, "black")
    copied, fresh = {"copy": (plain, train[2])}, {"fresh": (plain, held_out[0])}
    found = memorisation(by_mean_colour(), copied, fresh, train, held_out)
    for way in ("hash", "embedding"):
        copy, other = found[way]["samples"]
        assert (copy["nearest"], copy["distance"]) == (train.names[2], pytest.approx(0, abs=1e-9))
        assert other["distance"] == pytest.approx(found[way]["held_out"]["nearest"]) or other["distance"] > found[way]["bar"]
        assert found[way]["copies"] == 1
    assert memorisation(ABSENT, copied, {}, train, held_out)["embedding"] == {"unmeasured": ABSENT}
    nothing = memorisation(ABSENT, copied, {}, train, [])
    assert nothing["hash"] == nothing["embedding"] == {"unmeasured": "no picture was held out to judge by"}


def solid(*colours: str) -> list[Image.Image]:
    return [Image.new("RGB", (8, 8), colour) for colour in colours]


def test_drift_is_what_moves_without_the_trigger_against_what_moves_with_it() -> None:
    own = {"base": solid("black", "black"), "adapter": solid("white", "white")}
    neutral = {"base": solid("black"), "adapter": solid("#808080")}
    found = drift(by_mean_colour(), own, neutral, prompts=["a lake"], trigger=True)
    assert found["pixel"] == {"own": 1.0, "neutral": pytest.approx(128 / 255), "ratio": pytest.approx(128 / 255)}
    assert found["embedding"]["model"] == "colours"
    assert found["embedding"]["own"] == pytest.approx(0, abs=1e-9)  # grey is one colour to a cosine
    still = drift(ABSENT, neutral | {"adapter": neutral["base"]}, neutral, prompts=["a lake"], trigger=True)
    assert (still["pixel"]["ratio"], still["embedding"]) == (None, {"unmeasured": ABSENT})


def test_diversity_is_the_spread_over_seeds_against_that_of_the_base() -> None:
    columns = {"base": solid("black", "white", "black"), "adapter": solid("red", "red", "red")}
    found = diversity(by_mean_colour(), columns, prompt="an icon", seeds=[1, 2, 3])
    assert found["pixel"] == {"base": pytest.approx(2 / 3), "adapter": 0.0, "ratio": 0.0}
    assert found["embedding"]["adapter"] == pytest.approx(0, abs=1e-9)
    alike = diversity(ABSENT, columns | {"base": columns["adapter"]}, prompt="an icon", seeds=[1, 2, 3])
    assert alike["pixel"]["ratio"] is None


def test_cosine_distances_are_a_matrix() -> None:
    axes = np.eye(3)
    assert cosine(axes, axes[:2]) == pytest.approx(1 - np.eye(3)[:, :2])
