"""The bill of materials holds for the official schema, names every asset, and is the same wherever it is made."""

import copy
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from license_expression import get_spdx_licensing

from licenses import bom
from licenses.catalogue import load
from licenses.errors import BomInvalid
from licenses.expression import expression, spdx_of
from licenses.papers import Work
from serving.release.package import APP_FOLDER
from tests.licenses.made import RESTRICTED, asset, verdict_of

WORK = Work(app="clay", scale=1.0, rank=4, adapter_sha256="ab" * 32, base_sha256="cd" * 32, dataset_sha256="ef" * 32, family="sdxl")
EVALUATION = {
    "held_out": 20,
    "loss": {"base": 0.2, "adapter": 0.19},
    "bootstrap": {"low": -0.02, "high": -0.001},
    "copies": {"copies": 0},
}


@pytest.fixture(scope="module")
def verdict() -> dict[str, Any]:
    nodes = [
        asset("openrail++", RESTRICTED),
        asset("apache-2.0", id="made/root", role="ancestor"),
        asset("gemma", id="made/encoder", role="text_encoder"),
        asset("cc-by-4.0", id="made/pictures", role="dataset", author="Ann", source="https://example.org"),
    ]
    edges = [
        {"from": "made/base", "to": "made/root", "relation": "finetune"},
        {"from": "made/base", "to": "made/pictures", "relation": "dataset"},
    ]
    return verdict_of(nodes) | {"edges": edges, "data": ["Training data made/pictures: CC BY 4.0, by Ann."]}


@pytest.fixture(scope="module")
def document(verdict: dict[str, Any]) -> dict[str, Any]:
    return bom.bom(verdict, WORK, evaluation=EVALUATION)


def test_it_is_cyclonedx_by_the_strict_validator_and_lies_in_the_folder(document: dict[str, Any], tmp_path: Path) -> None:
    path = bom.write(document, tmp_path)
    assert json.loads(path.read_text()) == document
    assert (document["bomFormat"], document["specVersion"]) == ("CycloneDX", "1.7")
    assert [one.name for one in tmp_path.iterdir()] == ["bom.json"]


@pytest.mark.parametrize("damage", ["a field", "an id", "an expression", "a model card"])
def test_what_the_schema_or_spdx_does_not_know_is_not_written(document: dict[str, Any], tmp_path: Path, damage: str) -> None:
    wrong = copy.deepcopy(document)
    if damage == "a field":
        wrong["components"][0]["colour"] = "red"
    elif damage == "an id":
        wrong["components"][3]["licenses"][0]["license"]["id"] = "Apache 2"
    elif damage == "an expression":
        said = next(one for one in wrong["metadata"]["properties"] if one["name"] == "lorasmith:expression-of-the-parts")
        said["value"] = "Apache-2.0 AND No-Such-Licence"
    else:
        wrong["metadata"]["component"]["modelCard"]["quality"] = "good"
    with pytest.raises(BomInvalid) as refused:
        bom.write(wrong, tmp_path)
    assert "\n" not in str(refused.value)
    assert list(tmp_path.iterdir()) == []


def test_every_asset_is_a_component_with_licence_and_hash_of_its_text(verdict: dict[str, Any], document: dict[str, Any]) -> None:
    parts = {part["name"]: part for part in document["components"]}
    assert list(parts) == [node["id"] for node in verdict["nodes"]]
    assert [part["type"] for part in parts.values()] == [*["machine-learning-model"] * 3, "data"]
    licences = {name: part["licenses"][0]["license"] for name, part in parts.items()}
    assert licences["made/root"]["id"] == "Apache-2.0"
    assert licences["made/encoder"]["name"] == "Gemma Terms of Use"
    for node in verdict["nodes"]:
        assert {"name": "lorasmith:text_sha256", "value": node["text_sha256"]} in licences[node["id"]]["properties"]
    assert parts["made/base"]["hashes"] == [{"alg": "SHA-256", "content": "cd" * 32}]
    assert parts["made/pictures"]["hashes"] == [{"alg": "SHA-256", "content": "ef" * 32}]
    assert parts["made/pictures"]["data"][0]["description"] == verdict["data"][0]
    assert {"type": "license", "url": "LICENSES/gemma.txt"} in parts["made/encoder"]["externalReferences"]


def test_pedigree_and_dependencies_follow_the_edges(document: dict[str, Any]) -> None:
    parts = {part["name"]: part for part in document["components"]}
    assert [one["name"] for one in parts["made/base"]["pedigree"]["ancestors"]] == ["made/root"]
    assert [one["name"] for one in document["metadata"]["component"]["pedigree"]["ancestors"]] == ["made/base"]
    rests = {one["ref"]: one.get("dependsOn", []) for one in document["dependencies"]}
    assert rests["base:made/base"] == ["ancestor:made/root"]
    assert rests["adapter"] == ["base:made/base", "dataset:made/pictures", "text_encoder:made/encoder"]
    assert set(rests) == {"adapter", *(part["bom-ref"] for part in document["components"])}


def test_the_model_card_has_what_was_measured_and_only_that(verdict: dict[str, Any], document: dict[str, Any]) -> None:
    card = document["metadata"]["component"]["modelCard"]
    metrics = {one["type"]: one for one in card["quantitativeAnalysis"]["performanceMetrics"]}
    assert metrics["denoising loss, base"]["value"] == "0.200000"
    assert metrics["denoising loss, adapter minus base"]["confidenceInterval"] == {
        "lowerBound": "-0.020000",
        "upperBound": "-0.001000",
    }
    assert card["modelParameters"]["datasets"] == [{"ref": "dataset:made/pictures"}]
    assert any("CreativeML Open RAIL++-M" in one["name"] for one in card["considerations"]["ethicalConsiderations"])
    bare = bom.bom(verdict, Work())
    bom.require_valid(bare)
    assert "quantitativeAnalysis" not in bare["metadata"]["component"]["modelCard"]


def test_the_same_content_has_the_same_serial_number_on_any_day(verdict: dict[str, Any], document: dict[str, Any]) -> None:
    assert bom.bom({**verdict, "as_of": "2031-01-01"}, WORK, evaluation=EVALUATION) == document
    other = bom.bom(verdict, Work(app="sand"), evaluation=EVALUATION)
    assert other["serialNumber"] != document["serialNumber"]
    assert "timestamp" not in json.dumps(document)


def test_the_adapter_has_the_licence_that_its_publisher_gives_and_no_other(
    verdict: dict[str, Any], document: dict[str, Any]
) -> None:
    whole = {"name": "lorasmith:expression-of-the-parts", "value": verdict["expression"]}
    for said, licence in (("", None), ("MIT", {"id": "MIT"}), ("openrail++", {"name": load().licenses["openrail++"].name})):
        made = bom.bom(verdict, replace(WORK, adapter_license=said))
        bom.require_valid(made)
        root = made["metadata"]["component"]
        assert root.get("licenses") == ([{"license": {**licence, "acknowledgement": "declared"}}] if licence else None)
        assert whole in made["metadata"]["properties"]


def test_the_app_and_what_it_installs_are_components(verdict: dict[str, Any], document: dict[str, Any]) -> None:
    assert not {"application", "library"} & {part["type"] for part in document["components"]}
    made = bom.bom(verdict, WORK, requirements=["fal==1.2.3", "Some_Thing==4"])
    bom.require_valid(made)
    added = {part["bom-ref"]: part for part in made["components"] if part["type"] in ("application", "library")}
    assert list(added) == ["app", "pkg:pypi/fal@1.2.3", "pkg:pypi/some-thing@4"]
    assert (added["app"]["name"], added["pkg:pypi/fal@1.2.3"]["purl"]) == ("clay", "pkg:pypi/fal@1.2.3")
    rests = {one["ref"]: one.get("dependsOn", []) for one in made["dependencies"]}
    assert rests["app"] == ["adapter", "pkg:pypi/fal@1.2.3", "pkg:pypi/some-thing@4"]
    assert bom.MODULE == APP_FOLDER


def test_each_hash_says_what_it_is_taken_over(document: dict[str, Any]) -> None:
    for part in (
        document["metadata"]["component"],
        *document["components"],
        *document["metadata"]["component"]["pedigree"]["ancestors"],
    ):
        said = [one["value"] for one in part["properties"] if one["name"] == "lorasmith:sha256_of"]
        assert len(said) == len(part.get("hashes", []))


def test_one_id_in_two_roles_is_two_components() -> None:
    nodes = [asset("apache-2.0"), asset("apache-2.0", role="vae"), asset("mit", role="vae")]
    document = bom.bom(verdict_of(nodes), WORK)
    bom.require_valid(document)
    assert [part["bom-ref"] for part in document["components"]] == ["base:made/base", "vae:made/base", "vae:made/base#2"]


def test_every_spdx_id_of_the_facts_is_one_and_all_others_are_references() -> None:
    licences = load().licenses
    whole = expression([*licences, "own", None], licences)
    unknown = get_spdx_licensing().unknown_license_keys(whole)
    assert unknown
    assert all(key.startswith("LicenseRef-") for key in unknown)
    assert len(whole.split(" AND ")) == len(licences)
    assert spdx_of("openrail++", licences) == "LicenseRef-openrail-plus-plus"
    assert expression(["own", None], licences) == ""
