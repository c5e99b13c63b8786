"""What people really hand in: one clear line, an exit code, nothing half-written."""

import shutil
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from PIL import Image

from tests.end_to_end.conftest import ROOT, Run
from tests.end_to_end.prefect_server import Prefect


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, environment: dict[str, str]) -> Iterator[Prefect]:
    """One server for all cases, so that each does not start its own."""
    running = Prefect(tmp_path_factory.mktemp("server"), environment)
    yield running
    running.end()


def pictures(folder: Path, count: int = 4) -> Path:
    folder.mkdir()
    (folder / "dataset.yaml").write_text("license: own\nsource: made by this test\n")
    for index in range(count):
        picture = Image.effect_noise((96, 96), 40 + index).convert("RGB").rotate(30 * index)
        picture.paste((40 * index, 90, 200 - 40 * index), (index * 12, 10, index * 12 + 40, 80))
        picture.save(folder / f"{index}.png")
        (folder / f"{index}.txt").write_text(f"thing number {index}\n")
    return folder


def empty(folder: Path) -> None:
    for file in folder.glob("[0-9].*"):
        file.unlink()


def corrupt(folder: Path) -> None:
    (folder / "1.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"x" * 100)


def one_pixel(folder: Path) -> None:
    Image.new("RGB", (1, 1)).save(folder / "1.png")


def enormous(folder: Path) -> None:
    Image.new("1", (30_000, 30_000)).save(folder / "1.png")


def without_caption(folder: Path) -> None:
    (folder / "1.txt").unlink()


def caption_with_nul(folder: Path) -> None:
    (folder / "1.txt").write_bytes(b"thing\x00number")


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (empty, "no pictures"),
        (corrupt, "1.png"),
        (one_pixel, "1.png"),
        (enormous, "1.png"),
        (without_caption, "1.png"),
        (caption_with_nul, "1"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_bad_pictures(
    spoil: Callable[[Path], None], says: str, tmp_path: Path, small_job: Path, lorasmith: Run, server: Prefect, home: Path
) -> None:
    folder = pictures(tmp_path / "pictures")
    spoil(folder)
    raw = yaml.safe_load(small_job.read_text())
    raw["dataset"] |= {"path": str(folder), "held_out": 1}
    job = tmp_path / "job.yaml"
    job.write_text(yaml.safe_dump(raw))
    before = sorted((home / "store").glob("dataset/*")) if (home / "store").is_dir() else []
    result = lorasmith("train", str(job), env={"PREFECT_API_URL": server.environment["PREFECT_API_URL"]})
    last = result.stderr.strip().splitlines()[-1]
    assert result.returncode == 2, result.stderr
    assert last.startswith("lorasmith: ")
    assert says in last
    assert "Traceback" not in result.stderr
    assert [path for path in (home / "store").glob("dataset/[!.]*") if path not in before] == []


@pytest.mark.parametrize(
    ("base", "says"),
    [
        ("nobody/unknown-base", "nobody/unknown-base"),
        ("Tongyi-MAI/Z-Image", "Tongyi-MAI/Z-Image"),
    ],
    ids=["unknown base", "hub unreachable"],
)
def test_a_base_that_can_not_be_judged_is_blocked(base: str, says: str, tmp_path: Path, small_job: Path, lorasmith: Run) -> None:
    raw = yaml.safe_load(small_job.read_text())
    raw["base"]["ref"] = base
    job = tmp_path / "job.yaml"
    job.write_text(yaml.safe_dump(raw))
    result = lorasmith("publish", str(job))
    assert result.returncode == 3
    assert says in result.stderr.strip().splitlines()[-1]


def test_a_base_without_licence_is_blocked(tmp_path: Path, small_job: Path, lorasmith: Run) -> None:
    base = tmp_path / "base"
    base.mkdir()
    (base / "model_index.json").write_bytes((ROOT / "examples/base/model_index.json").read_bytes())
    raw = yaml.safe_load(small_job.read_text())
    raw["base"]["ref"] = str(base)
    job = tmp_path / "job.yaml"
    job.write_text(yaml.safe_dump(raw))
    result = lorasmith("publish", str(job))
    assert result.returncode == 3
    assert "licen" in result.stderr.strip().splitlines()[-1]


def test_a_port_in_use_is_named(tmp_path: Path, lorasmith: Run) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        result = lorasmith("sandbox", "up", "--port", str(port), env={"LORASMITH_HOME": str(tmp_path / "other")})
    assert result.returncode not in (0, 1)
    assert str(port) in result.stderr.strip().splitlines()[-1]
    assert "Traceback" not in result.stderr


def test_shared_mode_refused_by_the_platform_names_the_mail_to_send(
    tmp_path: Path, small_job: Path, lorasmith: Run, published: object, home: Path
) -> None:
    from serving.sandbox import control

    other = tmp_path / "home"
    other.mkdir()
    shutil.copytree(home / "store", other / "store")  # so that only the deploy is left to do
    control.up(other, shared_enabled=False)
    try:
        result = lorasmith("publish", str(small_job), env={"LORASMITH_HOME": str(other)})
        last = result.stderr.strip().splitlines()[-1]
        assert result.returncode == 5, result.stderr[-2000:]
        assert "shared" in last
        assert "mail" in last
        assert "live" not in lorasmith("status", env={"LORASMITH_HOME": str(other)}).stdout
    finally:
        control.down(other)
