"""The header of an adapter file: read and replaced without touching the tensors, equal bytes for equal text, no clock in it."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from training.base import sha256_of
from training.export import FILE, PEFT
from training.export_bundle import seal
from training.export_metadata import Provenance, described
from training.metadata import metadata_of, rewrite, shapes_of, tensors_sha256
from training.sample import BUNDLE_SCHEMA, PLACE

SAID = Provenance(
    job="1" * 64,
    license_verdict="2" * 64,
    gate={"outcome": "promote", "sentence": "every check passed", "learned_required": True},
    title="Soft clay",
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    tensors = {"b": torch.rand(3, 5), "a": torch.rand(7).bfloat16(), "c": torch.tensor(4.0)}
    save_file(tensors, tmp_path / "plain.safetensors", metadata={PEFT: "{}"})
    return tmp_path / "plain.safetensors"


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    folder = tmp_path / "bundle"
    (folder / "samples").mkdir(parents=True)
    for name, header in ((FILE, {PEFT: '{"transformer.r": 4}'}), ("adapter.kohya.safetensors", None)):
        save_file({"x": torch.arange(6.0)}, folder / name, metadata=header)
    for name in ("samples/grid.png", "evaluation.json", PLACE):
        (folder / name).write_text(name)
    files = {name: sha256_of(folder / name) for name in (FILE, "adapter.kohya.safetensors", "evaluation.json", "samples/grid.png")}
    (folder / "manifest.json").write_text(json.dumps(_manifest(files)))
    return folder


def _manifest(files: dict[str, str]) -> dict[str, Any]:
    return {
        "schema": BUNDLE_SCHEMA,
        "base": {"ref": "Flat Tiny", "revision": None, "family": "z-image", "weights_sha256": "3" * 64},
        "family": "z-image",
        "adapter_sha256": files[FILE],
        "tensors_sha256": "5" * 64,
        "formats": {
            "diffusers": {"file": FILE},
            "kohya": {"file": "adapter.kohya.safetensors", "tensors_sha256": "5" * 64},
            "comfyui": {"file": None, "why": "not known"},
        },
        "rank": 4,
        "alpha": 4.0,
        "scale": 1.0,
        "inference": {"steps": 24, "guidance_scale": 2.5},
        "trigger": "clay",
        "resolution": 64,
        "dataset": {"hash": "4" * 64, "train": 80, "held_out": 20},
        "training": {
            "steps": 160,
            "batch_size": 16,
            "learning_rate": 0.0002,
            "seed": 0,
            "optimizer": "adamw",
            "schedule": "linear",
        },
        "adopted": None,
        "files": files,
    }


def test_a_rewritten_header_leaves_every_tensor_as_it_was(file: Path, tmp_path: Path) -> None:
    new = rewrite(file, tmp_path / "new.safetensors", {"b": "zwei", "a": "ein “Satz”\nund noch einer"})
    before, after = load_file(file), load_file(new)
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) and before[name].dtype == after[name].dtype for name in before)
    assert tensors_sha256(new) == tensors_sha256(file)
    assert metadata_of(new) == {"a": "ein “Satz”\nund noch einer", "b": "zwei"}
    assert shapes_of(new) == {"a": (7,), "b": (3, 5), "c": ()}
    with safe_open(new, framework="pt") as opened:  # the format's own reader agrees
        assert opened.metadata() == metadata_of(new)


def test_the_order_of_the_text_makes_no_other_bytes(file: Path, tmp_path: Path) -> None:
    one = rewrite(file, tmp_path / "one.safetensors", {"a": "1", "b": "2"})
    other = rewrite(file, tmp_path / "other.safetensors", {"b": "2", "a": "1"})
    assert one.read_bytes() == other.read_bytes()


def test_other_tensors_have_another_hash_of_tensors(file: Path, tmp_path: Path) -> None:
    tensors = load_file(file)
    tensors["b"][0, 0] += 1
    save_file(tensors, tmp_path / "other.safetensors", metadata={PEFT: "{}"})
    assert tensors_sha256(tmp_path / "other.safetensors") != tensors_sha256(file)


def test_the_model_specification_has_all_that_it_demands_and_kohyas_keys_their_names(bundle: Path) -> None:
    text = described(_manifest({FILE: "5" * 64}), SAID, tensors_sha256="6" * 64)
    for key in ("sai_model_spec", "architecture", "implementation", "title"):  # what version 1.0.1 makes a must
        assert text[f"modelspec.{key}"]
    assert text["modelspec.sai_model_spec"] == "1.0.1"
    assert text["modelspec.architecture"] == "z-image/lora"
    assert text["modelspec.hash_sha256"] == "0x" + text["sshs_model_hash"] == "0x" + "6" * 64
    assert (text["modelspec.trigger_phrase"], text["modelspec.resolution"]) == ("clay", "64x64")
    assert (text["ss_network_dim"], text["ss_network_alpha"], text["ss_steps"]) == ("4", "4.0", "160")
    assert (text["lorasmith.dataset_sha256"], text["lorasmith.license_verdict_sha256"]) == ("4" * 64, "2" * 64)
    assert (text["lorasmith.job_sha256"], json.loads(text["lorasmith.gate"])["outcome"]) == ("1" * 64, "promote")
    assert not any(word in key for key in text for word in ("date", "time", "started", "finished"))
    assert "modelspec.license" not in text  # what is not known is left out, not made up


def test_a_sealed_bundle_has_new_headers_the_same_tensors_and_hashes_that_hold(bundle: Path, tmp_path: Path) -> None:
    out = tmp_path / "sealed"
    manifest = seal(bundle, out, SAID)
    assert json.loads((out / "manifest.json").read_text()) == manifest
    assert manifest["adapter_sha256"] == sha256_of(out / FILE) != sha256_of(bundle / FILE)
    assert manifest["tensors_sha256"] == tensors_sha256(out / FILE) == tensors_sha256(bundle / FILE)
    assert {name: sha256_of(out / name) for name in manifest["files"]} == manifest["files"]
    assert (out / PLACE).read_text() == PLACE
    assert metadata_of(out / FILE)[PEFT] == '{"transformer.r": 4}'  # without it diffusers would take another strength
    assert PEFT not in metadata_of(out / "adapter.kohya.safetensors")
    assert manifest["sealed"]["gate"]["outcome"] == "promote"


def test_a_sealed_manifest_keeps_its_schema(bundle: Path, tmp_path: Path) -> None:
    schema = json.loads((Path(__file__).resolve().parents[2] / "docs/schemas/adapter-bundle.schema.json").read_text())
    assert set(schema["properties"]) == set(seal(bundle, tmp_path / "sealed", SAID))
    jsonschema.validate(seal(bundle, tmp_path / "again", SAID), schema, cls=jsonschema.Draft202012Validator)


def test_sealing_twice_gives_the_same_bytes(bundle: Path, tmp_path: Path) -> None:
    seal(bundle, tmp_path / "one", SAID)
    seal(bundle, tmp_path / "two", SAID)
    names = [path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*") if path.is_file()]
    assert names
    assert all((tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes() for name in names)
