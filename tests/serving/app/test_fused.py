"""The denoiser with its adapter fused is kept between starts: found, looked at, made anew where it is damaged, missed by nobody."""

import hashlib
import json
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from serving.app.drawing.engine import DiffusersEngine
from serving.app.drawing.fused import DATA_VARIABLE, is_whole, keep, place_of
from serving.app.settings import Adapter, Base, Installed, Settings
from tests.serving.app.served import FUSED, apart, first, packed, with_adapter
from tests.training.tiny import tiny_pipeline


@pytest.fixture(scope="module")
def installed(package: Installed, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    return packed(package, tmp_path_factory.mktemp("installed"), "z-image", with_adapter("z-image"))


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty persistent disk."""
    (tmp_path / "disk").mkdir()
    monkeypatch.setenv(DATA_VARIABLE, str(tmp_path / "disk"))
    return tmp_path / "disk"


def test_a_second_start_reads_what_the_first_has_kept(installed: Installed, disk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = first(DiffusersEngine(installed), FUSED)
    (place,) = (disk / "lorasmith" / "fused").iterdir()
    written = {path.name: path.stat().st_mtime_ns for path in place.iterdir()}
    assert _told(capsys) == [("fused_kept", str(place))]
    assert apart(made, first(DiffusersEngine(installed), FUSED)) == 0
    assert {path.name: path.stat().st_mtime_ns for path in place.iterdir()} == written
    assert _told(capsys) == []
    assert {path.suffix for path in place.iterdir()} == {".json", ".safetensors"}


@pytest.mark.parametrize("hurt", ["weights", "cut", "digests", "digests-empty", "digests-deep", "config", "added", "missing"])
def test_a_damaged_one_is_made_anew(installed: Installed, disk: Path, hurt: str) -> None:
    made = first(DiffusersEngine(installed), FUSED)
    (place,) = (disk / "lorasmith" / "fused").iterdir()
    (weights,) = place.glob("*.safetensors")
    _HURTS[hurt](place, weights)
    assert not is_whole(place)
    assert apart(made, first(DiffusersEngine(installed), FUSED)) == 0
    assert is_whole(place)
    assert [path.name for path in place.parent.iterdir()] == [place.name], "nothing half written is left"


_HURTS: dict[str, Callable[[Path, Path], object]] = {
    "weights": lambda _, weights: weights.write_bytes(bytes([*weights.read_bytes()[:-1], 255 - weights.read_bytes()[-1]])),
    "cut": lambda _, weights: weights.write_bytes(weights.read_bytes()[:-8]),
    "digests": lambda place, _: (place / "digests.json").write_text('{"config.json": "0"}'),
    "digests-empty": lambda place, _: (place / "digests.json").write_text(""),
    "digests-deep": lambda place, _: (place / "digests.json").write_text("[" * 200_000),
    "config": lambda place, _: (place / "config.json").write_text("{}"),
    "added": lambda place, _: (place / "diffusion_pytorch_model.bin").write_bytes(b"pickle"),
    "missing": lambda _, weights: weights.unlink(),
}


@pytest.mark.parametrize("where", ["no disk", "a file", "a file in the way"])
def test_without_a_disk_to_write_the_start_goes_on_and_says_so(
    installed: Installed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], where: str
) -> None:
    disk = tmp_path / "disk"
    if where == "a file":
        disk.write_text("")
    elif where == "a file in the way":
        disk.mkdir()
        (disk / "lorasmith").write_text("")
    monkeypatch.setenv(DATA_VARIABLE, str(disk))
    DiffusersEngine(installed)
    ((event, place),) = _told(capsys)
    assert event == "fused_not_kept"
    assert place.startswith(str(disk))


def test_what_no_start_has_read_for_a_month_goes_when_the_next_is_kept(installed: Installed, disk: Path) -> None:
    DiffusersEngine(installed)
    shelf = disk / "lorasmith" / "fused"
    (place,) = shelf.iterdir()
    for name, days in (("old", 31), (".half", 31), ("young", 29), (place.name, 31)):
        (shelf / name).mkdir(exist_ok=True)
        os.utime(shelf / name, (time.time() - days * 86400,) * 2)
    DiffusersEngine(installed)  # reads it, so that it is young again
    keep(tiny_pipeline("z-image").transformer, shelf / "next")
    assert {path.name for path in shelf.iterdir()} == {place.name, "young", "next"}


def test_runners_that_start_at_once_leave_one_whole_copy(disk: Path) -> None:
    place, denoiser = disk / "lorasmith" / "fused" / "key", tiny_pipeline("z-image").transformer
    with ThreadPoolExecutor(4) as runners:
        list(runners.map(lambda _: keep(denoiser, place), range(8)))
    assert is_whole(place)
    assert [path.name for path in place.parent.iterdir()] == ["key"]


def test_its_place_changes_with_all_that_the_weights_depend_on(installed: Installed, tmp_path: Path) -> None:
    settings = installed.settings
    digests = {"base/transformer/a.safetensors": "1", "base/vae/a.safetensors": "2"}
    packages = {
        "as it is": _package(tmp_path / "0", settings, digests),
        "another base": _package(tmp_path / "1", settings, digests | {"base/transformer/a.safetensors": "3"}),
        "another file": _package(tmp_path / "2", _changed(settings, adapter=Adapter(sha256="f" * 64, scale=FUSED)), digests),
        "another strength": _package(
            tmp_path / "3", _changed(settings, adapter=Adapter(sha256=settings.adapter.sha256, scale=0.5)), digests
        ),
        "from the hub": _package(tmp_path / "4", _changed(settings, base=_hub("a" * 40)), {}),
        "another revision": _package(tmp_path / "5", _changed(settings, base=_hub("b" * 40)), {}),
    }
    places = {name: place_of(one, dtype="float32", denoiser="transformer") for name, one in packages.items()}
    places["another dtype"] = place_of(packages["as it is"], dtype="bfloat16", denoiser="transformer")
    assert len(set(places.values())) == len(places), places
    same = _package(tmp_path / "6", settings, digests | {"base/vae/a.safetensors": "4", "MODEL_CARD.md": "5"}, hash="other")
    assert place_of(same, dtype="float32", denoiser="transformer") == places["as it is"], "the rest of a package does not matter"


def _package(folder: Path, settings: Settings, files: dict[str, str], *, hash: str = "h") -> Installed:
    folder.mkdir()
    (folder / "package.json").write_text(json.dumps({"files": files}))
    return Installed(folder=folder, hash=hash, settings=settings)


def _changed(settings: Settings, **changes: object) -> Settings:
    return settings.model_copy(update=changes)


def _hub(revision: str) -> Base:
    return Base(kind="hub", ref="someone/base", revision=revision)


def test_digests_are_those_of_the_files(disk: Path) -> None:
    place = disk / "lorasmith" / "fused" / "key"
    keep(tiny_pipeline("z-image").transformer, place)
    recorded = json.loads((place / "digests.json").read_text())
    assert recorded == {name: hashlib.sha256((place / name).read_bytes()).hexdigest() for name in recorded}
    assert set(recorded) == {path.name for path in place.iterdir()} - {"digests.json"}


def _told(capsys: pytest.CaptureFixture[str]) -> list[tuple[str, str]]:
    """Events about fused weights in the log, each with its place."""
    written = capsys.readouterr()
    lines = [json.loads(line) for line in (written.out + written.err).splitlines() if line.startswith("{")]
    return [(line["event"], line["place"]) for line in lines if line["event"].startswith("fused")]
