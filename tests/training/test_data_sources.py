"""Pictures from folders, zips, `datasets` on disk and the Hub: the same dataset, or one line that says why not."""

import io
import json
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.licenses.loopback_hub import COMMIT, LoopbackHub
from tests.training.conftest import paint
from training.config import DatasetOptions
from training.data import archive
from training.data.prepare import prepare
from training.errors import DatasetError, HubError

OPTIONS = DatasetOptions(resolution=32, held_out=0, near_duplicate=0)


def rows(manifest: dict[str, object]) -> list[tuple[str, str]]:
    return [(Path(row["file"]).name, row["caption"]) for row in manifest["pictures"]]  # type: ignore[attr-defined]


def encoded(seed: int, tmp_path: Path) -> bytes:
    return paint(tmp_path / "painted" / f"{seed}.png", seed, caption=None).read_bytes()


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Two pictures with captions and a dataset.yaml."""
    for name, seed in (("a", 1), ("b", 2)):
        paint(tmp_path / "in" / f"{name}.png", seed, caption=f"picture {name}")
    (tmp_path / "in" / "dataset.yaml").write_text("license: own\nsource: made here\npersons: none\nconsent: false\n")
    return tmp_path / "in"


def packed(to: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(to, "w") as file:
        for name, content in files.items():
            file.writestr(name, content)
    return to


@pytest.mark.parametrize("around", ["", "my pictures/"])
def test_a_zip_is_the_folder_that_was_packed(pictures: Path, around: str, tmp_path: Path) -> None:
    files = {f"{around}{path.name}": path.read_bytes() for path in pictures.iterdir()}
    zipped = packed(tmp_path / "in.zip", files | {"__MACOSX/._a.png": b"x", f"{around}.DS_Store": b"x"})
    plain, same = prepare(pictures, tmp_path / "one", OPTIONS), prepare(zipped, tmp_path / "two", OPTIONS)
    assert plain["hash"] == same["hash"]
    assert (same["license"], same["source"]) == ("own", "made here")
    assert not list((tmp_path / "two").glob(".*"))


def _link() -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo("a.png")
    entry.external_attr = (stat.S_IFLNK | 0o777) << 16
    return entry


BAD: list[tuple[str, Callable[[zipfile.ZipFile], None], str]] = [
    ("slip", lambda file: file.writestr("../a.png", b"x"), "lies outside of its folder"),
    ("absolute", lambda file: file.writestr("/etc/a.png", b"x"), "lies outside of its folder"),
    ("windows", lambda file: file.writestr("..\\a.png", b"x"), "lies outside of its folder"),
    ("drive", lambda file: file.writestr("C:a.png", b"x"), "lies outside of its folder"),
    ("link", lambda file: file.writestr(_link(), "/etc/passwd"), "holds the link"),
    ("nested", lambda file: (file.writestr("a/b.png", b"x"), file.writestr("a/b/c.png", b"x"))[0], "folders within folders"),
    ("two folders", lambda file: (file.writestr("a/b.png", b"x"), file.writestr("c/d.png", b"x"))[0], "folders within folders"),
    ("archive", lambda file: file.writestr("more.zip", b"x"), "holds the archive"),
    ("twins", lambda file: (file.writestr("a.png", b"x"), file.writestr("A.png", b"y"))[0], "two files of one name"),
    ("bomb", lambda file: file.writestr("a.png", bytes(1 << 20), zipfile.ZIP_DEFLATED), "would unpack to"),
]


@pytest.mark.parametrize(("fill", "says"), [case[1:] for case in BAD], ids=[case[0] for case in BAD])
def test_a_zip_that_is_not_harmless_is_refused_before_anything_is_written(
    fill: Callable[[zipfile.ZipFile], None], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "SMALL", 1 << 16)
    with zipfile.ZipFile(tmp_path / "in.zip", "w") as file:
        fill(file)
    (tmp_path / "to").mkdir()
    with pytest.raises(DatasetError, match=says) as caught:
        archive.unpack(tmp_path / "in.zip", tmp_path / "to")
    assert "\n" not in str(caught.value)
    assert list((tmp_path / "to").iterdir()) == []


def test_sizes_that_a_zip_lies_about_are_never_exceeded(tmp_path: Path) -> None:
    packed(tmp_path / "in.zip", {"a.png": bytes(5000)})
    raw = (tmp_path / "in.zip").read_bytes()
    (tmp_path / "in.zip").write_bytes(raw.replace((5000).to_bytes(4, "little"), (10).to_bytes(4, "little")))
    (tmp_path / "to").mkdir()
    with pytest.raises(DatasetError, match="cannot be unpacked"):
        archive.unpack(tmp_path / "in.zip", tmp_path / "to")
    assert sum(path.stat().st_size for path in (tmp_path / "to").iterdir()) <= 10


def test_a_zip_whose_data_are_damaged_is_named(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "in.zip", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("a.png", bytes(range(256)) * 4)
        start = file.infolist()[0].header_offset + 30 + len("a.png")
    raw = bytearray((tmp_path / "in.zip").read_bytes())
    raw[start : start + 8] = b"\xff" * 8
    (tmp_path / "in.zip").write_bytes(raw)
    with pytest.raises(DatasetError, match=r"'in\.zip' cannot be unpacked .*: pack it again"):
        prepare(tmp_path / "in.zip", tmp_path / "out", OPTIONS)


def test_what_is_no_zip_is_named(tmp_path: Path) -> None:
    (tmp_path / "in.zip").write_text("hello")
    with pytest.raises(DatasetError, match=r"'in\.zip' cannot be unpacked .*: pack it again"):
        prepare(tmp_path / "in.zip", tmp_path / "out", OPTIONS)


def table(tmp_path: Path, **columns: Any) -> Any:
    import datasets

    values = {"image": [{"bytes": encoded(seed, tmp_path), "path": f"{seed}.png"} for seed in (1, 2)], "text": ["one", "two"]}
    features = datasets.Features({"image": datasets.Image(), "text": datasets.Value("string")})
    return datasets.Dataset.from_dict(values | columns, features=features)


def test_datasets_on_disk_are_read_split_by_split(tmp_path: Path) -> None:
    import datasets

    whole = table(tmp_path)
    datasets.DatasetDict({"train": whole, "test": whole.select([1])}).save_to_disk(tmp_path / "in")
    manifest = prepare(tmp_path / "in", tmp_path / "out", OPTIONS)
    assert rows(manifest) == [("000000.png", "two"), ("000000.png", "one")]
    assert manifest["counts"]["dropped"] == 1  # type: ignore[index]  # the same picture in both splits
    with pytest.raises(DatasetError, match=r"'split:validation': .* has test, train: name one of its splits"):
        prepare(tmp_path / "in", tmp_path / "out", DatasetOptions(resolution=32, held_out="split:validation"))
    table(tmp_path).select([1]).save_to_disk(tmp_path / "one")
    assert rows(prepare(tmp_path / "one", tmp_path / "two", OPTIONS)) == [("000000.png", "two")]


def test_a_split_of_the_source_may_be_held_out(tmp_path: Path) -> None:
    import datasets

    whole = table(tmp_path)
    datasets.DatasetDict({"train": whole.select([0]), "test": whole.select([1])}).save_to_disk(tmp_path / "in")
    manifest = prepare(tmp_path / "in", tmp_path / "out", DatasetOptions(resolution=32, held_out="split:test"))
    said = [(row["file"], row["split"], row["caption"]) for row in manifest["pictures"]]  # type: ignore[attr-defined]
    assert said == [("train/000000.png", "train", "one"), ("test/000000.png", "held_out", "two")]


def test_a_row_without_a_picture_is_no_picture_that_disappears(tmp_path: Path) -> None:
    table(tmp_path, image=[None, {"bytes": encoded(1, tmp_path), "path": None}]).save_to_disk(tmp_path / "in")
    options = DatasetOptions(resolution=32, held_out=0, on_error="drop")
    manifest = prepare(tmp_path / "in", tmp_path / "out", options)
    counts: Any = manifest["counts"]
    assert (counts["found"], counts["kept"], counts["failed"]) == (2, 1, 1)


def test_a_table_without_a_column_of_pictures_is_named(tmp_path: Path) -> None:
    import datasets

    datasets.Dataset.from_dict({"text": ["a"]}).save_to_disk(tmp_path / "in")
    with pytest.raises(DatasetError, match="0 columns of pictures, one wanted"):
        prepare(tmp_path / "in", tmp_path / "out", OPTIONS)


def test_a_folder_on_the_hub_is_pinned_to_its_commit(hub: LoopbackHub, tmp_path: Path) -> None:
    lines = [{"file_name": "a.png", "text": "one"}, {"file_name": "twin.png", "text": "two"}]
    files: dict[str, str | bytes] = {
        "README.md": "---\nlicense: cc0-1.0\n---\nPictures.\n",
        "train/metadata.jsonl": "\n".join(map(json.dumps, lines)),
        "train/a.png": encoded(1, tmp_path),
        "train/twin.png": encoded(1, tmp_path),  # the Hub's cache keeps one file for both
        "script.py": "raise SystemExit",
    }
    hub.add("owner/pictures", files, kind="dataset")
    manifest = prepare("hf://owner/pictures@main", tmp_path / "out", OPTIONS)
    assert rows(manifest) == [("a.png", "one")]
    assert manifest["counts"]["dropped"] == 1  # type: ignore[index]
    assert (manifest["license"], manifest["source"]) == ("cc0-1.0", f"hf://owner/pictures@{COMMIT}")
    asked = {path for _, path in hub.requests}
    assert f"/datasets/owner/pictures/resolve/{COMMIT}/train/a.png" in asked
    assert not any(path.endswith("script.py") for path in asked)


def test_parquet_on_the_hub_is_read_without_running_anything(hub: LoopbackHub, tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {"card.PNG": encoded(7, tmp_path)}
    for shard in range(2):
        buffer = io.BytesIO()
        table(tmp_path).select([shard]).to_parquet(buffer)
        files[f"data/train-0000{shard}-of-00002.parquet"] = buffer.getvalue()
    hub.add("owner/table", files, kind="dataset")
    manifest = prepare(f"hf://owner/table@{COMMIT}", tmp_path / "out", OPTIONS)
    assert rows(manifest) == [("000000.png", "one"), ("000001.png", "two")]
    said = [row["message"] for row in manifest["findings"] if row["code"] == "passed_over"]  # type: ignore[attr-defined]
    assert said == ["1 files with pictures (card.PNG) lie beside those that are read: put them there, or elsewhere"]


@pytest.mark.parametrize(
    ("ref", "error", "says"),
    [
        ("hf://owner/nothing", DatasetError, "is not on the Hub"),
        ("hf://owner/pictures@gone", DatasetError, "is not on the Hub"),
        ("hf://owner", DatasetError, "is no Hub reference: write hf://owner/name@revision"),
        ("hf://owner/broken", HubError, "the Hub cannot be asked"),
    ],
)
def test_a_hub_that_does_not_give_is_told_in_one_line(
    hub: LoopbackHub, ref: str, error: type[Exception], says: str, tmp_path: Path
) -> None:
    hub.add("owner/pictures", {"a.png": b"x"}, kind="dataset")
    hub.add("owner/broken", {}, kind="dataset", fault="disabled")
    with pytest.raises(error, match=says) as caught:
        prepare(ref, tmp_path / "out", OPTIONS)
    assert "\n" not in str(caught.value)


def test_the_same_pictures_are_one_dataset_wherever_they_lie(pictures: Path, hub: LoopbackHub, tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {path.name: path.read_bytes() for path in pictures.iterdir()}
    hub.add("owner/pictures", files, kind="dataset")
    here, there = prepare(pictures, tmp_path / "one", OPTIONS), prepare("hf://owner/pictures", tmp_path / "two", OPTIONS)
    assert here["hash"] == there["hash"]


def test_metadata_csv_names_captions_and_missing_pictures(tmp_path: Path) -> None:
    paint(tmp_path / "in" / "a.png", 1, caption=None)
    (tmp_path / "in" / "metadata.csv").write_text('file_name,caption\na.png,"one, two"\nb.png,gone\n')
    with pytest.raises(DatasetError, match=r"b\.png: missing_picture"):
        prepare(tmp_path / "in", tmp_path / "out", OPTIONS)
    manifest = prepare(tmp_path / "in", tmp_path / "out", DatasetOptions(resolution=32, held_out=0, on_error="drop"))
    counts: Any = manifest["counts"]
    assert rows(manifest) == [("a.png", "one, two")]
    assert (counts["found"], counts["kept"], counts["failed"]) == (2, 1, 1)
    (tmp_path / "in" / "metadata.csv").write_text("name,words\na.png,one\n")
    with pytest.raises(DatasetError, match=r"line 2: .* the columns file_name,text"):
        prepare(tmp_path / "in", tmp_path / "out", OPTIONS)


def test_a_picture_of_a_kind_that_is_not_decoded_is_not_passed_over(tmp_path: Path) -> None:
    paint(tmp_path / "in" / "a.png", 1)
    (tmp_path / "in" / "b.heic").write_bytes(b"x")
    with pytest.raises(DatasetError, match=r"b\.heic: .*; 0 more|b\.heic: "):
        prepare(tmp_path / "in", tmp_path / "out", OPTIONS)


def test_avif_is_decoded(tmp_path: Path) -> None:
    with Image.open(paint(tmp_path / "painted" / "a.png", 1)) as picture:
        (tmp_path / "in").mkdir()
        picture.save(tmp_path / "in" / "a.avif")
    (tmp_path / "in" / "a.txt").write_text("a picture")
    assert rows(prepare(tmp_path / "in", tmp_path / "out", OPTIONS)) == [("a.avif", "a picture")]
