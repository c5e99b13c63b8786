"""The invisible watermark: not seen, found again after what pictures go through, and not found where it is not."""

import hashlib
import math
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from PIL import Image, ImageEnhance
from PIL.Image import Image as Picture

from serving.app.marking import looking
from serving.app.marking.looking import CUT_THRESHOLD, THRESHOLD, look
from serving.app.marking.pattern import SIDE, pattern
from serving.app.marking.spectrum import agreement, brightness, waves
from serving.app.marking.watermark import marked
from tests.serving.app.photographs import NAMES, Attack, cut, emoji, jpeg, photograph, resized

PAYLOAD = bytes.fromhex("12ab7703")
PHOTOGRAPHS = NAMES[:4]
ATTACKS: dict[str, Attack] = {
    "as it is": lambda picture: picture,
    "JPEG at 95": jpeg(95),
    "JPEG at 80": jpeg(80),
    "half the size": lambda picture: resized(picture, 0.5),
    "half the size, JPEG at 80": lambda picture: jpeg(80)(resized(picture, 0.5)),
    "twice the size": lambda picture: resized(picture, 2),
    "brighter": lambda picture: ImageEnhance.Brightness(picture).enhance(1.15),
    "mirrored": lambda picture: picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
    "grey": lambda picture: picture.convert("L"),
}


@cache
def megapixel(name: str) -> Picture:
    return marked(photograph(name, 1024), PAYLOAD)


def psnr(one: Picture, other: Picture) -> float:
    difference = np.asarray(one, float) - np.asarray(other, float)
    return 10 * math.log10(255**2 / float(np.mean(difference**2)))


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize("name", PHOTOGRAPHS)
def test_it_is_found_and_read_again(name: str, attack: str) -> None:
    found = look(ATTACKS[attack](megapixel(name)))
    assert (found.present, found.payload) == (True, PAYLOAD), found


@pytest.mark.parametrize("name", PHOTOGRAPHS)
def test_it_is_found_where_edges_were_cut_off(name: str) -> None:
    assert look(cut(megapixel(name), 0.04)).present


@pytest.mark.parametrize("size", [(768, 512), (512, 768), (1024, 576)])
def test_it_is_found_in_every_shape(size: tuple[int, int]) -> None:
    assert look(jpeg(80)(marked(photograph("coffee.png").resize(size), PAYLOAD))).payload == PAYLOAD


@pytest.mark.parametrize("size", [(2300, 1600), (1700, 5000)])
def test_it_is_found_in_pictures_larger_than_any_drawn_here(size: tuple[int, int]) -> None:
    large = marked(photograph("coffee.png").resize((size[0] // 2, size[1] // 2)), PAYLOAD).resize(size)
    assert look(large).payload == PAYLOAD
    assert not look(photograph("coffee.png").resize(size)).present


@pytest.mark.parametrize("colour", ["white", "black", "#c81e1e", "#808080"])
def test_flat_pictures_carry_it_and_change_by_little(colour: str) -> None:
    plain = Image.new("RGB", (512, 512), colour)
    picture = marked(plain, PAYLOAD)
    assert look(jpeg(80)(picture)).payload == PAYLOAD
    difference = np.asarray(picture, float) - np.asarray(plain, float)
    assert np.sqrt(np.mean(difference**2)) <= 1
    assert np.abs(difference).max() <= 5


@pytest.mark.parametrize("name", NAMES)
def test_nobody_sees_it(name: str) -> None:
    assert psnr(marked(photograph(name), PAYLOAD), photograph(name)) >= 40


def test_the_same_picture_and_payload_give_the_same_pixels() -> None:
    picture = photograph("chelsea.png")
    assert marked(picture, PAYLOAD).tobytes() == marked(picture.copy(), PAYLOAD).tobytes()
    assert marked(picture, PAYLOAD).tobytes() != marked(picture, bytes(4)).tobytes()


def test_small_pictures_say_that_they_are_marked_and_no_more() -> None:
    for picture in emoji(6):
        assert picture.size == (128, 128)
        found = look(jpeg(95)(marked(picture, PAYLOAD)))
        assert (found.present, found.payload) == (True, None)
        assert psnr(marked(picture, PAYLOAD), picture) >= 40


@pytest.mark.parametrize("size", [(1, 1), (8, 8), (16, 16), (17, 400), (64, 64), (300, 20)])
def test_no_size_fails(size: tuple[int, int]) -> None:
    picture = photograph("chelsea.png").resize(size)
    assert marked(picture, PAYLOAD).size == size
    look(marked(picture, PAYLOAD))


@pytest.mark.parametrize("name", NAMES)
def test_unmarked_pictures_have_none(name: str) -> None:
    assert not look(photograph(name)).present
    assert not look(jpeg(80)(photograph(name))).present


def test_noise_and_flat_pictures_have_none() -> None:
    random = np.random.default_rng(5)
    for sample in (random.integers(0, 256, (400, 600, 3)), np.zeros((64, 64, 3)), np.full((300, 300, 3), 255)):
        assert not look(Image.fromarray(sample.astype(np.uint8))).present


def test_random_signs_agree_with_a_picture_as_rarely_as_the_threshold_takes_for_granted() -> None:
    """The bound of `agreement`, over patterns that the picture was not made with: exp(-t^2 / 2) at each t."""
    found = waves(brightness(photograph("astronaut.png")), 512)
    random = np.random.default_rng(6)
    drawn = (random.integers(0, 2, (2, found.size)).astype(np.float32) * 2 - 1 for _ in range(2000))
    scores = np.array([agreement(found, signs.T) for signs in drawn])
    assert abs(scores.mean()) < 0.1
    assert 0.9 < scores.std() < 1.1
    for passed in (1.0, 2.0, 3.0):
        assert np.mean(scores > passed) <= math.exp(-(passed**2) / 2)


def test_the_thresholds_allow_one_false_alarm_in_a_million() -> None:
    places = sum((SIDE - round(SIDE * kept) + 1) ** 2 for kept in looking._KEPT)
    assert 4 * math.exp(-(THRESHOLD**2) / 2) + 2 * places * math.exp(-(CUT_THRESHOLD**2) / 2) == pytest.approx(1e-6)


def test_the_mark_of_another_pattern_is_not_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    picture = megapixel("coffee.png")
    known = pattern()
    turned = replace(known, presence=np.roll(known.presence, 1, axis=0), signs=np.roll(known.signs, 1, axis=0))
    for module in ("spectrum", "looking"):
        monkeypatch.setattr(f"serving.app.marking.{module}.pattern", lambda: turned)
    assert not look(picture).present


def test_the_pattern_is_what_it_always_was() -> None:
    """Pictures that an older release marked must be found: this is the hash of its first release's pattern."""
    known = pattern()
    parts = (known.where, known.presence, known.signs, known.group, known.column)
    digest = hashlib.sha256(b"".join(part.astype("<i4").tobytes() for part in parts)).hexdigest()
    assert (known.where.size, digest[:16]) == (15519, "4efd67e1fa68b7a8")
