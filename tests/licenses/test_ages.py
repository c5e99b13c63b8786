"""Facts about repositories hold for 90 days; an exact text in a folder of one's own holds for good. No test here knows today."""

from dataclasses import replace
from datetime import date, timedelta

import pytest

from licenses.ages import HOLDS, is_old
from licenses.alternatives import AGED, NONE_PASSES, alternatives, instead
from licenses.catalogue import PAID_USES, load
from licenses.check import check
from licenses.errors import BadReference
from licenses.node import Node
from licenses.policy import decide, passes_on_paper
from licenses.publisher import Publisher, load_publisher
from tests.licenses.conftest import ROOT

READ = date(2026, 11, 21)
LATER = date(2036, 11, 22)
SMALL = {"revenue_usd_ttm": 1, "affiliates_revenue_usd_ttm": 0, "monthly_users": 1}


def test_the_demo_passes_in_ten_years(no_network: None) -> None:
    said = check(ROOT / "examples/base", dataset=ROOT / "examples/emoji/pictures", as_of=LATER)
    assert said.exit_code == 0
    assert (
        said.as_json()["hash"]
        == check(ROOT / "examples/base", dataset=ROOT / "examples/emoji/pictures", as_of=READ).as_json()["hash"]
    )


@pytest.mark.parametrize(("days", "verdict"), [(0, "duties"), (90, "duties"), (91, "conditional"), (4000, "conditional")])
def test_a_row_holds_for_ninety_days(days: int, verdict: str) -> None:
    row = replace(load().models["qwen/qwen-image"], as_of=READ)
    node = Node(id=row.repo, role="base", license=row.license, identified_by="exact text", row=row)
    said = decide([node], Publisher(), load(), as_of=READ + timedelta(days=days))["host_paid_inference"]
    assert said.verdict == verdict
    assert ("facts_expired" in {reason.code for reason in said.reasons}) == (verdict == "conditional")


def test_an_expired_row_says_what_to_read_and_where_to_write_it() -> None:
    row = load().models["qwen/qwen-image"]
    node = Node(id=row.repo, role="base", license=row.license, identified_by="exact text", row=row)
    reasons = decide([node], Publisher(), load(), as_of=LATER)["train_adapter"].reasons
    text = next(reason.text for reason in reasons if reason.code == "facts_expired")
    for word in (row.repo, str(row.as_of), "licence files", "as_of", "licenses/facts/models.yaml"):
        assert word in text


def test_a_block_stays_a_block_when_its_facts_are_old() -> None:
    row = load().models["black-forest-labs/flux.1-dev"]
    node = Node(id=row.repo, role="base", license=row.license, identified_by="catalogue", row=row)
    for day in (READ, LATER):
        assert decide([node], Publisher(), load(), as_of=day)["host_paid_inference"].verdict == "block"


def test_a_licence_that_was_read_without_an_exact_text_grows_old() -> None:
    publisher = load_publisher(SMALL)
    for license, old in (("krea-2-community", "conditional"), ("qwen-license", "duties")):
        node = Node(id="a/base", role="base", license=license, identified_by="exact text")
        assert decide([node], publisher, load(), as_of=READ)["host_paid_inference"].verdict == "duties"
        assert decide([node], publisher, load(), as_of=LATER)["host_paid_inference"].verdict == old


def test_every_fact_says_when_it_was_read() -> None:
    facts = load()
    assert all(licence.as_of > date.min for licence in facts.licenses.values())
    assert all(model.as_of > date.min for model in facts.models.values())
    assert not is_old(READ, READ + HOLDS)
    assert is_old(READ, READ + HOLDS + timedelta(days=1))


FAR = [
    ("black-forest-labs/FLUX.1-dev", {}, ["black-forest-labs/FLUX.2-klein-base-4B", "Tongyi-MAI/Z-Image", "Qwen/Qwen-Image"]),
    ("black-forest-labs/FLUX.1-Kontext-dev", {}, ["black-forest-labs/FLUX.2-klein-base-4B", "Qwen/Qwen-Image-Edit-2511"]),
    ("tencent/HunyuanVideo", {}, ["Wan-AI/Wan2.1-T2V-14B", "Wan-AI/Wan2.2-T2V-A14B", "genmo/mochi-1-preview"]),
    (
        "stabilityai/stable-diffusion-3.5-large-turbo",
        SMALL | {"registrations": ["stability-community"]},
        ["stabilityai/stable-diffusion-3.5-large", "stabilityai/stable-diffusion-3.5-medium", "Tongyi-MAI/Z-Image"],
    ),
]


@pytest.mark.parametrize(("repo", "profile", "expected"), FAR)
def test_the_nearest_that_pass_for_this_publisher_come_first(repo: str, profile: dict[str, object], expected: list[str]) -> None:
    row, publisher = load().models[repo.casefold()], load_publisher(profile)
    base = Node(id=row.repo, role="base", license=row.license, identified_by="catalogue", row=row)
    assert list(alternatives(base, publisher, load(), READ)) == expected


@pytest.mark.parametrize("repo", sorted(load().models))
def test_no_alternative_is_the_base_itself_barred_old_or_distilled(repo: str) -> None:
    row = load().models[repo]
    base = Node(id=row.repo, role="base", license=row.license, identified_by="catalogue", row=row)
    for one in alternatives(base, Publisher(), load(), READ):
        model = load().models[one.casefold()]
        assert one != row.repo
        assert not model.distilled
        assert passes_on_paper(model, Publisher(), load(), as_of=READ)
    assert alternatives(base, Publisher(), load(), LATER) == ()


@pytest.mark.parametrize(
    ("pipeline", "kind"),
    [("FluxPipeline", "image"), ("FluxKontextPipeline", "edit"), ("WanPipeline", "video"), ("SomethingNewPipeline", "image")],
)
def test_a_base_that_nobody_knows_is_told_by_its_pipeline(pipeline: str, kind: str) -> None:
    base = Node(id="x/y", role="base", license=None, identified_by="nothing", pipeline=pipeline)
    models = [load().models[one.casefold()] for one in alternatives(base, Publisher(), load(), READ)]
    assert models
    assert all(model.kind == kind or (kind == "edit" and model.edits) for model in models)


def test_old_facts_are_offered_as_old(no_network: None) -> None:
    from licenses.report import one_line

    fresh, said = (check("black-forest-labs/FLUX.1-dev", as_of=day) for day in (READ, LATER))
    assert said.alternatives == fresh.alternatives != ()
    assert (fresh.alternatives_note, said.alternatives_note) == ("", AGED)
    assert "read again before one of them passes" in one_line(said.as_json())
    assert all(said.uses[use].verdict == "block" for use in PAID_USES)


def test_where_none_passes_it_is_said(no_network: None) -> None:
    video = Node(id="x/y", role="base", license=None, identified_by="nothing", pipeline="WanPipeline")
    none = replace(load(), models={repo: row for repo, row in load().models.items() if row.kind != "video"})
    assert instead(video, Publisher(), none, READ) == ((), NONE_PASSES)


@pytest.mark.parametrize("day", ["20261122", "2026-W47-7", "2026-11-22T10:00", "22.11.2026", "", "٢٠٢٦-11-22", "2026-02-30"])
def test_the_day_of_a_check_is_written_one_way(day: str) -> None:
    with pytest.raises(BadReference, match="is not a date; write it as YYYY-MM-DD"):
        check(ROOT / "examples/base", as_of=day)


def test_a_day_long_before_the_facts_does_not_make_them_young() -> None:
    first = date.fromisoformat(load().as_of) - HOLDS
    assert check(ROOT / "examples/base", as_of=first.isoformat()).exit_code == 0
    for day in (first - timedelta(days=1), date(2001, 1, 1)):
        with pytest.raises(BadReference, match="long before the facts were read"):
            check(ROOT / "examples/base", as_of=day)
