"""A local base by its own evidence: exact text and agreeing tag pass, everything else says why not."""

import json
import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from licenses.check import check
from licenses.errors import BadReference
from tests.licenses.conftest import APACHE, ROOT, FolderOf
from tests.licenses.test_identify import MIT_BODY

Files = Mapping[str, str | bytes]
INDEX = json.dumps(
    {"_class_name": "ZImagePipeline", "vae": ["diffusers", "AutoencoderKL"], "text_encoder": ["transformers", "Qwen3Model"]}
)


def card(front: str, body: str = "A small model.") -> str:
    return f"---\n{front}\n---\n{body}\n"


GOOD: Files = {
    "README.md": card("license: apache-2.0"),
    "LICENSE": APACHE,
    "model_index.json": INDEX,
    "vae/config.json": '{"_class_name": "AutoencoderKL", "_name_or_path": "../vae"}',
    "text_encoder/config.json": "{}",
}


def test_the_base_of_the_demo_passes_by_its_own_text(no_network: None) -> None:
    verdict = check(ROOT / "examples/base").as_json()
    assert verdict["verdict"] in ("allow", "duties")
    base = verdict["nodes"][0]
    assert (base["license"], base["identified_by"], base["role"]) == ("apache-2.0", "exact text", "base")
    assert {node["identified_by"] for node in verdict["nodes"][1:]} == {"covered by the base"}


def test_a_clean_folder_passes_with_duties_and_its_text(folder: FolderOf, no_network: None) -> None:
    verdict = check(folder(GOOD))
    said = verdict.as_json()
    assert verdict.exit_code == 0
    assert said["uses"]["host_paid_inference"]["verdict"] == "duties"
    assert set(said["uses"]["host_paid_inference"]["duties"]) == {"LICENSE_COPY", "STATE_CHANGES", "KEEP_NOTICES"}
    assert [(one["file"], one["text"]) for one in said["notices"]] == [("LICENSES/apache-2.0.txt", APACHE)]
    assert {node["role"] for node in said["nodes"]} == {"base", "vae", "text_encoder"}


@pytest.mark.parametrize(
    ("change", "codes"),
    [
        pytest.param({"README.md": None, "LICENSE": None}, {"license_missing"}, id="no licence at all"),
        pytest.param({"LICENSE": None}, {"license_text_missing"}, id="a tag without a text"),
        pytest.param({"LICENSE": ""}, {"text_empty"}, id="an empty text"),
        pytest.param({"LICENSE": APACHE + "\nNo commercial use."}, {"text_unknown"}, id="an altered text"),
        pytest.param({"LICENSE": b"\xff\xfe" + APACHE.encode("utf-16-le")}, {"text_not_utf8"}, id="a text that is not UTF-8"),
        pytest.param({"LICENSE": "a" * 600_000}, {"file_too_large"}, id="a huge text"),
        pytest.param({"README.md": card("license: cc-by-nc-4.0")}, {"tag_contradicts_text"}, id="a stricter tag"),
        pytest.param({"README.md": card("license: mit")}, {"tag_contradicts_text"}, id="another permissive tag"),
        pytest.param({"README.md": card("license: unknown")}, {"tag_contradicts_text"}, id="the tag unknown"),
        pytest.param({"README.md": card("license: my-licence")}, {"tag_unknown"}, id="a tag that nobody knows"),
        pytest.param({"README.md": card("license: other"), "LICENSE": None}, {"license_text_missing"}, id="other without a text"),
        pytest.param(
            {"README.md": card("license: other\nlicense_name: flux-1-dev-non-commercial-license")},
            {"tag_contradicts_text"},
            id="other, FLUX",
        ),
        pytest.param(
            {"README.md": card("license: apache-2.0\nlicense_name: flux-1-dev-non-commercial-license")},
            {"tag_contradicts_name"},
            id="apache by the name of FLUX",
        ),
        pytest.param(
            {"README.md": card("license: other\nlicense_name: house-rules")},
            {"license_name_unknown"},
            id="a name that nobody knows",
        ),
        pytest.param(
            {"README.md": card("license: apache-2.0\nlicense_link: https://hub/black-forest-labs/FLUX.1-dev/LICENSE")},
            {"link_contradicts"},
            id="a link to the FLUX licence",
        ),
        pytest.param({"README.md": card("license: [apache-2.0, mit]")}, {"tag_ambiguous"}, id="two tags"),
        pytest.param({"README.md": card("license: yes")}, {"card_invalid"}, id="a boolean tag"),
        pytest.param({"README.md": card("license: apache-2.0", "x" * (1 << 20))}, {"file_too_large"}, id="a huge card"),
        pytest.param({"readme.md": card("license: cc-by-nc-4.0")}, {"card_ambiguous"}, id="two cards"),
        pytest.param({"MODEL_LICENSE": "House rules"}, {"text_unknown"}, id="a second text that nobody knows"),
        pytest.param({"LICENSE-MODEL.md": MIT_BODY}, {"texts_disagree"}, id="two texts"),
        pytest.param({"LICENSE.nc": "For fun."}, {"text_unknown"}, id="a text under an odd ending"),
        pytest.param({"weights/LICENSE.txt": "For fun."}, {"text_unknown"}, id="a text deeper down"),
        pytest.param({"LICENSE.pdf": b"%PDF-1.7"}, {"text_not_plain"}, id="a PDF beside it"),
        pytest.param({"USE_POLICY.md": "Be kind."}, {"text_unknown"}, id="a use policy beside it"),
        pytest.param({"vae/LICENSE": "For research."}, {"text_unknown"}, id="a component with its own text"),
        pytest.param({"vae/README.md": card("license: cc-by-nc-4.0")}, {"component_tag"}, id="a component with its own tag"),
        pytest.param({"model_index.json": "{broken"}, {"json_invalid"}, id="a broken index"),
        pytest.param(
            {"model_index.json": INDEX.replace("Qwen3Model", "Gemma2Model")},
            {"component_license"},
            id="a Gemma encoder under Apache",
        ),
        pytest.param(
            {"text_encoder/config.json": '{"model_type": "gemma2"}'}, {"component_license"}, id="a Gemma encoder by its config"
        ),
        pytest.param(
            {"model_index.json": '{"../vae": ["diffusers", "AutoencoderKL"]}'}, {"json_invalid"}, id="a role that leaves the folder"
        ),
        pytest.param({"LICENSE\n**.txt": "x"}, {"text_unknown"}, id="a file name with a line break"),
        pytest.param({os.fsdecode(b"LICENSE\xff.txt"): "x"}, {"text_unknown"}, id="a file name that is not UTF-8"),
        pytest.param(
            {"README.md": card("license: apache-2.0", "Do not host it as a service.")}, {"card_body_restricts"}, id="no hosting"
        ),
        pytest.param(
            {"model_index.json": INDEX.replace("{", '{"_name_or_path": "black-forest-labs/FLUX.1-dev", ', 1)},
            {"non_commercial"},
            id="saved from FLUX.1-dev",
        ),
        pytest.param(
            {"vae/config.json": '{"_name_or_path": "/c/models--black-forest-labs--FLUX.2-dev/snapshots/ab"}'},
            {"non_commercial"},
            id="a part from a cache of FLUX.2-dev",
        ),
        pytest.param(
            {"README.md": card("license: apache-2.0\nbase_model: black-forest-labs/FLUX.1-dev")},
            {"non_commercial"},
            id="laundering",
        ),
        pytest.param(
            {"README.md": card("license: apache-2.0\nbase_model: [a b]")}, {"ancestor_unresolved"}, id="a parent that is no id"
        ),
        pytest.param(
            {"README.md": card("license: apache-2.0\nbase_model: ../FLUX.1-dev")}, {"ancestor_unresolved"}, id="a parent as a path"
        ),
        pytest.param(
            {"adapter_config.json": '{"base_model_name_or_path": "Black-Forest-Labs/flux.1-DEV"}'},
            {"non_commercial"},
            id="an adapter of FLUX",
        ),
        pytest.param(
            {"README.md": card("license: apache-2.0", "This model is not permitted to be used behind API services.")},
            {"card_body_restricts"},
            id="a ban in the body",
        ),
        pytest.param(
            {"README.md": card("license: apache-2.0\nextra_gated_prompt: For **non-commercial** use only.")},
            {"card_body_restricts"},
            id="a ban in the gate",
        ),
    ],
)
def test_what_does_not_hold_is_a_block_with_its_reason(
    folder: FolderOf, no_network: None, change: dict[str, str | None], codes: set[str]
) -> None:
    files = {name: content for name, content in ({**GOOD} | change).items() if content is not None}
    verdict = check(folder(files))
    paid = [verdict.uses[use] for use in ("train_adapter", "host_paid_inference")]
    assert verdict.exit_code == 3
    assert [one.verdict for one in paid] == ["block", "block"]
    assert codes <= {reason.code for one in paid for reason in one.reasons}
    assert json.dumps(verdict.as_json(), ensure_ascii=False).encode()
    assert all(reason.text and "\n" not in reason.text for one in paid for reason in one.reasons)


@pytest.mark.parametrize(
    ("change", "license"),
    [
        pytest.param({"README.md": None}, "apache-2.0", id="a text without a card"),
        pytest.param({"README.md": card("license: other")}, "apache-2.0", id="other with a text that says which"),
        pytest.param({"README.md": card("license: Apache-2.0")}, "apache-2.0", id="the SPDX spelling"),
        pytest.param({"NOTICE": "Noto, Copyright 2013 Google"}, "apache-2.0", id="with a notice"),
        pytest.param({"README.md": card("license: mit"), "LICENSE": None, "COPYING": MIT_BODY}, "mit", id="mit in COPYING"),
        pytest.param(
            {"README.md": card("license: apache-2.0", "No restrictions on commercial use.")}, "apache-2.0", id="harmless prose"
        ),
    ],
)
def test_what_holds_passes(folder: FolderOf, no_network: None, change: dict[str, str | None], license: str) -> None:
    files = {name: content for name, content in ({**GOOD} | change).items() if content is not None}
    verdict = check(folder(files))
    assert verdict.exit_code == 0
    assert verdict.nodes[0]["license"] == license


def test_a_component_behind_a_link_is_not_followed_and_not_forgotten(folder: FolderOf, no_network: None) -> None:
    place, elsewhere = folder({"README.md": GOOD["README.md"], "LICENSE": APACHE}), folder({"LICENSE": "For research."})
    (place / "vae").symlink_to(elsewhere)
    assert {reason.code for reason in check(place).uses["train_adapter"].reasons} == {"folder_linked"}


def test_a_folder_by_the_name_of_a_barred_model_is_that_model(folder: FolderOf, no_network: None) -> None:
    place = folder(GOOD)
    renamed = place.rename(place.with_name("FLUX.1-dev-fp8"))
    assert "copy_of_barred" in {reason.code for reason in check(renamed).uses["train_adapter"].reasons}


def test_a_known_id_is_not_hidden_by_a_folder_of_its_name(
    folder: FolderOf, no_network: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {f"black-forest-labs/FLUX.1-dev/{name}": content for name, content in GOOD.items()}
    monkeypatch.chdir(folder(files))
    assert check("black-forest-labs/FLUX.1-dev").verdict == "block"


def test_the_verdict_knows_no_place_and_no_clock(folder: FolderOf, no_network: None, tmp_path: Path) -> None:
    first = folder(GOOD)
    (tmp_path / "elsewhere").mkdir()
    second = tmp_path / "elsewhere" / first.name
    os.rename(folder(GOOD), second)
    one, two = check(first, as_of="2026-11-01").as_json(), check(second, as_of="2026-12-31").as_json()
    assert one["hash"] == two["hash"]
    assert (one["as_of"], two["as_of"]) == ("2026-11-01", "2026-12-31")
    (second / "LICENSE").write_text(APACHE + " ")
    assert check(second).as_json()["hash"] != one["hash"]


@pytest.mark.parametrize(
    "written", ["", " ", "/no/such/folder", "FLUX.1-dev", "a/b/c", "a /b", "https://hub.example/a/b", "ａ/b", "hf://", "a/b\n"]
)
def test_a_name_that_can_be_nothing_is_refused_in_one_line(written: str) -> None:
    with pytest.raises(BadReference) as refused:
        check(written)
    assert "\n" not in str(refused.value)
    assert refused.value.exit_code == 2
