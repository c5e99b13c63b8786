"""Bases on the Hub: evidence from a real server on loopback, each refusal with its own reason, and nothing allowed unseen."""

import json
import time
from collections.abc import Mapping

import pytest

from licenses.check import check
from licenses.hub import HttpHub
from licenses.publisher import load_publisher
from tests.licenses.conftest import APACHE
from tests.licenses.loopback_hub import COMMIT, LoopbackHub
from tests.licenses.test_folder import GOOD, card

DAY = "2026-11-22"  # facts about repositories hold for 90 days
ALLOWED_ID = "black-forest-labs/FLUX.2-klein-base-4B"
Files = Mapping[str, str | bytes]


def codes(verdict: object) -> set[str]:
    return {reason.code for reason in verdict.uses["train_adapter"].reasons}  # type: ignore[attr-defined]


@pytest.mark.parametrize("repo", ["somebody/small-model", ALLOWED_ID, ALLOWED_ID.upper()])
def test_a_repository_with_the_exact_text_passes(hub: LoopbackHub, repo: str) -> None:
    hub.add(repo, GOOD, card_data={"license": "apache-2.0"})
    verdict = check(repo, as_of=DAY)
    assert verdict.exit_code == 0, verdict.uses
    assert verdict.nodes[0]["revision"] == COMMIT
    assert verdict.notices[0]["text"] == APACHE
    assert check(f"hf://{repo}@main", as_of=DAY).as_json()["hash"] == verdict.as_json()["hash"]


@pytest.mark.parametrize("repo", ["somebody/small-model", ALLOWED_ID])
@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ("missing", "hub_not_found"),
        ("gated", "hub_gated"),
        ("disabled", "hub_disabled"),
        ("broken", "hub_error"),
        ("throttled", "hub_rate_limited"),
        ("garbage", "hub_bad_answer"),
        ("elsewhere", "hub_other_host"),
        ("short", "hub_cut_short"),
    ],
)
def test_each_refusal_is_a_block_with_its_own_reason(hub: LoopbackHub, repo: str, fault: str, code: str) -> None:
    hub.add(repo, GOOD, fault=fault)
    verdict = check(repo)
    assert verdict.exit_code == 3
    assert code in codes(verdict)


def test_gated_files_block_though_the_listing_is_open(hub: LoopbackHub) -> None:
    hub.add("somebody/gated", GOOD, gated_files=True, card_data={"license": "apache-2.0"})
    assert {"hub_gated"} <= codes(check("somebody/gated"))


def test_a_hub_that_is_not_there_and_one_that_is_slow(hub: LoopbackHub) -> None:
    hub.add("somebody/slow", GOOD, fault="slow")
    started = time.monotonic()
    assert codes(check("somebody/slow", hub=HttpHub(timeout_s=0.2))) == {"hub_timeout"}
    assert codes(check(ALLOWED_ID, hub=HttpHub(endpoint="http://127.0.0.1:9"), as_of=DAY)) == {"hub_unreachable"}
    assert time.monotonic() - started < 3


def test_offline_is_asked_nothing_and_allows_nothing(hub: LoopbackHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert codes(check(ALLOWED_ID, as_of=DAY)) == {"hub_offline"}
    assert hub.requests == []


def test_a_barred_id_is_decided_without_a_request_at_once(hub: LoopbackHub, no_network: None) -> None:
    hub.add("black-forest-labs/FLUX.1-dev", GOOD)
    started = time.monotonic()
    verdict = check("black-forest-labs/FLUX.1-dev", as_of=DAY)
    assert time.monotonic() - started < 0.5
    reason = verdict.uses["train_adapter"].reasons[0]
    assert "section 1.c" in reason.text
    assert "for commercial use" in reason.quote
    assert "FLUX.1 [dev] Non-Commercial License" in reason.text
    assert verdict.alternatives[0] == ALLOWED_ID
    assert hub.requests == []


@pytest.mark.parametrize(
    ("files", "code"),
    [
        pytest.param({"README.md": card("license: apache-2.0")}, "license_text_missing", id="a tag alone"),
        pytest.param({"model_index.json": "{}"}, "license_missing", id="nothing"),
        pytest.param({**GOOD, "LICENSE": "House rules"}, "text_unknown", id="a text that nobody knows"),
        pytest.param({**GOOD, "README.md": card("license: cc-by-nc-4.0")}, "tag_contradicts_text", id="a stricter tag"),
        pytest.param({**GOOD, "README.md": b"---\nlicense: &a [*a]\n---\n"}, "card_invalid", id="a hostile card"),
        pytest.param({**GOOD, "README.md": card("license: apache-2.0", "y" * 1_100_000)}, "file_too_large", id="a huge card"),
    ],
)
@pytest.mark.parametrize("repo", ["somebody/small-model", ALLOWED_ID])
def test_evidence_that_does_not_hold_blocks_known_and_unknown_ids(hub: LoopbackHub, repo: str, files: Files, code: str) -> None:
    hub.add(repo, files)
    verdict = check(repo)
    assert verdict.exit_code == 3
    assert code in codes(verdict)


def test_another_licence_than_the_catalogue_knows_is_a_change_to_read(hub: LoopbackHub) -> None:
    hub.add("stabilityai/stable-diffusion-xl-base-1.0", GOOD)
    assert "license_changed" in codes(check("stabilityai/stable-diffusion-xl-base-1.0"))


def test_a_tag_on_the_hub_that_differs_from_the_card_blocks(hub: LoopbackHub) -> None:
    hub.add("somebody/two-faced", GOOD, card_data={"license": "cc-by-nc-4.0"})
    assert "tag_contradicts_hub" in codes(check("somebody/two-faced"))


def test_a_renamed_repository_is_judged_by_its_true_name(hub: LoopbackHub) -> None:
    hub.add("somebody/fresh-name", GOOD, name="black-forest-labs/FLUX.1-dev")
    verdict = check("somebody/fresh-name")
    assert "non_commercial" in codes(verdict)


@pytest.mark.parametrize(
    "repo", ["somebody/FLUX.1-dev", "somebody/flux1-dev-bnb-nf4", "x/Flux_1_Dev", "x/FLUX.2-klein-9B-copy", "x/Qwen-Image-2.1"]
)
def test_a_copy_under_the_name_of_a_barred_model_blocks(hub: LoopbackHub, repo: str) -> None:
    hub.add(repo, GOOD)
    assert "copy_of_barred" in codes(check(repo))


@pytest.mark.parametrize("repo", ["somebody/FLUX.1-schnell-mini", "somebody/klein-4B-emoji", "somebody/animated-z-image"])
def test_a_name_that_only_resembles_is_no_reason(hub: LoopbackHub, repo: str) -> None:
    hub.add(repo, GOOD)
    assert check(repo).exit_code == 0


def test_an_ancestor_is_read_and_its_block_is_inherited(hub: LoopbackHub) -> None:
    hub.add("a/child", {**GOOD, "README.md": card("license: apache-2.0\nbase_model: a/parent")})
    hub.add("a/parent", {**GOOD, "README.md": card("license: apache-2.0\nbase_model: [a/root]")})
    hub.add("a/root", GOOD)
    assert check("a/child").exit_code == 0
    assert [node["id"] for node in check("a/child").nodes if node["role"] == "ancestor"] == ["a/parent", "a/root"]
    hub.add("a/root", {"README.md": card("license: cc-by-nc-4.0")})
    assert {"non_commercial", "license_text_missing"} <= codes(check("a/child"))
    hub.repos.pop("a/root")
    assert "hub_not_found" in codes(check("a/child"))


def test_cycles_and_long_lines_of_ancestors_end_in_a_block(hub: LoopbackHub) -> None:
    hub.add("a/one", {**GOOD, "README.md": card("license: apache-2.0\nbase_model: a/two")})
    hub.add("a/two", {**GOOD, "README.md": card("license: apache-2.0\nbase_model: A/One")})
    assert "ancestor_cycle" in codes(check("a/one"))
    hub.add("a/self", {**GOOD, "README.md": card("license: apache-2.0\nbase_model: a/self")})
    assert "ancestor_cycle" in codes(check("a/self"))
    plain = {name: content for name, content in GOOD.items() if name in ("README.md", "LICENSE")}
    for number in range(14):
        hub.add(f"line/n{number}", {**plain, "README.md": card(f"license: apache-2.0\nbase_model: line/n{number + 1}")})
    assert "ancestors_too_many" in codes(check("line/n0"))
    assert len(hub.requests) < 120


def test_components_are_judged_and_replace_those_of_the_folder(hub: LoopbackHub) -> None:
    hub.add("a/base", {**GOOD, "model_index.json": json.dumps({"text_encoder": ["transformers", "Gemma2Model"]})})
    hub.add("a/encoder", GOOD)
    assert "component_license" in codes(check("a/base"))
    assert check("a/base", components={"text_encoder": "a/encoder"}).exit_code == 0
    assert check("a/base", components={"text_encoder": "Qwen/Qwen2.5-VL-3B-Instruct"}).exit_code == 3
    assert check("a/base", components={"text_encoder": "a/nowhere"}).exit_code == 3


def test_a_row_that_needs_a_component_says_which(hub: LoopbackHub) -> None:
    hub.add("HiDream-ai/HiDream-I1-Full", GOOD)
    publisher = load_publisher({"monthly_users": 10})
    assert "component_missing" in codes(check("HiDream-ai/HiDream-I1-Full", publisher=publisher))


def test_a_pinned_revision_is_kept_and_a_wrong_one_is_refused(hub: LoopbackHub) -> None:
    hub.add("a/base", GOOD)
    assert check("a/base", revision=COMMIT).nodes[0]["revision"] == COMMIT
    assert codes(check("a/base", revision="f" * 40)) == {"hub_revision_not_found"}


def test_a_dataset_on_the_hub_needs_its_text_too(hub: LoopbackHub) -> None:
    hub.add("a/base", GOOD)
    hub.add("a/pictures", {"README.md": card("license: apache-2.0"), "LICENSE": APACHE}, kind="dataset")
    hub.add("a/tagged", {"README.md": card("license: mit")}, kind="dataset")
    assert check("a/base", dataset="a/pictures").exit_code == 0
    assert "license_text_missing" in codes(check("a/base", dataset="a/tagged"))
    assert "hub_not_found" in codes(check("a/base", dataset="a/base-pictures"))


def test_no_token_leaves_for_another_host(hub: LoopbackHub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.add("a/elsewhere", GOOD, fault="elsewhere")
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    verdict = check("a/elsewhere")
    assert "hub_other_host" in codes(verdict)
    assert "hf_secret" not in json.dumps(verdict.as_json())
