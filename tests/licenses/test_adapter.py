"""The rights of an adapter from elsewhere: the job's word counts, its header can only tighten, a base that it names binds it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from licenses import notices
from licenses.adapter import Adapter
from licenses.check import check
from tests.licenses.conftest import APACHE, ROOT, FolderOf


def checked(folder: Path, license: str | None, header: Mapping[str, str] | None = None) -> dict[str, Any]:
    adapter = Adapter(path=folder / "style.safetensors", license=license, metadata=header or {})
    return check(ROOT / "examples/base", adapter=adapter).as_json()


def codes(verdict: Mapping[str, Any]) -> set[str]:
    return {reason["code"] for use in verdict["uses"].values() for reason in use["reasons"] if use["verdict"] == "block"}


def test_an_adapter_of_ones_own_needs_no_text(folder: FolderOf, no_network: None, tmp_path: Path) -> None:
    verdict = checked(folder({}), "own")
    assert verdict["verdict"] in ("allow", "duties")
    (node,) = (node for node in verdict["nodes"] if node["role"] == "adapter")
    assert (node["id"], node["license"]) == ("style.safetensors", "own")
    assert "NOTICE" in notices.write(verdict, tmp_path / "notices")


def test_a_licensed_adapter_passes_with_its_text_beside_it(folder: FolderOf, no_network: None) -> None:
    verdict = checked(folder({"LICENSE": APACHE}), "apache-2.0", {"modelspec.license": "Apache-2.0"})
    assert verdict["verdict"] in ("allow", "duties")
    assert "This work contains style.safetensors, licensed under Apache License 2.0." in verdict["notice_lines"]


@pytest.mark.parametrize(
    ("files", "license", "header", "code"),
    [
        pytest.param({}, None, {}, "adapter_license_missing", id="nothing said"),
        pytest.param({}, None, {"modelspec.license": "apache-2.0"}, "adapter_license_missing", id="said by its header only"),
        pytest.param({}, "do-what-you-like", {}, "adapter_license_unknown", id="not in the catalogue"),
        pytest.param({}, "apache-2.0", {}, "license_text_missing", id="no text"),
        pytest.param({"LICENSE": "Ask me."}, "apache-2.0", {}, "license_text_missing", id="another text"),
        pytest.param(
            {"LICENSE": APACHE},
            "apache-2.0",
            {"modelspec.license": "cc-by-nc-4.0"},
            "adapter_license_contradicted",
            id="contradiction",
        ),
    ],
)
def test_what_is_not_shown_blocks(
    files: Mapping[str, str], license: str | None, header: Mapping[str, str], code: str, folder: FolderOf, no_network: None
) -> None:
    assert code in codes(checked(folder(files), license, header))


@pytest.mark.parametrize(
    ("files", "header", "code"),
    [
        pytest.param({}, {"modelspec.license": "cc-by-nc-4.0"}, "adapter_license_contradicted", id="a header that bars"),
        pytest.param({}, {"modelspec.usage_hint": "Non-commercial use only."}, "adapter_header_restricts", id="words of a header"),
        pytest.param({"README.md": "---\nlicense: cc-by-nc-4.0\n---\n"}, {}, "adapter_license_contradicted", id="a card beside it"),
        pytest.param({"README.md": "For non-commercial use only."}, {}, "card_body_restricts", id="words beside it"),
        pytest.param(
            {"README.md": "---\nbase_model: black-forest-labs/FLUX.1-dev\n---\n"}, {}, "non_commercial", id="a parent beside it"
        ),
        pytest.param(
            {"adapter_config.json": '{"base_model_name_or_path": "black-forest-labs/FLUX.1-dev"}'},
            {},
            "non_commercial",
            id="a config beside it",
        ),
        pytest.param(
            {},
            {"lora_adapter_metadata": '{"base_model_name_or_path": "black-forest-labs/FLUX.1-dev"}'},
            "non_commercial",
            id="a table in its header",
        ),
    ],
)
def test_what_is_said_to_be_own_and_bears_the_marks_of_others_blocks(
    files: Mapping[str, str], header: Mapping[str, str], code: str, folder: FolderOf, no_network: None
) -> None:
    assert code in codes(checked(folder(files), "own", header))


@pytest.mark.parametrize(
    "header",
    [
        {"ss_sd_model_name": "flux1-dev.safetensors"},
        {"ss_sd_model_name": "D:\\models\\flux1-dev.safetensors"},
        {"ss_sd_model_name": "black-forest-labs/FLUX.1-dev"},
        {"modelspec.architecture": "flux-1-dev/lora"},
        {"modelspec.merged_from": "my-style, flux1-dev-fp8"},
    ],
)
def test_a_barred_base_named_in_the_header_blocks_whatever_base_it_is_published_on(
    header: Mapping[str, str], folder: FolderOf, no_network: None
) -> None:
    verdict = checked(folder({}), "own", header)
    assert verdict["verdict"] == "block"
    assert "black-forest-labs/FLUX.1-dev" in {node["id"] for node in verdict["nodes"] if node["role"] == "ancestor"}


def test_a_base_named_by_its_file_that_nobody_bars_changes_nothing(folder: FolderOf, no_network: None) -> None:
    header = {"ss_sd_model_name": "/home/me/noto-tiny.safetensors", "modelspec.architecture": "z-image/lora"}
    assert checked(folder({}), "own", header)["verdict"] in ("allow", "duties")
