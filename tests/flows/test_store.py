"""Artefact folders: found or made, never half."""

import multiprocessing
from pathlib import Path

import pytest

from flows import store
from flows.errors import FlowError


def write(text: str):  # type: ignore[no-untyped-def]
    def build(folder: Path) -> None:
        (folder / "sub").mkdir()
        (folder / "sub" / "file").write_text(text)

    return build


def test_made_once_then_found(tmp_path: Path) -> None:
    first = store.make(tmp_path, "kind", {"a": 1}, write("x"))
    second = store.make(tmp_path, "kind", {"a": 1}, write("never called"))
    assert (first.found, second.found) == (False, True)
    assert second.path == first.path
    assert (first.path / "sub" / "file").read_text() == "x"


def test_other_inputs_other_folder_and_order_does_not_matter(tmp_path: Path) -> None:
    one = store.make(tmp_path, "kind", {"a": 1, "b": 2}, write("x"))
    same = store.make(tmp_path, "kind", {"b": 2, "a": 1}, write("x"))
    other = store.make(tmp_path, "kind", {"a": 2}, write("x"))
    assert one.path == same.path != other.path


def test_a_failed_build_leaves_nothing(tmp_path: Path) -> None:
    def fail(folder: Path) -> None:
        (folder / "half").write_text("x")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.make(tmp_path, "kind", {"a": 1}, fail)
    assert [path for path in (tmp_path / "store" / "kind").iterdir() if not path.name.endswith(".lock")] == []


def test_what_a_killed_run_left_is_swept(tmp_path: Path) -> None:
    key = store.digest({"a": 1})
    half = tmp_path / "store" / "kind" / f".{key[:12]}-abandoned"
    half.mkdir(parents=True)
    store.make(tmp_path, "kind", {"a": 1}, write("x"))
    assert not half.exists()


@pytest.mark.parametrize("damage", ["change", "remove", "unseal", "add"])
def test_a_damaged_artefact_is_made_again(tmp_path: Path, damage: str) -> None:
    made = store.make(tmp_path, "kind", {"a": 1}, write("x"))
    file = made.path / "sub" / "file"
    if damage == "change":
        file.write_text("y")
    elif damage == "add":
        (made.path / "more").write_text("y")
    else:
        (file if damage == "remove" else made.path.parent / store.SEAL).unlink()
    again = store.make(tmp_path, "kind", {"a": 1}, write("x"))
    assert not again.found
    assert file.read_text() == "x"


def test_verify_names_the_file(tmp_path: Path) -> None:
    made = store.make(tmp_path, "kind", {"a": 1}, write("x"))
    (made.path / "sub" / "file").write_text("y")
    with pytest.raises(FlowError, match="sub/file: changed since"):
        store.verify(made.path.parent)


def slow(home: Path, count: "multiprocessing.sharedctypes.Synchronized[int]") -> None:
    def build(folder: Path) -> None:
        with count.get_lock():
            count.value += 1
        (folder / "file").write_text("x")

    store.make(home, "kind", {"a": 1}, build)


def test_two_processes_build_once(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    count = context.Value("i", 0)
    processes = [context.Process(target=slow, args=(tmp_path, count)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert count.value == 1


def test_tree_digest_sees_names_and_contents_and_skips_hidden(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("1")
    before = store.tree_digest(tmp_path)
    (tmp_path / ".hidden").write_text("2")
    assert store.tree_digest(tmp_path) == before
    (tmp_path / "a").rename(tmp_path / "b")
    assert store.tree_digest(tmp_path) != before
