"""Caps, registrations and copyleft against publisher profiles; the catalogue's rows as they have to come out."""

import hashlib
from datetime import date
from pathlib import Path

import pytest

from licenses.catalogue import PAID_USES, RANK, USES, load
from licenses.check import check
from licenses.evidence import TextFile
from licenses.node import Node
from licenses.policy import decide, passes_on_paper
from licenses.publisher import Publisher, load_publisher
from tests.licenses.conftest import APACHE
from tests.licenses.loopback_hub import COMMIT, LoopbackHub
from tests.licenses.signing import ADA, STUDIO, filed, made, trusting
from tests.licenses.test_folder import GOOD

DAY = date(2026, 11, 22)
SMALL = {"revenue_usd_ttm": 1000, "affiliates_revenue_usd_ttm": 0, "monthly_users": 100}
BARRED = [
    "black-forest-labs/FLUX.1-dev",
    "black-forest-labs/FLUX.1-Kontext-dev",
    "black-forest-labs/FLUX.1-Fill-dev",
    "black-forest-labs/FLUX.1-Krea-dev",
    "black-forest-labs/FLUX.2-dev",
    "black-forest-labs/FLUX.2-klein-9B",
    "black-forest-labs/FLUX.2-klein-base-9B",
    "stabilityai/sdxl-turbo",
    "stabilityai/sd-turbo",
    "stabilityai/stable-cascade",
    "runwayml/stable-diffusion-v1-5",
    "DeepFloyd/IF-I-XL-v1.0",
    "tencent/HunyuanImage-3.0",
    "Qwen/Qwen-Image-2.1",
    "callgg/qwen2.5-vl-3b-it-bf16",
    "Efficient-Large-Model/Sana_1600M_1024px_diffusers",
    "OmniGen2/OmniGen2",
    "Laxhar/noobai-XL-1.0",
    "AstraliteHeart/pony-diffusion-v6",
    "RunDiffusion/Juggernaut-XL-v9",
    "thompa/roothcomfy",
    "XLabs-AI/flux-ip-adapter-v2",
    "Ashen3/SNOFS",
    "tianweiy/DMD2",
    "ByteDance/Hyper-SD",
    "briaai/FIBO",
    "openai/clip-vit-large-patch14",
    "MiniMaxAI/MiniMax-H3",
    "Lightricks/LTX-2",
]


def by_license(license: str, **fields: object) -> dict[str, str]:
    node = Node(id="a/base", role="base", license=license, identified_by="exact text")
    return {use: said.verdict for use, said in decide([node], load_publisher(fields), load(), as_of=DAY).items()}


@pytest.mark.parametrize("repo", [*BARRED, *(one.upper() for one in BARRED[:6])])
def test_a_barred_base_stays_barred_for_everybody(no_network: None, repo: str) -> None:
    registered = ["stability-community", "kolors", "cogvideox"]
    rich = load_publisher(SMALL | {"registrations": registered, "publish_weights": True, "adapter_license": "faipl-1.0-sd"})
    for publisher in (Publisher(), rich):
        verdict = check(repo, publisher=publisher)
        assert verdict.exit_code == 3
        assert all(verdict.uses[use].reasons for use in PAID_USES)


@pytest.mark.parametrize(
    ("license", "fields", "verdict"),
    [
        ("stability-community", {}, "conditional"),
        ("stability-community", SMALL, "conditional"),
        ("stability-community", SMALL | {"registrations": ["stability-community"]}, "duties"),
        ("stability-community", SMALL | {"registrations": ["STABILITY-COMMUNITY"], "revenue_usd_ttm": 999_999}, "duties"),
        ("stability-community", SMALL | {"registrations": ["stability-community"], "revenue_usd_ttm": 1_000_000}, "block"),
        ("stability-community", SMALL | {"registrations": ["stability-community"], "affiliates_revenue_usd_ttm": 2e6}, "block"),
        ("stability-community", {"registrations": ["stability-community"], "revenue_usd_ttm": 5}, "conditional"),
        ("stability-community", SMALL | {"registrations": ["kolors"]}, "conditional"),
        ("kolors", SMALL, "conditional"),
        ("kolors", SMALL | {"registrations": ["kolors"]}, "duties"),
        ("cogvideox", {"registrations": ["cogvideox"], "monthly_users": 1_000_001}, "block"),
        ("cogvideox", SMALL | {"registrations": ["cogvideox"]}, "conditional"),
        ("cogvideox", SMALL | {"registrations": [{"id": "cogvideox", "date": DAY, "proof": "confirmation.eml"}]}, "duties"),
        ("kolors", SMALL | {"registrations": [{"id": "kolors", "date": "2026-11-23", "proof": "mail.eml"}]}, "conditional"),
        ("kolors", SMALL | {"registrations": [{"id": "kolors", "date": "2026-11-23", "proof": "mail.eml"}, "kolors"]}, "duties"),
        ("krea-2-community", SMALL, "duties"),
        ("krea-2-community", SMALL | {"content_filters": False}, "block"),
        ("nvidia-open-model", {}, "duties"),
        ("nvidia-open-model", {"content_filters": False}, "block"),
        ("qwen-license", {}, "conditional"),
        ("qwen-license", {"monthly_users": 5}, "duties"),
        ("qwen-license", {"monthly_users": 200_000_000}, "block"),
        ("faipl-1.0-sd", {}, "conditional"),
        ("faipl-1.0-sd", {"publish_weights": True}, "conditional"),
        ("faipl-1.0-sd", {"publish_weights": True, "adapter_license": "mit"}, "conditional"),
        ("faipl-1.0-sd", {"publish_weights": True, "adapter_license": "faipl-1.0-sd"}, "duties"),
        ("agpl-3.0", {"publish_weights": True, "adapter_license": "AGPL-3.0-only"}, "duties"),
        ("cc-by-sa-4.0", {"publish_weights": True, "adapter_license": "mit"}, "duties"),
        ("civitai-flags", SMALL, "conditional"),
        ("tencent-hunyuan-community", SMALL, "block"),
        ("tencent-hunyuan-community", SMALL | {"territories": ["US"], "geofence": ["EU", "GB", "KR"]}, "block"),
        ("ltx-2-community", SMALL, "block"),
        ("openrail", SMALL, "block"),
        ("apache-2.0", {}, "duties"),
        ("openrail++", {}, "duties"),
        ("cc0-1.0", {}, "allow"),
        ("cc-by-nd-4.0", SMALL, "block"),
    ],
)
def test_paid_hosting_by_licence_and_profile(license: str, fields: dict[str, object], verdict: str) -> None:
    assert by_license(license, **fields)["host_paid_inference"] == verdict


@pytest.mark.parametrize(
    ("license", "fields", "verdict", "code"),
    [
        ("cc-by-sa-4.0", {}, "duties", "licensed"),
        ("cc-by-sa-4.0", {"publish_weights": True}, "conditional", "share_alike_open"),
        ("cc-by-sa-4.0", {"publish_weights": True, "adapter_license": "CC-BY-SA-4.0"}, "duties", "licensed"),
        ("cc-by-sa-4.0", {"adapter_license": "mit"}, "block", "share_alike_broken"),
        ("faipl-1.0-sd", {"adapter_license": "fair-ai-public-license-1.0-sd"}, "duties", "licensed"),
        ("cc-by-nc-4.0", {"publish_weights": True, "adapter_license": "cc-by-nc-4.0"}, "conditional", "free_only"),
        ("cc-by-nd-4.0", {}, "block", "license_forbids"),
        ("tencent-hunyuan-community", SMALL, "block", "license_forbids"),
    ],
)
def test_giving_the_adapter_away(license: str, fields: dict[str, object], verdict: str, code: str) -> None:
    node = Node(id="a/base", role="base", license=license, identified_by="exact text")
    said = decide([node], load_publisher(fields), load(), as_of=DAY)["distribute_adapter"]
    assert said.verdict == verdict
    assert code in {reason.code for reason in said.reasons}


def test_weights_that_have_to_be_offered_under_two_licences_can_not_be_hosted() -> None:
    base = Node(id="a/base", role="base", license="faipl-1.0-sd", identified_by="exact text")
    pictures = Node(id="pictures", role="dataset", license="cc-by-sa-4.0", identified_by="dataset.yaml")
    open_weights = load_publisher({"publish_weights": True, "adapter_license": "faipl-1.0-sd"})
    assert decide([base], open_weights, load(), as_of=DAY)["host_paid_inference"].verdict == "duties"
    said = decide([base, pictures], open_weights, load(), as_of=DAY)["host_paid_inference"]
    assert said.verdict == "conditional"
    assert "share_alike_broken" in {reason.code for reason in said.reasons}


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf"), -1.0, -1e-9, 1e6, 1e300])
def test_a_number_that_can_not_be_is_over_every_cap(value: float) -> None:
    """Also where somebody goes round the checks of publisher.yaml."""
    stated = {"revenue_usd_ttm": value, "affiliates_revenue_usd_ttm": 0, "registrations": ("stability-community",)}
    profile = Publisher.model_construct(**Publisher().model_dump() | stated)
    node = Node(id="a/base", role="base", license="stability-community", identified_by="exact text")
    assert decide([node], profile, load(), as_of=DAY)["train_adapter"].verdict == "block"


@pytest.mark.parametrize("told_by", ["nothing", "tag", "catalogue"])
def test_a_licence_without_evidence_never_passes(told_by: str) -> None:
    node = Node(id="a/base", role="base", license="apache-2.0", identified_by=told_by)
    said = decide([node], Publisher(), load(), as_of=DAY)
    assert all(said[use].verdict not in ("allow", "duties") and said[use].reasons for use in USES)


def test_a_quote_names_the_file_only_where_it_was_taken_from_that_text() -> None:
    clauses = load().licenses["flux-1-dev-nc"].clauses
    text = TextFile(path="LICENSE.md", kind="license", text="...", sha256="ab" * 32)
    for hash, file in ((clauses[0].text_hash, "LICENSE.md"), ("0" * 64, None)):
        node = Node(id="a/b", role="base", license="flux-1-dev-nc", identified_by="exact text", text=text, text_hash=hash)
        (reason,) = decide([node], Publisher(), load(), as_of=DAY)["train_adapter"].reasons
        assert reason.quote == clauses[0].quote
        assert reason.file == file
        assert reason.sha256 == (text.sha256 if file else None), "a hash of no file of the asset can not be signed for"
        assert reason.known_text == (None if file else clauses[0].text_hash)


def test_conditions_that_a_profile_settles_are_conditions_that_are_checked() -> None:
    for licence in load().licenses.values():
        facts = (licence.revenue_cap_usd, licence.users_cap, licence.registration)
        for use in licence.by_profile:
            assert licence.verdict[use] == "conditional", (licence.id, use)
            assert any(facts) or licence.filters or licence.public_weights, licence.id


def test_a_waiver_that_counts_is_held_against_the_repository_that_the_catalogue_bars(hub: LoopbackHub, tmp_path: Path) -> None:
    repo = "OmniGen2/OmniGen2"
    hub.add(repo, GOOD, card_data={"license": "apache-2.0"})
    assert check(repo, as_of=DAY).exit_code == 3
    assert hub.requests == []
    text = hashlib.sha256(APACHE.encode()).hexdigest()
    signed = {use: made(repo=repo, revision=COMMIT, text_sha256=text, use=use) for use in PAID_USES}
    given = [filed(folder_of(tmp_path / use), waiver) for use, waiver in signed.items()]
    publisher = STUDIO.model_copy(update={"waivers": tuple(map(str, given))})
    said = check(repo, publisher=publisher, trust=trusting(ADA), as_of=DAY)
    assert said.exit_code == 0, said.uses
    assert {"waived"} <= {reason.code for reason in said.uses["train_adapter"].reasons}
    assert check(repo, publisher=publisher, as_of=DAY).exit_code == 3
    assert check(repo, publisher=publisher, trust=trusting(ADA), as_of=date(2028, 1, 1)).exit_code == 3


def folder_of(path: Path) -> Path:
    path.mkdir()
    return path


def test_no_profile_loosens_a_use_beyond_its_row() -> None:
    generous = SMALL | {"registrations": list(load().licenses), "publish_weights": True, "geofence": ["EU", "GB", "KR", "US"]}
    for licence in load().licenses.values():
        said = by_license(licence.id, **generous, adapter_license=licence.id)
        for use in USES:
            if licence.verdict[use] in ("block", "unclear"):
                assert said[use] == "block", (licence.id, use)


def test_silence_never_passes_a_condition() -> None:
    for licence in load().licenses.values():
        said = by_license(licence.id)
        for use in PAID_USES:
            if licence.verdict[use] == "conditional":
                assert RANK[said[use]] >= RANK["conditional"], (licence.id, use)


def test_the_worst_node_decides_and_duties_add_up() -> None:
    nodes = [Node(id=name, role="base", license=name, identified_by="exact text") for name in ("apache-2.0", "openrail++")]
    said = decide(nodes, Publisher(), load(), as_of=DAY)["host_paid_inference"]
    assert said.verdict == "duties"
    assert {"FLOWDOWN", "LICENSE_COPY", "STATE_CHANGES", "KEEP_NOTICES"} == set(said.duties)
    nodes.append(Node(id="x", role="ancestor", license="cc-by-nc-4.0", identified_by="exact text"))
    assert decide(nodes, Publisher(), load(), as_of=DAY)["host_paid_inference"].verdict == "block"


def test_a_node_without_a_licence_and_an_empty_graph_block() -> None:
    assert decide([], Publisher(), load(), as_of=DAY)["train_adapter"].verdict == "block"
    nobody = Node(id="x", role="base", license=None, identified_by="nothing")
    assert decide([nobody], Publisher(), load(), as_of=DAY)["train_adapter"].verdict == "block"


def test_waivers_are_named_void(no_network: None) -> None:
    verdict = check("black-forest-labs/FLUX.1-dev", publisher=load_publisher({"waivers": ["waiver.yaml"]}))
    assert verdict.verdict == "block"
    assert "waiver_void" in {reason.code for reason in verdict.uses["train_adapter"].reasons}


@pytest.mark.parametrize("repo", ["black-forest-labs/FLUX.1-dev", "stabilityai/stable-diffusion-3.5-large", "tencent/HunyuanVideo"])
def test_every_alternative_passes_on_paper_and_is_of_the_kind(no_network: None, repo: str) -> None:
    offered, row = check(repo, as_of=DAY).alternatives, load().model(repo)
    assert offered
    assert row is not None
    for one in offered:
        model = load().model(one)
        assert model is not None
        assert model.kind == row.kind
        assert passes_on_paper(model, Publisher(), load())
