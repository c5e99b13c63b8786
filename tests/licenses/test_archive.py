"""Raw evidence: every byte that a verdict rests on is kept under its sha256, and a commit is asked for its files once."""

import hashlib
import json
from pathlib import Path

from licenses.check import check
from tests.licenses.conftest import FolderOf
from tests.licenses.loopback_hub import LoopbackHub
from tests.licenses.test_folder import GOOD
from tests.licenses.test_hub import codes


def asked(hub: LoopbackHub) -> list[str]:
    return [path for _, path in hub.requests]


def test_all_that_was_read_is_kept_and_indexed(hub: LoopbackHub, tmp_path: Path) -> None:
    hub.add("a/base", GOOD)
    said = check("a/base", keep=tmp_path).as_json()
    assert {row["file"] for row in said["evidence"]} == {*GOOD, "api.json"}
    assert {row["node"] for row in said["evidence"]} == {"a/base"}
    for row in said["evidence"]:
        raw = (tmp_path / row["sha256"]).read_bytes()
        assert (hashlib.sha256(raw).hexdigest(), len(raw)) == (row["sha256"], row["bytes"])
    index = json.loads((tmp_path / "index.json").read_text())
    assert {(row["node"], row["path"], row["sha256"]) for row in index["files"]} == {
        (row["node"], row["file"], row["sha256"]) for row in said["evidence"]
    }
    assert hub.address not in (tmp_path / "index.json").read_text()
    assert not [one for one in tmp_path.iterdir() if one.name.startswith(".")]


def test_without_a_folder_the_evidence_is_still_told(folder: FolderOf, no_network: None) -> None:
    said = check(folder(GOOD)).as_json()
    assert {row["file"] for row in said["evidence"]} == set(GOOD)


def test_a_commit_is_asked_for_its_files_once_and_for_itself_each_time(hub: LoopbackHub, tmp_path: Path) -> None:
    hub.add("a/base", GOOD)
    first = check("a/base", keep=tmp_path).as_json()
    hub.requests.clear()
    assert check("a/base", keep=tmp_path).as_json()["hash"] == first["hash"]
    assert asked(hub) == ["/api/models/a/base"]
    hub.add("a/base", {**GOOD, "LICENSE": "House rules"}, commit="f" * 40)
    assert "text_unknown" in codes(check("a/base", keep=tmp_path))


def test_what_is_not_what_it_was_is_asked_for_again(hub: LoopbackHub, tmp_path: Path) -> None:
    hub.add("a/base", {**GOOD, "LICENSE": "House rules"})
    said = check("a/base", keep=tmp_path).as_json()
    digest = next(row["sha256"] for row in said["evidence"] if row["file"] == "LICENSE")
    (tmp_path / digest).write_bytes(GOOD["LICENSE"].encode())  # type: ignore[union-attr]
    assert "text_unknown" in codes(check("a/base", keep=tmp_path))
    (tmp_path / "index.json").write_text("{broken")
    assert "text_unknown" in codes(check("a/base", keep=tmp_path))


def test_the_same_rights_have_the_same_identity_with_and_without_a_folder(hub: LoopbackHub, tmp_path: Path) -> None:
    hub.add("a/base", GOOD)
    kept, bare = check("a/base", keep=tmp_path).as_json(), check("a/base").as_json()
    assert kept["hash"] == bare["hash"]
    hub.add("a/base", GOOD, api={"likes": 7})
    assert check("a/base").as_json()["hash"] == bare["hash"]
