"""From a folder of pictures to a dataset: what is kept, what is named, and in which words."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from tests.training.conftest import paint
from training.config import DatasetOptions
from training.data import scan
from training.data.captions import with_trigger
from training.data.manifest import read_dataset
from training.data.prepare import prepare
from training.errors import DatasetError


def options(**changes: object) -> DatasetOptions:
    """Small pictures of one caption; the checks that nobody can make here are remarks on the whole."""
    return DatasetOptions(**{"resolution": 32, "held_out": 0, "policy": {"duplicate_caption": "ignore"}, **changes})  # type: ignore[arg-type]


OPTIONS = options()


def codes(manifest: dict[str, object]) -> list[tuple[str, str]]:
    """Findings on pictures."""
    return [(row["file"], row["code"]) for row in manifest["findings"] if row["file"] != "."]  # type: ignore[attr-defined]


def _corrupt(folder: Path) -> None:
    whole = paint(folder / "bad.png", 9).read_bytes()
    (folder / "bad.png").write_bytes(whole[: len(whole) // 2])


def _text(folder: Path) -> None:
    paint(folder / "bad.png", 9).write_text("no picture at all")


def _pixel(folder: Path) -> None:
    paint(folder / "bad.png", 9, size=(1, 1))


def _wide(folder: Path) -> None:
    paint(folder / "bad.png", 9, size=(30_000, 1))


def _bomb(folder: Path) -> None:
    Image.new("1", (16_000, 16_000)).save(folder / "bad.png")
    (folder / "bad.txt").write_text("black")


def _uncaptioned(folder: Path) -> None:
    paint(folder / "bad.png", 9, caption=None)


def _blank(folder: Path) -> None:
    paint(folder / "bad.png", 9, caption=" \n")


def _nul(folder: Path) -> None:
    paint(folder / "bad.png", 9, caption="a\0dog")


def _latin(folder: Path) -> None:
    paint(folder / "bad.png", 9).with_suffix(".txt").write_bytes(b"caf\xe9")


BAD = [
    (_corrupt, "unreadable"),
    (_text, "unreadable"),
    (_pixel, "too_small"),
    (_wide, "too_large"),
    (_bomb, "too_large"),
    (_uncaptioned, "missing_caption"),
    (_blank, "empty_caption"),
    (_nul, "caption_control_characters"),
    (_latin, "caption_control_characters"),
]


@pytest.mark.parametrize(("spoil", "code"), BAD, ids=lambda value: getattr(value, "__name__", value))
def test_a_bad_picture_stops_in_one_line_that_names_it(spoil: Callable[[Path], None], code: str, tmp_path: Path) -> None:
    paint(tmp_path / "in" / "good.png", 1)
    spoil(tmp_path / "in")
    with pytest.raises(DatasetError) as caught:
        prepare(tmp_path / "in", tmp_path / "out", OPTIONS)
    message = str(caught.value)
    assert "bad.png" in message
    assert code in message
    assert str(tmp_path / "out" / "report.md") in message
    assert "\n" not in message
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["contact.png", "report.md"]
    assert f"| bad.png | {code} |" in (tmp_path / "out" / "report.md").read_text()


@pytest.mark.parametrize(("spoil", "code"), BAD, ids=lambda value: getattr(value, "__name__", value))
def test_a_bad_picture_may_be_dropped_and_is_counted(spoil: Callable[[Path], None], code: str, tmp_path: Path) -> None:
    paint(tmp_path / "in" / "good.png", 1)
    spoil(tmp_path / "in")
    manifest = prepare(tmp_path / "in", tmp_path / "out", options(on_error="drop"))
    assert codes(manifest) == [("bad.png", code)]
    assert manifest["counts"] == {"found": 2, "kept": 1, "dropped": 0, "failed": 1, "train": 1, "held_out": 0}
    assert len(list((tmp_path / "out" / "pictures").iterdir())) == 1


def test_the_message_says_how_many_more(tmp_path: Path) -> None:
    for name in "abc":
        paint(tmp_path / "in" / f"{name}.png", ord(name), caption=None if name < "c" else "a dog")
    with pytest.raises(DatasetError, match=r"a\.png: missing_caption, .*; 1 more; all in "):
        prepare(tmp_path / "in", tmp_path / "out", OPTIONS)


def test_an_oversized_picture_is_never_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = paint(tmp_path / "wide.png", 1, size=(30_000, 1))
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", lambda self: pytest.fail("decoded"))
    with pytest.raises(scan.TooLarge, match="30000 x 1"):
        scan.decode(path, max_pixels=1_000_000)


def test_an_empty_folder_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"holds no pictures .* put some there"):
        prepare(tmp_path, tmp_path / "out", OPTIONS)
    with pytest.raises(DatasetError, match="is no folder"):
        prepare(tmp_path / "nowhere", tmp_path / "out", OPTIONS)


def test_copies_are_dropped_and_lookalikes_are_remarked(tmp_path: Path) -> None:
    paint(tmp_path / "in" / "a.png", 1)
    Image.open(tmp_path / "in" / "a.png").save(tmp_path / "in" / "b.webp", lossless=True)
    Image.open(tmp_path / "in" / "a.png").save(tmp_path / "in" / "c.jpg", quality=90)
    paint(tmp_path / "in" / "d.png", 2)
    for name in "bc":
        (tmp_path / "in" / f"{name}.txt").write_text("the same")
    manifest = prepare(tmp_path / "in", tmp_path / "out", OPTIONS)
    assert codes(manifest) == [("b.webp", "exact_duplicate"), ("c.jpg", "near_duplicate")]
    assert manifest["counts"] == {"found": 4, "kept": 3, "dropped": 1, "failed": 0, "train": 3, "held_out": 0}
    assert len(list((tmp_path / "out" / "pictures").iterdir())) == 3


def test_nothing_left_to_train_on_is_too_few(tmp_path: Path) -> None:
    paint(tmp_path / "in" / "a.png", 1)
    with pytest.raises(DatasetError, match=r"too_few, 0 pictures left to train on, at least 1 wanted"):
        prepare(tmp_path / "in", tmp_path / "out", options(held_out=1))


def test_orientation_is_applied_before_anything_is_measured(tmp_path: Path) -> None:
    picture = Image.new("RGB", (64, 32), "red")
    picture.paste("blue", (0, 0, 32, 32))
    tags = Image.Exif()
    tags[0x0112] = 6  # the camera was held upright: turn clockwise
    picture.save(tmp_path / "a.png", exif=tags)
    turned = scan.decode(tmp_path / "a.png", max_pixels=10_000).picture
    assert turned.size == (32, 64)
    assert turned.getpixel((16, 5)) == (0, 0, 255)


@pytest.mark.parametrize(
    ("mode", "colour", "seen"),
    [
        ("RGBA", (255, 0, 0, 0), (255, 255, 255)),
        ("RGBA", (255, 0, 0, 255), (255, 0, 0)),
        ("LA", (0, 0), (255, 255, 255)),
        ("L", 128, (128, 128, 128)),
        ("1", 1, (255, 255, 255)),
        ("I;16", 0x8080, (128, 128, 128)),
        ("I;16", 0xC0, (1, 1, 1)),  # dark, and still 16 bit
        ("P", 0, (0, 0, 0)),
    ],
)
def test_every_mode_becomes_rgb_over_white(mode: str, colour: object, seen: tuple[int, int, int], tmp_path: Path) -> None:
    Image.new(mode, (4, 4), colour).save(tmp_path / "a.png")  # type: ignore[arg-type]
    assert scan.decode(tmp_path / "a.png", max_pixels=100).picture.getpixel((1, 1)) == seen


def test_cmyk_and_the_first_frame_of_an_animation(tmp_path: Path) -> None:
    Image.new("CMYK", (8, 8), (0, 0, 0, 255)).save(tmp_path / "a.jpg")
    assert max(scan.decode(tmp_path / "a.jpg", max_pixels=100).picture.getpixel((1, 1))) < 30  # type: ignore[arg-type,type-var]
    first, second = Image.new("RGB", (8, 8), "red"), Image.new("RGB", (8, 8), "blue")
    first.save(tmp_path / "a.gif", save_all=True, append_images=[second])
    assert scan.decode(tmp_path / "a.gif", max_pixels=100).picture.getpixel((1, 1)) == (255, 0, 0)
    first.save(tmp_path / "a.webp", save_all=True, append_images=[second], lossless=True)
    assert scan.decode(tmp_path / "a.webp", max_pixels=100).picture.getpixel((1, 1)) == (255, 0, 0)


def test_a_palette_with_a_transparent_colour_lies_over_white(tmp_path: Path) -> None:
    picture = Image.new("P", (4, 4), 1)
    picture.putpalette([255, 0, 0, 0, 0, 255])
    picture.putpixel((0, 0), 0)
    picture.save(tmp_path / "a.png", transparency=0)
    seen = scan.decode(tmp_path / "a.png", max_pixels=100)
    assert (seen.picture.getpixel((0, 0)), seen.picture.getpixel((1, 1))) == ((255, 255, 255), (0, 0, 255))
    assert seen.alpha is not None
    assert (seen.alpha.getpixel((0, 0)), seen.alpha.getpixel((1, 1))) == (0, 255)


def test_a_trigger_alone_is_the_caption_of_each(tmp_path: Path) -> None:
    for index in range(2):
        paint(tmp_path / "in" / f"{index}.png", index, caption=None)
    manifest = prepare(tmp_path / "in", tmp_path / "out", options(trigger="sks dog"))
    assert {row["caption"] for row in manifest["pictures"]} == {"sks dog"}  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("caption", "with_it"),
    [("a dog", "sks, a dog"), ("sks, a dog", "sks, a dog"), ("SKS, a dog", "SKS, a dog"), ("sks", "sks"), ("sksy", "sks, sksy")],
)
def test_a_trigger_is_put_in_front_once(caption: str, with_it: str) -> None:
    assert with_trigger(caption, "sks") == with_it
    assert with_trigger(caption, None) == caption


def test_captions_come_from_files_beside_and_from_metadata(tmp_path: Path) -> None:
    paint(tmp_path / "in" / "a.png", 1, caption="from txt")
    paint(tmp_path / "in" / "b.png", 2, caption=None).with_suffix(".caption").write_text("from\ncaption ")
    paint(tmp_path / "in" / "sub" / "c.png", 3, caption=None)
    rows = [{"file_name": "sub/c.png", "text": "from metadata"}, {"file_name": "a.png", "text": "less near"}]
    (tmp_path / "in" / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)))
    manifest = prepare(tmp_path / "in", tmp_path / "out", OPTIONS)
    assert [row["caption"] for row in manifest["pictures"]] == ["from txt", "from caption", "from metadata"]  # type: ignore[attr-defined]


def test_a_broken_metadata_line_is_named(tmp_path: Path) -> None:
    paint(tmp_path / "in" / "a.png", 1)
    (tmp_path / "in" / "metadata.jsonl").write_text('{"file_name": "a.png", "text": "x"}\n{"file_name": 3}\n')
    with pytest.raises(DatasetError, match="line 2"):
        prepare(tmp_path / "in", tmp_path / "out", OPTIONS)


def test_held_out_pictures_by_number_fraction_and_folder(tmp_path: Path) -> None:
    for index in range(10):
        paint(tmp_path / "in" / f"{index}.png", index)
    paint(tmp_path / "aside" / "x.png", 77)
    paint(tmp_path / "aside" / "copy.png", 3)

    def split(held_out: object) -> set[str]:
        manifest = prepare(tmp_path / "in", tmp_path / "out", options(held_out=held_out, near_duplicate=0))
        return {row["file"] for row in manifest["pictures"] if row["split"] == "held_out"}  # type: ignore[attr-defined]

    assert len(split(3)) == 3
    assert split(3) == split(0.3)
    assert split(2) < split(3)
    assert split("aside") == {"aside/x.png"}  # the copy of a training picture measures nothing
    (tmp_path / "in" / "0.png").rename(tmp_path / "in" / "zero.png")
    (tmp_path / "in" / "0.txt").rename(tmp_path / "in" / "zero.txt")
    assert {name.replace("zero", "0") for name in split(3)} == split_before(tmp_path)


def split_before(tmp_path: Path) -> set[str]:
    (tmp_path / "in" / "zero.png").rename(tmp_path / "in" / "0.png")
    (tmp_path / "in" / "zero.txt").rename(tmp_path / "in" / "0.txt")
    manifest = prepare(tmp_path / "in", tmp_path / "out", options(held_out=3))
    return {row["file"] for row in manifest["pictures"] if row["split"] == "held_out"}  # type: ignore[attr-defined]


@pytest.mark.parametrize("held_out", [-1, 1.5, "nowhere"])
def test_a_held_out_that_makes_no_sense_is_refused(held_out: object, tmp_path: Path) -> None:
    paint(tmp_path / "in" / "a.png", 1)
    with pytest.raises(DatasetError, match="held_out"):
        prepare(tmp_path / "in", tmp_path / "out", options(held_out=held_out))


def test_the_dataset_folder_is_read_back_and_its_hash_knows_no_clock_or_name(tmp_path: Path) -> None:
    paint(tmp_path / "in" / "a.png", 1, size=(80, 20))
    (tmp_path / "in" / "dataset.yaml").write_text("license: MIT\nsource: made here\n")
    first = prepare(tmp_path / "in", tmp_path / "one", options(min_side=16))
    (tmp_path / "in" / "a.png").rename(tmp_path / "in" / "b.png")
    (tmp_path / "in" / "a.txt").rename(tmp_path / "in" / "b.txt")
    second = prepare(tmp_path / "in", tmp_path / "two", options(min_side=16))
    assert first["hash"] == second["hash"]
    dataset = read_dataset(tmp_path / "two")
    assert (dataset.license, dataset.source) == ("MIT", "made here")
    (picture,) = dataset.split("train")
    with Image.open(dataset.folder / picture.path) as file:
        assert file.mode == "RGB"
        assert (file.height, file.width) == picture.bucket == (16, 64)


def test_a_changed_caption_changes_the_hash(tmp_path: Path) -> None:
    paint(tmp_path / "in" / "a.png", 1)
    first = prepare(tmp_path / "in", tmp_path / "out", OPTIONS)
    (tmp_path / "in" / "a.txt").write_text("another")
    assert prepare(tmp_path / "in", tmp_path / "out", OPTIONS)["hash"] != first["hash"]


def test_progress_reaches_every_picture(tmp_path: Path) -> None:
    for index in range(3):
        paint(tmp_path / "in" / f"{index}.png", index)
    seen: list[tuple[int, int]] = []
    prepare(tmp_path / "in", tmp_path / "out", OPTIONS, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(1, 3), (2, 3), (3, 3)]
