"""An archive has the same bytes wherever it is made, and one that nobody should trust leaves nothing behind."""

import stat
import zipfile
from pathlib import Path

import pytest

from serving.release.archive import ArchiveRefused, files_below, pack, sha256_of, unpack

LIMIT = 1 << 20


def entry(name: str, *, mode: int = stat.S_IFREG | 0o644) -> zipfile.ZipInfo:
    made = zipfile.ZipInfo(name)
    made.external_attr = mode << 16
    return made


def zipped(path: Path, *entries: zipfile.ZipInfo, content: bytes = b"x") -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for one in entries:
            archive.writestr(one, content)
    return path


def test_a_folder_comes_back_as_it_was_from_the_same_bytes(tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "deep" / "er").mkdir(parents=True)
    (source / "deep" / "er" / "a.safetensors").write_bytes(bytes(range(256)) * 5000)
    (source / "b.json").write_text("{}")
    first = pack(files_below(source, "in"), tmp_path / "one.zip")
    (source / "b.json").touch()
    second = pack(dict(reversed(files_below(source, "in").items())), tmp_path / "two.zip")
    assert (first.sha256, first.size) == (second.sha256, second.size) == (sha256_of(first.path), first.path.stat().st_size)
    unpack(first.path, tmp_path / "out", limit=2 << 20)
    assert {name: path.read_bytes() for name, path in files_below(tmp_path / "out" / "in").items()} == {
        name: path.read_bytes() for name, path in files_below(source).items()
    }


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        (entry("/etc/cron.d/x"), "outside"),
        (entry("../x.json"), "outside"),
        (entry("a/../../x.json"), "outside"),
        (entry("C:x.json"), "outside"),
        (entry("link", mode=stat.S_IFLNK | 0o777), "no plain file"),
        (entry("pipe", mode=stat.S_IFIFO | 0o644), "no plain file"),
        (entry("folder/"), "no plain file"),
        (entry("adapter.pt"), "pickle"),
        (entry("optimizer.BIN"), "pickle"),
        (entry("GOOD.json"), "two files of one name"),
    ],
)
def test_what_can_not_be_trusted_is_refused_before_anything_is_written(bad: zipfile.ZipInfo, why: str, tmp_path: Path) -> None:
    with pytest.raises(ArchiveRefused, match=why) as refused:
        unpack(zipped(tmp_path / "bad.zip", entry("good.json"), bad), tmp_path / "out", limit=LIMIT)
    assert "\n" not in str(refused.value)
    assert list(tmp_path.iterdir()) == [tmp_path / "bad.zip"]


def test_a_bomb_a_password_and_what_is_no_zip_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ArchiveRefused, match="at most 1048576 are taken"):
        unpack(zipped(tmp_path / "bomb.zip", entry("a.json"), content=bytes(LIMIT + 1)), tmp_path / "out", limit=LIMIT)
    path = zipped(tmp_path / "locked.zip", entry("a.json"))
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\x01\x02") + 8] |= 1  # the bit that says so in the directory
    path.write_bytes(content)
    with pytest.raises(ArchiveRefused, match="password"):
        unpack(path, tmp_path / "out", limit=LIMIT)
    (tmp_path / "no.zip").write_text("no zip")
    with pytest.raises(ArchiveRefused, match="cannot be unpacked"):
        unpack(tmp_path / "no.zip", tmp_path / "out", limit=LIMIT)
    assert not (tmp_path / "out").exists()
