"""A price is the author's word, what the sum behind it advises, or blank; never a guess."""

import json
from pathlib import Path
from typing import Any, get_args
from xml.etree import ElementTree

import pytest

from serving.app.billing import BillingUnit
from serving.listing.economics import Machine, Scaling, Terms, Work
from serving.listing.lint import linted
from serving.listing.pricing import MEANINGS, dollars, loses_money, price
from serving.listing.reckoning import Basis, reckoned, reckoning_of
from tests.serving.listing.material import TEXTS, drafted, files_in, listing_in

BASIS = Basis(
    family="flux-2-klein",
    work=Work(seconds=(1.0, 3.0), source="forecast", setup=60.0),
    machine=Machine(name="H100", usd_per_second=0.000525, source="price list", as_of="2026-09-01"),
    scaling=Scaling(keep_alive=60, least=0, most=4),
    terms=Terms(),
    assumed=("Drawing takes 1 to 3 seconds an image, by forecast.",),
)
RECKONING = reckoning_of(reckoned(BASIS))


def test_without_word_or_cost_it_is_null_and_says_why() -> None:
    blank = price(None, None)
    assert blank.unit_price_usd is None
    assert blank.basis == "to be agreed"
    assert blank.reckoning is None
    assert "No GPU time is known" in blank.rationale


def test_a_reckoned_price_is_the_advice_and_says_what_a_unit_costs() -> None:
    advised = price(None, RECKONING)
    assert advised.unit_price_usd == RECKONING.recommended.value
    assert advised.basis == "recommended"
    for volume in RECKONING.volumes:
        assert f"{volume.usd.text} at {volume.requests_a_day.text}" in advised.rationale
    assert "Comparable endpoints ask $0.0085 to $0.0550 (read 2026-11-21)" in advised.rationale


def test_price_below_cost_is_seen() -> None:
    floor = float(RECKONING.floor.value)
    for asked, loses in ((floor * 0.9, True), (floor, False), (floor * 2, False)):
        priced = price(asked, RECKONING)
        assert (priced.unit_price_usd, priced.basis) == (asked, "asked by the author")
        assert loses_money(priced) is loses
        assert ("BELOW" in priced.rationale) is loses


def test_asked_price_without_cost_claims_none() -> None:
    priced = price(0.02, None)
    assert priced.reckoning is None
    assert not loses_money(priced)


@pytest.mark.parametrize("unit", get_args(BillingUnit))
def test_the_price_says_what_a_unit_is(unit: BillingUnit) -> None:
    for priced in (price(None, None, unit), price(0.02, None, unit), price(None, RECKONING, unit)):
        assert (priced.unit, priced.meaning) == (unit, MEANINGS[unit])
    assert MEANINGS[unit] in price(None, None, unit).rationale


def test_a_unit_of_several_images_costs_that_much_more() -> None:
    from dataclasses import replace

    one, four = reckoned(BASIS), reckoned(replace(BASIS, images=4.0))
    assert four["volumes"]["mid"]["usd"] == pytest.approx(4 * one["volumes"]["mid"]["usd"])
    assert four["advice"]["floor"] == pytest.approx(4 * one["advice"]["floor"], rel=0.1)


@pytest.mark.parametrize(
    ("amount", "shown"), [(0.03, "$0.03"), (0.0042, "$0.0042"), (1, "$1.00"), (12.5, "$12.50"), (0.000001, "$0.000001")]
)
def test_dollars(amount: float, shown: str) -> None:
    assert dollars(amount) == shown


@pytest.fixture(scope="module")
def priced(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("priced") / "draft"
    drafted(out, basis=BASIS)
    return out


def test_a_draft_with_a_basis_has_its_sum_and_every_figure_a_receipt(priced: Path) -> None:
    listing, files = listing_in(priced), files_in(priced)
    assert json.loads(files["receipts/pricing.json"])["advice"]["recommended"] == listing.pricing.unit_price_usd
    assert [finding for finding in linted(listing, files) if finding.level == "error"] == []
    written = files["PRICING.md"].decode()
    for text in (RECKONING.floor.text, RECKONING.recommended.text, "by forecast", "fal-ai/flux-2/lora"):
        assert text in written
    assert ElementTree.fromstring(files["pricing.svg"]).tag.endswith("svg")


def test_a_changed_sum_is_no_receipt_any_more(priced: Path) -> None:
    listing, files = listing_in(priced), files_in(priced)
    files["receipts/pricing.json"] = files["receipts/pricing.json"].replace(b'"floor"', b'"ground"')
    assert {finding.code for finding in linted(listing, files) if finding.level == "error"} >= {"receipt"}


def test_what_is_assumed_stands_in_the_mail_and_not_on_the_page(priced: Path) -> None:
    files = files_in(priced)
    assert b"by forecast" in files["request.eml"]
    assert b"1 to 3 seconds" not in files["index.html"]


def test_a_price_that_loses_money_is_a_warning(tmp_path: Path) -> None:
    from dataclasses import replace

    texts: Any = replace(TEXTS, price_usd=0.001)
    drafted(tmp_path / "draft", basis=BASIS, texts=texts)
    findings = linted(listing_in(tmp_path / "draft"), files_in(tmp_path / "draft"))
    assert "price-below-cost" in {finding.code for finding in findings if finding.level == "warning"}
