"""The graph behind a base: every way in which one asset is made of another is an edge, and nothing hides behind another name."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from licenses.check import check
from licenses.errors import BadReference
from licenses.identify import text_hash
from tests.licenses.conftest import APACHE, FolderOf
from tests.licenses.loopback_hub import LoopbackHub
from tests.licenses.test_folder import GOOD, INDEX, card
from tests.licenses.test_hub import codes
from tests.licenses.test_identify import MIT_BODY

DEV = "black-forest-labs/FLUX.1-dev"
Files = Mapping[str, str | bytes]
PLAIN: Files = {"README.md": card("license: apache-2.0"), "LICENSE": APACHE}


def child(of: str, front: str = "license: apache-2.0", **files: str | bytes) -> Files:
    return {**PLAIN, "README.md": card(f"{front}\nbase_model: {of}"), **files}


def edges(verdict: Any) -> set[tuple[str, str, str]]:
    return {(edge["from"], edge["to"], edge["relation"]) for edge in verdict.edges}


def test_every_kind_of_edge_has_its_name(hub: LoopbackHub, folder: FolderOf) -> None:
    front = "license: apache-2.0\nbase_model: b/root\nbase_model_relation: finetune\ndatasets: [d/seen]"
    hub.add("a/base", {**GOOD, "README.md": card(front)})
    hub.add("b/root", PLAIN)
    hub.add("c/lora", child("b/root\nbase_model_relation: adapter"))
    hub.add("c/vae", PLAIN)
    hub.add("d/seen", {"README.md": card("license: cc-by-4.0\nsource_datasets: [original, extended|d/origin]")}, kind="dataset")
    hub.add("d/origin", {"README.md": card("license: cc0-1.0")}, kind="dataset")
    verdict = check("a/base", components={"lora": "c/lora", "vae": "c/vae"}, dataset=folder({"dataset.yaml": "license: own"}))
    assert verdict.exit_code == 0, verdict.uses
    dataset = next(node["id"] for node in verdict.nodes if node["role"] == "dataset")
    assert edges(verdict) == {
        ("a/base", "a/base/text_encoder", "component"),
        ("a/base", "b/root", "finetune"),
        ("a/base", "c/lora", "accelerator"),
        ("a/base", "c/vae", "component"),
        ("c/lora", "b/root", "adapter"),
        ("a/base", "d/seen", "source"),
        ("d/seen", "d/origin", "source"),
        ("a/base", dataset, "dataset"),
    }


def test_a_diamond_is_visited_once_and_both_ways_are_drawn(hub: LoopbackHub) -> None:
    hub.add("a/top", child("[b/left, B/Right]\nbase_model_relation: merge"))
    hub.add("b/left", child("c/root"))
    hub.add("b/right", child("C/Root"))
    hub.add("c/root", PLAIN)
    verdict = check("a/top")
    assert [node["id"] for node in verdict.nodes] == ["a/top", "b/left", "c/root", "B/Right"]
    assert {("b/left", "c/root", "ancestor"), ("B/Right", "c/root", "ancestor")} < edges(verdict)
    assert len([path for _, path in hub.requests if path.startswith("/api/")]) == 4


def test_a_model_and_a_dataset_of_one_name_are_two_assets(hub: LoopbackHub) -> None:
    hub.add("a/leaves", GOOD)
    assert "hub_not_found" in codes(check("a/leaves", dataset="a/leaves"))


def test_an_accelerator_of_the_base_itself_is_no_cycle(hub: LoopbackHub) -> None:
    hub.add("a/base", GOOD)
    hub.add("c/fast", child("a/base"))
    verdict = check("a/base", components={"lightning": "c/fast"})
    assert verdict.exit_code == 0
    assert {("a/base", "c/fast", "accelerator"), ("c/fast", "a/base", "ancestor")} < edges(verdict)


@pytest.mark.parametrize("role", ["dataset", "source_data", "adapter", "base", "ancestor"])
def test_a_component_can_not_take_the_place_of_another_kind_of_asset(hub: LoopbackHub, role: str) -> None:
    hub.add("a/base", GOOD)
    with pytest.raises(BadReference, match="name the part"):
        check("a/base", components={role: "a/base"})
    hub.add("a/odd", {**GOOD, "model_index.json": json.dumps({role: ["diffusers", "AutoencoderKL"]})})
    assert "json_invalid" in codes(check("a/odd"))


@pytest.mark.parametrize(
    ("front", "datasets", "code"),
    [
        ("datasets: [d/set]", {"d/set": "license: cc-by-nc-4.0"}, "data_non_commercial"),
        ("datasets: [d/set]", {"d/set": "license: cc-by-nd-4.0"}, "data_no_derivatives"),
        ("datasets: [d/set]", {"d/set": "license: unknown"}, "data_restricted"),
        ("datasets: [d/set]", {"d/set": "license: house-rules"}, "data_license_unknown"),
        ("datasets: [d/set]", {"d/set": "tags: [a]"}, "data_license_missing"),
        ("datasets: [d/set]", {"d/set": "license: mit\nlicense_details: For research only."}, "data_restricted"),
        ("datasets: [d/set]", {}, "data_unreachable"),
        (
            "datasets: d/set",
            {"d/set": "license: mit\nsource_datasets: [d/root]", "d/root": "license: cc-by-nc-4.0"},
            "data_non_commercial",
        ),
        ("datasets: [d/set]", {"d/set": "license: mit\nsource_datasets: ['extended|d/gone']"}, "data_unreachable"),
        ("datasets: [pictures of my cat]", {}, "data_unresolved"),
        ("datasets: [imagenet]", {}, "data_unresolved"),
        ("datasets: [7]", {}, "card_invalid"),
    ],
)
def test_data_that_a_base_was_trained_on_binds_it(hub: LoopbackHub, front: str, datasets: Mapping[str, str], code: str) -> None:
    hub.add("a/base", {**PLAIN, "README.md": card(f"license: apache-2.0\n{front}")})
    for name, said in datasets.items():
        hub.add(name, {"README.md": card(said)}, kind="dataset")
    assert code in codes(check("a/base"))


@pytest.mark.parametrize("license", ["mit", "cc0-1.0", "cc-by-4.0", "apache-2.0"])
def test_a_permissive_tag_is_enough_for_data_of_others(hub: LoopbackHub, license: str) -> None:
    hub.add("a/base", {**PLAIN, "README.md": card("license: apache-2.0\ndatasets: [d/set]")})
    hub.add("d/set", {"README.md": card(f"license: {license}\nsource_datasets: [original, d/set]")}, kind="dataset")
    verdict = check("a/base")
    assert verdict.exit_code == 0, verdict.uses
    assert all(notice["file"] == "LICENSES/apache-2.0.txt" for notice in verdict.notices)


@pytest.mark.parametrize(
    "body",
    [
        f"Fine-tuned from [{DEV}](https://huggingface.co/{DEV}) for 3 epochs.",
        "This is a finetune of FLUX.1 [dev].",
        "A LoRA for FLUX.1-dev, merged into the weights.",
        "Quantized version of `black-forest-labs/FLUX.1-dev`.",
        "It was initialised from the weights of Flux Dev.",
        "Our FLUX.1-dev fine-tune draws leaves.",
        "- **Finetuned from model [optional]:** black-forest-labs/FLUX.1-dev",
        "Base model: black-forest-labs/FLUX.1-dev",
        "A merge of somebody/nothing and FLUX.2 [dev].",
        "Distilled from FLUX.2-klein-9B.",
        "It was fine-tuned from\nblack-forest-labs/FLUX.1-dev in a week.",
        "**Base model:**\n\n- FLUX.1-dev",
        "| Base model | FLUX.1 [dev] |\n|---|---|",
        "Das Modell basiert auf FLUX.1-dev.",
        "本模型基于FLUX.1-dev微调。",
        "base_model: black-forest-labs/FLUX.1-dev",
    ],
)
def test_a_barred_parent_named_in_a_sentence_blocks(folder: FolderOf, no_network: None, body: str) -> None:
    assert "non_commercial" in codes(check(folder({**GOOD, "README.md": card("license: apache-2.0", body)})))


@pytest.mark.parametrize(
    "body",
    [
        "It was not fine-tuned from FLUX.1-dev.",
        "Unlike models based on FLUX.1-dev, it is small.",
        "Trained from scratch on 277 names and/or tags of train/test splits.",
        "Faster than FLUX.1-dev on a laptop.",
        "Converted from PyTorch with scripts/convert.py.",
        "Trained on 8-bit pictures with a batch size of 4.\n\n- FLUX.1-dev: 12 B parameters\n- this model: 8 M parameters",
    ],
)
def test_a_sentence_that_names_no_parent_changes_nothing(folder: FolderOf, no_network: None, body: str) -> None:
    assert check(folder({**GOOD, "README.md": card("license: apache-2.0", body)})).exit_code == 0


def test_a_parent_in_a_sentence_is_asked_like_any_other(hub: LoopbackHub) -> None:
    hub.add("a/base", {**PLAIN, "README.md": card("license: apache-2.0", "Fine-tuned from b/root-1 for a week.")})
    hub.add("b/root-1", PLAIN)
    assert ("a/base", "b/root-1", "ancestor") in edges(check("a/base"))
    hub.repos.pop("b/root-1")
    assert "hub_not_found" in codes(check("a/base"))


@pytest.mark.parametrize(
    ("link", "code"),
    [
        ("https://example.org/terms", "link_off_hub"),
        ("https://github.com/somebody/leaves/blob/main/LICENSE", "link_off_hub"),
        ("https://creativecommons.org/licenses/by-nc/4.0/", "link_contradicts"),
        ("https://opensource.org/licenses/MIT", "link_contradicts"),
        ("LICENSE-WEIGHTS", "link_broken"),
        ("https://huggingface.co/a/base/blob/main/LICENSE-WEIGHTS", "link_broken"),
        ("model_index.json", "link_unread"),
        (f"https://huggingface.co/{DEV}/blob/main/LICENSE.md", "link_contradicts"),
        ("https://huggingface.co/b/gone/blob/main/LICENSE", "hub_not_found"),
    ],
)
def test_a_licence_link_that_leads_elsewhere_blocks(hub: LoopbackHub, link: str, code: str) -> None:
    hub.add("a/base", {**GOOD, "README.md": card(f"license: apache-2.0\nlicense_link: {link}")})
    assert code in codes(check("a/base"))
    assert all("example.org" not in path and "github" not in path for _, path in hub.requests)


@pytest.mark.parametrize(
    "link",
    [
        "LICENSE",
        "./LICENSE",
        "LICENSE.md",
        "https://huggingface.co/a/base/blob/main/LICENSE",
        "https://www.apache.org/licenses/LICENSE-2.0",
        "https://www.apache.org/licenses/LICENSE-2.0.txt",
        "https://opensource.org/licenses/Apache-2.0",
        "https://spdx.org/licenses/Apache-2.0.html",
        "apache-2.0",
    ],
)
def test_a_licence_link_to_the_text_itself_or_to_its_own_page_is_fine(hub: LoopbackHub, link: str) -> None:
    hub.add("a/base", {**GOOD, "README.md": card(f"license: apache-2.0\nlicense_link: {link}")})
    assert check("a/base").exit_code == 0


@pytest.mark.parametrize(
    ("change", "code"),
    [
        pytest.param({"vae/config.json": None, "text_encoder/config.json": None}, "component_missing", id="an index without files"),
        pytest.param({"flux1-dev-Q4_K_S.gguf": b""}, "file_of_barred", id="a barred file"),
        pytest.param({"leaves.Q4_K_M.gguf": b""}, "parent_unnamed", id="a quantised file"),
        pytest.param({"leaves-nf4.safetensors": b""}, "parent_unnamed", id="another quantised file"),
        pytest.param({"pytorch_lora_weights.safetensors": b""}, "parent_unnamed", id="an adapter of nothing"),
        pytest.param({"adapter_config.json": '{"base_model_name_or_path": 7}'}, "ancestor_unresolved", id="a parent as a number"),
        pytest.param({"adapter_config.json": '{"r": 1, "r": 2}'}, "json_invalid", id="a key twice"),
        pytest.param(
            {"vae/config.json": '{"_class_name": "FluxTransformer2DModel", "guidance_embeds": true}'},
            "weights_fingerprint",
            id="the switches of FLUX.1-dev",
        ),
        pytest.param(
            {"config.json": '{"architectures": ["Qwen2_5_VLForConditionalGeneration"], "hidden_size": 2048}'},
            "weights_fingerprint",
            id="the size of a research encoder",
        ),
        pytest.param(
            {"config.json": '{"architectures": ["Qwen2_5_VLForConditionalGeneration"], "text_config": {"hidden_size": 2048}}'},
            "weights_fingerprint",
            id="the same, written as newer ones do",
        ),
        pytest.param({"README.md": card("license: apache-2.0\ntags: [flux-dev]")}, "copy_of_barred", id="a tag that is a name"),
        pytest.param(
            {"README.md": card(f"license: apache-2.0\ntags: ['base_model:finetune:{DEV}']")},
            "non_commercial",
            id="a tag of the Hub's kind",
        ),
        pytest.param({"deep/er/Readme.md": card("license: cc-by-nc-4.0")}, "component_tag", id="a card far below"),
        pytest.param(
            {"vae/README.md": card(f"license: apache-2.0\nbase_model: {DEV}")}, "non_commercial", id="a part with a parent"
        ),
        pytest.param({"vae/config.json": '{"license": "cc-by-nc-4.0"}'}, "config_contradicts", id="a licence in a config"),
        pytest.param({"tokenizer/tokenizer_config.json": f'{{"name_or_path": "{DEV}"}}'}, "non_commercial", id="a tokenizer"),
        pytest.param({"old/model_index.json": f'{{"_name_or_path": "{DEV}"}}'}, "non_commercial", id="an index below"),
        pytest.param(
            {"modular_model_index.json": f'{{"vae": [null, null, {{"pretrained_model_name_or_path": "{DEV}"}}]}}'},
            "non_commercial",
            id="a modular index",
        ),
        pytest.param({"vae/config.json": '{"_name_or_path": "/data/FLUX.1-dev/vae"}'}, "non_commercial", id="a path on a disk"),
        pytest.param({"NOTICE": "For non-commercial use only."}, "notice_restricts", id="a notice"),
        pytest.param({"vae/NOTICE": "For non-commercial use only."}, "notice_restricts", id="a notice of a part"),
        pytest.param({"LICENSE-NC.yaml": "use: research"}, "text_not_plain", id="a text as YAML"),
        pytest.param({"许可协议.txt": "x"}, "text_unknown", id="a text under another name"),
        pytest.param({"model_index.json": '{"vae": {"class": "x"}}'}, "json_invalid", id="a component as a mapping"),
        pytest.param({"README.md": card("license: apache-2.0\nlicence: mit")}, "card_key_unknown", id="a key that nobody reads"),
        pytest.param({"README.md": "\u200b" + card("license: apache-2.0")}, "card_ambiguous", id="front matter behind nothing"),
        pytest.param(
            {"README.md": card("license: apache-2.0\ntags: [non-commercial]")}, "card_tags_restrict", id="a tag that bars"
        ),
        pytest.param(
            {"README.md": card("license: apache-2.0\nextra_gated_eu_disallowed: true")},
            "gate_restricts",
            id="a gate against the EU",
        ),
        pytest.param({"README_zh.md": "For non-commercial use only."}, "card_body_restricts", id="a second card"),
        pytest.param({"DISCLAIMER.txt": "For research purposes only."}, "card_body_restricts", id="a disclaimer"),
    ],
)
def test_files_tell_of_another_origin(hub: LoopbackHub, change: Mapping[str, str | bytes | None], code: str) -> None:
    hub.add("a/base", {name: one for name, one in {**GOOD, **change}.items() if one is not None})
    assert code in codes(check("a/base"))


def test_a_component_that_no_parent_has_is_asked_for(hub: LoopbackHub) -> None:
    parts: Files = {"vae/model.safetensors": b"", "text_encoder/model.safetensors": b""}
    hub.add("b/root", {**GOOD, **parts})
    hub.add("a/base", {**GOOD, **parts, "README.md": card("license: apache-2.0\nbase_model: b/root")})
    assert check("a/base").exit_code == 0
    hub.add("b/root", {**GOOD, **parts, "model_index.json": INDEX.replace("Qwen3Model", "T5EncoderModel")})
    verdict = check("a/base")
    assert codes(verdict) == {"component_unexplained"}
    hub.add("c/enc", PLAIN)
    assert check("a/base", components={"text_encoder": "c/enc"}).exit_code == 0


@pytest.mark.parametrize(
    ("license", "text", "parent", "told"),
    [
        ("mit", MIT_BODY, "apache-2.0", False),
        ("apache-2.0", APACHE, "apache-2.0", False),
        ("apache-2.0", APACHE, "mit", False),
        ("apache-2.0", APACHE, "openrail++", True),
        ("mit", MIT_BODY, "cc-by-nc-4.0", True),
        ("apache-2.0", APACHE, "cc-by-sa-4.0", True),
        ("apache-2.0", APACHE, "other\nlicense_name: stabilityai-ai-community", True),
    ],
)
def test_terms_that_a_child_relaxes_are_named(hub: LoopbackHub, license: str, text: str, parent: str, told: bool) -> None:
    hub.add("a/base", {"README.md": card(f"license: {license}\nbase_model: b/middle"), "LICENSE": text})
    hub.add("b/middle", child("c/root", "tags: [a]", LICENSE="House rules"))
    texts = {"apache-2.0": APACHE, "mit": MIT_BODY}
    hub.add("c/root", {"README.md": card(f"license: {parent}"), **({"LICENSE": texts[parent]} if parent in texts else {})})
    reasons = [one for one in check("a/base").uses["train_adapter"].reasons if one.code == "terms_relaxed"]
    assert [one.node for one in reasons] == (["a/base"] if told else [])
    assert all(one.text.startswith("terms relaxed at a/base: ") and "c/root" in one.text for one in reasons)


@pytest.mark.parametrize(
    ("repo", "code"),
    [
        ("black-forest-Iabs/leaves", "owner_lookalike"),
        ("blackforest_labs/leaves", "owner_lookalike"),
        ("stabilltyai/leaves", "owner_lookalike"),
        ("stabiltyai/leaves", "owner_lookalike"),
        ("x/FLUX.l-dev", "copy_of_barred"),
        ("x/FLUX.1-dev_", "copy_of_barred"),
        ("x/Kolors-bf16", "copy_of_barred"),
        ("x/flux-dev-gguf", "copy_of_barred"),
        ("x/stable-diffusion-xl-base-1.0-leaves", "copy_of_barred"),
    ],
)
def test_names_that_pass_for_another_block(hub: LoopbackHub, repo: str, code: str) -> None:
    hub.add(repo, {**GOOD, "README.md": card("license: apache-2.0\nbase_model: b/root")})
    hub.add("b/root", GOOD)
    assert code in codes(check(repo))


@pytest.mark.parametrize(
    "parent", [f"{DEV}.", f"{DEV}\u200b", "black-forest-labs/FLUX.1-d\u0435v", "b/root--x", "b/root.git", f" {DEV}/"]
)
def test_a_parent_by_a_name_that_no_repository_can_have_is_not_followed(hub: LoopbackHub, parent: str) -> None:
    hub.add("a/base", {**GOOD, "README.md": card(f"license: apache-2.0\nbase_model: '{parent}'")})
    assert {"ancestor_unresolved", "card_invalid"} & codes(check("a/base"))


def test_a_link_that_leads_out_of_a_folder_is_not_read(folder: FolderOf, no_network: None, tmp_path: Path) -> None:
    place, elsewhere = folder({**GOOD}), tmp_path / "elsewhere.txt"
    elsewhere.write_text(APACHE)
    (place / "LICENSE").unlink()
    (place / "LICENSE").symlink_to(elsewhere)
    assert "file_linked" in codes(check(place))
    (place / "LICENSE").unlink()
    (place / "LICENSE").symlink_to(tmp_path / "gone")
    assert "file_unreadable" in codes(check(place))


def test_links_of_a_download_cache_are_files(tmp_path: Path, no_network: None) -> None:
    snapshot, blobs = tmp_path / "models--a--b/snapshots" / ("a" * 40), tmp_path / "models--a--b/blobs"
    snapshot.mkdir(parents=True)
    blobs.mkdir()
    for name, content in PLAIN.items():
        blob = blobs / text_hash(name)
        blob.write_text(str(content))
        (snapshot / name).symlink_to(blob)
    assert check(snapshot).exit_code == 0


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"LICENSE": "version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 11357\n"}, "text_is_pointer"),
        ({"LICENSE": " \n\n"}, "text_empty"),
        ({"LICENSE": APACHE.encode("utf-16")}, "text_not_utf8"),
        ({"LICENSE": APACHE.encode() + b"\xe9"}, "text_not_utf8"),
        ({"LICENSE": APACHE + "\x00"}, "text_not_utf8"),
        ({"LICENSE": None, "LICENSE.pdf": b"%PDF-1.7"}, "text_not_plain"),
        ({"LICENSE": None, "LICENSE.json": "{}"}, "text_not_plain"),
    ],
)
def test_a_text_that_can_not_be_read_is_no_text(
    folder: FolderOf, no_network: None, change: Mapping[str, str | bytes | None], code: str
) -> None:
    files = {name: one for name, one in {**PLAIN, **change}.items() if one is not None}
    assert code in codes(check(folder(files)))


def test_a_text_behind_a_byte_order_mark_is_the_text(folder: FolderOf, no_network: None) -> None:
    assert check(folder({**PLAIN, "LICENSE": "\ufeff" + APACHE})).exit_code == 0


@pytest.mark.parametrize("repo", ["x/8bit-sprites", "x/leaves-of-kolors-lake", "somebody/leaves", "fal/leaves", "a1/leaf_1-0"])
def test_a_name_of_its_own_is_no_reason(hub: LoopbackHub, repo: str) -> None:
    hub.add(repo, GOOD)
    assert check(repo).exit_code == 0


def test_a_snapshot_of_a_barred_model_is_known_by_its_cache(tmp_path: Path, no_network: None) -> None:
    snapshot = tmp_path / "models--somebody--FLUX.1-dev/snapshots" / ("a" * 40)
    snapshot.mkdir(parents=True)
    for name, content in PLAIN.items():
        (snapshot / name).write_text(str(content))
    assert "copy_of_barred" in codes(check(snapshot))
