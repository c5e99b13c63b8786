"""The mail between releases: it parses, tells every change, and reckons the price again."""

import email
import json
from email.policy import default
from pathlib import Path
from typing import Any

import pytest

from serving.listing import anchors
from serving.listing.anchors import Band
from serving.listing.changelog import attachments, composed, prices, told
from serving.listing.model import Listing, dumped, parsed
from tests.serving.listing.material import drafted, files_in, listing_in
from tests.serving.listing.test_pricing import BASIS


@pytest.fixture(scope="module")
def priced(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("priced") / "draft"
    drafted(out, basis=BASIS, prompts=2, seeds=1)
    return out


def before(listing: Listing) -> Listing:
    """The release before, which was cheaper and allowed less."""
    document = json.loads(dumped(listing))
    document["pricing"] |= {"unit_price_usd": 0.001, "label": "$0.001"}
    document["release"] |= {"package": "00" * 32, "revision": "r-before"}
    document["api"]["input"][0]["bounds"] = "up to 10 bytes"
    return parsed(json.dumps(document))


def reckoning(folder: Path) -> Any:
    return json.loads((folder / "receipts" / "pricing.json").read_text())


def test_the_mail_opens_and_tells_changes_prices_and_evidence(priced: Path) -> None:
    after, files = listing_in(priced), files_in(priced)
    earlier, sums = before(after), reckoning(priced)
    text = told(earlier, after, sums)
    message = email.message_from_bytes(composed(earlier, after, sums, attachments(after, text, files)), policy=default)
    assert (message["From"], message["To"]) == (after.contact.sender, after.contact.recipient)
    assert message["Subject"] == "Changes of studio/clay (Soft Clay Icons)"
    assert message["X-Unsent"] == "1"
    body = message.get_body()
    assert body is not None
    words = " ".join(body.get_content().split())
    floor = after.pricing.reckoning
    assert floor is not None
    for said in (
        "Package 000000000000, now 121212121212",
        "prompt: bounds was up to 10 bytes, is up to 1000 bytes now.",
        f"Asked for a unit: $0.001, now {after.pricing.label}",
        f"Reckoned again: {floor.floor.text} cover the cost of a unit",
        after.facts.evaluation.statement,
        "2 images delivered, 2 units in x-fal-billable-units",
        "Licence verdict for paid hosting: duties",
    ):
        assert said in words, said
    names = [part.get_filename() for part in message.iter_attachments()]
    assert names == ["CHANGES.md", "index.html", "MODEL_CARD.md", "listing.json", "thumbnail.png"]


def test_equal_input_gives_equal_bytes(priced: Path) -> None:
    after = listing_in(priced)
    made = [composed(before(after), after, None, {"CHANGES.md": b"x"}) for _ in range(2)]
    assert made[0] == made[1]


def test_prices_follow_what_comparable_endpoints_ask_today(priced: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    after, sums = listing_in(priced), reckoning(priced)
    assert not any("make it again" in line for line in prices(before(after), after, sums))
    dearer = Band(low=0.5, middle=0.6, high=0.7, highest=0.8, of=anchors.anchors()[:3], as_of=anchors.as_of(), note="dear ones")
    monkeypatch.setattr("serving.listing.reckoning.band", lambda family: dearer)
    lines = prices(before(after), after, sums)
    assert any("$0.50 are recommended" in line for line in lines)
    assert any("make it again before it is sent" in line for line in lines)


def test_a_price_below_the_sum_is_named(priced: Path) -> None:
    after = listing_in(priced)
    cheap = after.model_copy(
        update={"pricing": after.pricing.model_copy(update={"unit_price_usd": 0.000001, "label": "$0.000001"})}
    )
    assert prices(before(after), cheap, reckoning(priced))[-1] == "$0.000001 loses money by that sum."


def test_without_a_cost_it_says_so(draft: Path) -> None:
    listing = listing_in(draft)
    assert "No cost of a unit is known" in told(before(listing), listing, None)
