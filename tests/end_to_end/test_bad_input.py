"""What people really hand in: one clear line, an exit code, nothing half-written, what is live stays live, and it goes on."""

import hashlib
import json
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml
from PIL import Image

from flows.cli.server import QUIET, temporary_server
from serving.sandbox import control
from tests.end_to_end.conftest import ROOT, Changed, Run, half_written, live

Refused = Callable[..., str]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One Prefect server for all cases, so that each does not start its own; its address."""
    folder = tmp_path_factory.mktemp("server")
    (folder / "prefect").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (QUIET | {"LORASMITH_HOME": str(folder), "PREFECT_HOME": str(folder / "prefect")}).items():
            patch.setenv(name, value)
        yield temporary_server()


@pytest.fixture
def refused(published: object, lorasmith: Run, home: Path, server: str) -> Refused:
    """Run a command that must fail over a live release; the one line that it said."""

    def run(*arguments: str, code: int, env: dict[str, str] | None = None) -> str:
        before = live(home)
        result = lorasmith(*arguments, env={"PREFECT_API_URL": server} | (env or {}))
        assert result.returncode == code, result.stderr[-3000:]
        (line,) = [line for line in result.stderr.splitlines() if line.startswith("lorasmith: ")]
        assert line == result.stderr.strip().splitlines()[-1]
        assert "Traceback" not in result.stderr + result.stdout
        assert half_written(home) == []
        assert live(home) == before != []
        return line

    return run


def goes_on(result: "subprocess.CompletedProcess[str]") -> None:
    """The good job that was published before is found as it was left."""
    assert result.returncode == 0, result.stderr[-3000:]
    assert f"= {'release':<11} " in result.stderr


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
    spoil: Callable[[Path], None], says: str, tmp_path: Path, changed: Changed, refused: Refused, home: Path
) -> None:
    folder = pictures(tmp_path / "pictures")
    spoil(folder)
    before = sorted((home / "store").glob("dataset/*"))
    line = refused("train", str(changed("dataset", {"path": str(folder), "held_out": 1})), code=2)
    assert says in line
    assert [path for path in (home / "store").glob("dataset/[!.]*") if path not in before] == []


def test_once_the_pictures_are_mended_the_same_command_goes_on(
    tmp_path: Path, changed: Changed, refused: Refused, lorasmith: Run, server: str
) -> None:
    folder = pictures(tmp_path / "pictures")
    without_caption(folder)
    job = changed("dataset", {"path": str(folder), "held_out": 1})
    raw = yaml.safe_load(job.read_text())
    raw["training"] |= {"steps": 1, "batch_size": 1}
    raw["inference"]["steps"] = 1
    job.write_text(yaml.safe_dump(raw))
    assert "1.png" in refused("train", str(job), code=2)
    (folder / "1.txt").write_text("thing number 1\n")
    mended = lorasmith("train", str(job), env={"PREFECT_API_URL": server})
    assert mended.returncode == 0, mended.stderr[-3000:]
    assert (Path(mended.stdout.strip()) / "adapter.safetensors").is_file()


@pytest.mark.parametrize("base", ["nobody/unknown-base", "Tongyi-MAI/Z-Image"], ids=["unknown base", "hub unreachable"])
def test_a_base_that_the_hub_says_nothing_of_is_refused(base: str, changed: Changed, refused: Refused) -> None:
    job = str(changed("base", {"ref": base}))
    assert base in refused("publish", job, code=5, env={"LORASMITH_HUB_PATIENCE": "1"})


def test_a_base_without_licence_is_blocked(tmp_path: Path, changed: Changed, refused: Refused) -> None:
    base = tmp_path / "base"
    base.mkdir()
    (base / "model_index.json").write_bytes((ROOT / "examples/base/model_index.json").read_bytes())
    assert "licen" in refused("publish", str(changed("base", {"ref": str(base)})), code=3)


def test_a_port_in_use_is_named(tmp_path: Path, refused: Refused) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        line = refused("sandbox", "up", "--port", str(port), code=5, env={"LORASMITH_HOME": str(tmp_path / "other")})
    assert str(port) in line


def test_a_wrong_key_is_named_with_where_to_get_one(small_job: Path, refused: Refused, lorasmith: Run, home: Path) -> None:
    with replaced(home / "sandbox" / "keys.json", other_keys(home)):
        line = refused("publish", str(small_job), code=5)
        assert "refused the key" in line
        assert "secret-of-nobody" not in line
    goes_on(lorasmith("publish", str(small_job)))


def test_a_failing_setup_is_told_with_its_own_words(
    small_job: Path, changed: Changed, refused: Refused, lorasmith: Run, home: Path
) -> None:
    """The platform holds a damaged copy of the adapter, which no runner takes."""
    (uploaded,) = uploaded_adapters(home)
    with replaced(uploaded, uploaded.read_bytes()[:-1] + b"\0"):
        line = refused("publish", str(changed("serving", {"keep_alive": 72})), code=5)
        assert "setup failed: SettingsError: adapter file" in line
    goes_on(lorasmith("publish", str(small_job)))


def test_shared_mode_refused_by_the_platform_names_the_mail_to_send(changed: Changed, refused: Refused, home: Path) -> None:
    control.down(home)
    control.up(home, shared_enabled=False)
    try:
        line = refused("publish", str(changed("serving", {"keep_alive": 73})), code=5)
        assert "shared" in line
        assert "mail" in line
    finally:
        control.down(home)
        control.up(home)


@contextmanager
def replaced(file: Path, content: bytes) -> Iterator[None]:
    """Another content for a while."""
    before = file.read_bytes()
    file.write_bytes(content)
    try:
        yield
    finally:
        file.write_bytes(before)


def other_keys(home: Path) -> bytes:
    """The keys of the sandbox as they are not: every secret is another."""
    keys = json.loads((home / "sandbox" / "keys.json").read_text())
    return json.dumps({name: key.partition(":")[0] + ":secret-of-nobody" for name, key in keys.items()}).encode()


def uploaded_adapters(home: Path) -> list[Path]:
    """The platform's copies of the adapter that is live."""
    (bundle,) = {json.loads((home / "runs" / "last.json").read_text())["bundle"]}
    wanted = hashlib.sha256((Path(bundle) / "adapter.safetensors").read_bytes()).hexdigest()
    files = [file for file in (home / "sandbox" / "files").iterdir() if file.is_file()]
    return [file for file in files if hashlib.sha256(file.read_bytes()).hexdigest() == wanted]
