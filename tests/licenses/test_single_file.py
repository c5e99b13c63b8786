"""A single weights file: its head and what lies beside it are the evidence; a lone file says what to put where."""

import json
import re
import struct
from collections.abc import Mapping
from pathlib import Path

import pytest

from licenses.check import check
from licenses.errors import BadReference, SourceFailure
from licenses.header import metadata_of
from tests.licenses.conftest import APACHE, ROOT, FolderOf
from tests.licenses.loopback_hub import LoopbackHub
from tests.licenses.test_folder import card
from tests.licenses.test_hub import codes

DEV = "black-forest-labs/FLUX.1-dev"
Fields = Mapping[str, str]


def safetensors(fields: object) -> bytes:
    raw = json.dumps({"__metadata__": fields, "w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
    return struct.pack("<Q", len(raw)) + raw + b"\0\0\0\0"


def text(value: str) -> bytes:
    return struct.pack("<Q", len(value.encode())) + value.encode()


def gguf(fields: Fields) -> bytes:
    """A head with a number and two lists before the texts, and no tensors."""
    rows = [text("general.alignment") + struct.pack("<II", 4, 32)]
    rows.append(text("sizes") + struct.pack("<IIQ", 9, 6, 3) + struct.pack("<3f", 1, 2, 3))
    rows.append(text("tokens") + struct.pack("<IIQ", 9, 8, 2) + text("a") + text("b"))
    rows += [text(key) + struct.pack("<I", 8) + text(value) for key, value in fields.items()]
    return struct.pack("<4sIQQ", b"GGUF", 3, 0, len(rows)) + b"".join(rows)


def test_a_file_with_its_licence_beside_it_passes(folder: FolderOf, no_network: None) -> None:
    place = folder({"leaves.safetensors": safetensors({"modelspec.license": "Apache-2.0"}), "LICENSE": APACHE, "other.txt": "x"})
    said = check(place / "leaves.safetensors").as_json()
    assert said["verdict"] == "duties"
    assert (said["nodes"][0]["id"], said["nodes"][0]["license"]) == ("leaves.safetensors", "apache-2.0")
    assert said["nodes"][0]["revision"].startswith("sha256:")


def test_a_lone_file_says_what_to_put_where(folder: FolderOf, no_network: None) -> None:
    place = folder({"leaves.safetensors": safetensors({}), "deeper/LICENSE": APACHE})
    verdict = check(place / "leaves.safetensors")
    reason = next(one for one in verdict.uses["train_adapter"].reasons if one.code == "file_without_license")
    assert "LICENSE" in reason.text
    assert verdict.exit_code == 3


def test_a_file_has_no_revision(folder: FolderOf) -> None:
    with pytest.raises(BadReference, match="is a file"):
        check(folder({"leaves.safetensors": safetensors({})}) / "leaves.safetensors", revision="main")


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"modelspec.license": "cc-by-nc-4.0"}, "header_contradicts"),
        ({"modelspec.license": "house rules"}, "header_contradicts"),
        ({"modelspec.architecture": "flux-1-dev"}, "header_of_barred"),
        ({"modelspec.title": "FLUX.1 dev fp8"}, "header_of_barred"),
        ({"ss_sd_model_name": DEV}, "non_commercial"),
        ({"ss_sd_model_name": "D:\\models\\flux1-dev.safetensors"}, "non_commercial"),
        ({"ss_sd_model_name": "somebody-elses.safetensors"}, "ancestor_unresolved"),
        ({"modelspec.merged_from": "leaves, my-style"}, "ancestor_unresolved"),
        ({"modelspec.merged_from": f"b/root, {DEV}"}, "non_commercial"),
        ({"lorasmith.base": "b/gone"}, "hub_offline"),
    ],
)
def test_what_a_head_says_counts(
    folder: FolderOf, no_network: None, monkeypatch: pytest.MonkeyPatch, fields: Fields, code: str
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    place = folder({"leaves.safetensors": safetensors(fields), "LICENSE": APACHE})
    assert code in codes(check(place / "leaves.safetensors"))
    assert code in codes(check(place))


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        (
            {"general.license": "cc-by-nc-4.0", "general.base_model.0.repo_url": "https://huggingface.co/b/root"},
            "header_contradicts",
        ),
        ({"general.base_model.0.repo_url": f"https://huggingface.co/{DEV}"}, "non_commercial"),
        ({"general.base_model.0.name": "FLUX.1 dev"}, "non_commercial"),
        ({"general.base_model.0.name": "Leaves"}, "ancestor_unresolved"),
        ({"general.name": "Leaves"}, "parent_unnamed"),
    ],
)
def test_a_quantised_file_names_its_original(hub: LoopbackHub, folder: FolderOf, fields: Fields, code: str) -> None:
    hub.add("b/root", {"README.md": card("license: apache-2.0"), "LICENSE": APACHE})
    place = folder({"leaves-q4.gguf": gguf(fields), "LICENSE": APACHE})
    assert code in codes(check(place / "leaves-q4.gguf"))


def test_a_quantised_file_of_a_clean_original_passes(hub: LoopbackHub, folder: FolderOf) -> None:
    hub.add("b/root", {"README.md": card("license: apache-2.0"), "LICENSE": APACHE})
    head = {"general.license": "apache-2.0", "general.base_model.0.repo_url": "https://huggingface.co/b/root"}
    verdict = check(folder({"leaves-q4.gguf": gguf(head), "LICENSE": APACHE}) / "leaves-q4.gguf")
    assert verdict.exit_code == 0
    assert [dict(edge) for edge in verdict.edges] == [{"from": "leaves-q4.gguf", "to": "b/root", "relation": "quantized"}]


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\x08\0\0\0\0\0\0\0{",
        struct.pack("<Q", 1 << 40),
        struct.pack("<Q", 2) + b"[]",
        safetensors(["x"]),
        safetensors({"a": 7}),
        struct.pack("<Q", 20_000) + b"[" * 20_000,
    ],
)
def test_a_broken_head_is_a_reason_of_its_own(tmp_path: Path, raw: bytes) -> None:
    file = tmp_path / "x.safetensors"
    file.write_bytes(raw)
    with pytest.raises(SourceFailure) as refused:
        metadata_of(file, "x.safetensors")
    assert refused.value.code == "header_invalid"
    assert not re.search("unpack|buffer|codec|Expecting|recursion", str(refused.value))


@pytest.mark.parametrize("raw", [b"GGUF", struct.pack("<4sIQQ", b"GGUF", 1, 0, 0), struct.pack("<4sIQQ", b"GGUF", 3, 0, 1 << 60)])
def test_a_broken_quantised_head_is_a_reason_too(tmp_path: Path, raw: bytes) -> None:
    file = tmp_path / "x.gguf"
    file.write_bytes(raw)
    with pytest.raises(SourceFailure) as refused:
        metadata_of(file, "x.gguf")
    assert refused.value.code == "header_invalid"
    assert not re.search("unpack|buffer|codec|Expecting|recursion", str(refused.value))


def test_a_pointer_in_the_place_of_weights_tells_nothing(tmp_path: Path) -> None:
    file = tmp_path / "x.safetensors"
    file.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 7\n")
    assert metadata_of(file, "x.safetensors") == {}


@pytest.mark.parametrize("name", ["LICENSE", "x.ckpt", "dataset.yaml"])
@pytest.mark.parametrize("place", ["base", "dataset", "vae"])
def test_a_file_that_is_no_weights_never_goes_to_the_hub(
    tmp_path: Path, no_network: None, monkeypatch: pytest.MonkeyPatch, name: str, place: str
) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / name).write_text("license: own\n")
    monkeypatch.chdir(tmp_path)
    written = f"one/{name}"
    base = written if place == "base" else ROOT / "examples/base"
    dataset, components = (written if place == "dataset" else None), ({"vae": written} if place == "vae" else {})
    with pytest.raises(BadReference, match=r"is a file, neither a folder nor weights .*; give the folder"):
        check(base, dataset=dataset, components=components)
