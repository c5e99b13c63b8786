"""Answers of a Hub that are odd, cut, endless or lead away: each is a block with its own reason, and none is ever remembered."""

from pathlib import Path

import pytest

from licenses.check import check
from licenses.hub import HttpHub
from tests.licenses.loopback_hub import LoopbackHub
from tests.licenses.test_folder import GOOD
from tests.licenses.test_hub import codes


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ("compressed", "hub_compressed"),
        ("another port", "hub_other_host"),
        ("another scheme", "hub_other_host"),
        ("loop", "hub_redirects"),
        ("nowhere", "hub_bad_answer"),
        ("no reason", "hub_refused"),
        ("no reason given", "hub_not_found"),
        ("teapot", "hub_bad_answer"),
        ("gone", "hub_file_gone"),
        ("endless", "file_too_large"),
        ("short", "hub_cut_short"),
        ("broken", "hub_error"),
        ("throttled", "hub_rate_limited"),
        ("disabled", "hub_disabled"),
        ("gated", "hub_gated"),
        ("missing", "hub_not_found"),
    ],
)
def test_an_odd_answer_has_its_own_reason_and_is_not_remembered(hub: LoopbackHub, fault: str, code: str, tmp_path: Path) -> None:
    hub.add("a/odd", GOOD, fault=fault)
    assert code in codes(check("a/odd", keep=tmp_path))
    hub.add("a/odd", GOOD)
    assert check("a/odd", keep=tmp_path).exit_code == 0
    hub.add("a/odd", GOOD, fault="missing")
    assert "hub_not_found" in codes(check("a/odd", keep=tmp_path))


def test_deleted_and_private_look_the_same_and_the_reason_says_so(hub: LoopbackHub) -> None:
    said = check("a/nowhere").uses["train_adapter"].reasons[0].text
    assert "deleted" in said
    assert "private" in said


def test_a_hub_without_tls_where_tls_is_asked_for(hub: LoopbackHub) -> None:
    assert codes(check("a/base", hub=HttpHub(endpoint=hub.address.replace("http://", "https://")))) == {"hub_tls_failed"}


@pytest.mark.parametrize(
    ("api", "code"),
    [
        ({"disabled": True}, "hub_disabled"),
        ({"sha": None}, "hub_bad_answer"),
        ({"siblings": [{"rfilename": "../LICENSE"}]}, "hub_bad_answer"),
        ({"siblings": None}, "hub_bad_answer"),
        ({"id": "a/b/c"}, "hub_bad_answer"),
        ({"cardData": ["apache-2.0"]}, "hub_bad_answer"),
        ({"cardData": {}}, "tag_contradicts_hub"),
        ({"cardData": {"license": ["apache-2.0", "mit"]}}, "tag_contradicts_hub"),
        ({"cardData": {"license": "apache-2.0", "license_name": "house-rules"}}, "tag_contradicts_hub"),
        ({"tags": ["license:mit"]}, "tag_contradicts_hub"),
        ({"cardData": {"license": "apache-2.0", "base_model": "b/root"}}, "parents_contradict_hub"),
        ({"tags": ["base_model:b/root", "base_model:quantized:b/root"]}, "parents_contradict_hub"),
        ({"baseModels": {"relation": "finetune", "models": [{"id": "b/root"}]}}, "hub_not_found"),
        ({"baseModels": ["black-forest-labs/FLUX.1-dev"]}, "non_commercial"),
    ],
)
def test_what_the_hub_says_beside_the_card_counts(hub: LoopbackHub, api: dict[str, object], code: str) -> None:
    hub.add("a/base", GOOD, api=api)
    assert code in codes(check("a/base"))


def test_a_gate_whose_terms_were_accepted_is_told_and_stops_nothing(hub: LoopbackHub) -> None:
    hub.add("a/base", GOOD, api={"gated": "auto", "private": True, "tags": ["license:apache-2.0", "diffusers"]})
    verdict = check("a/base")
    assert verdict.exit_code == 0
    assert verdict.nodes[0]["gated"] is True


def test_a_new_name_is_told_and_blocks_until_it_is_written(hub: LoopbackHub) -> None:
    hub.add("a/old", GOOD, name="b/new")
    hub.add("b/new", GOOD)
    verdict = check("a/old")
    assert codes(verdict) == {"hub_renamed"}
    assert "b/new" in verdict.uses["train_adapter"].reasons[0].text
    assert check("b/new").exit_code == 0
    assert check("B/NEW").exit_code == 0
