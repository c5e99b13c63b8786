"""What licences want shown stands on every page, and the card claims no looser terms than the parts have."""

import html
from pathlib import Path
from typing import Any

import pytest

from licenses.catalogue import load
from serving.listing.licence import DUTIES, licence_of
from serving.listing.lint import rights
from serving.listing.model import Listing
from serving.listing.render import about, front_matter, llms_txt, model_card, page
from tests.serving.listing.material import files_in, listing_in, verdict

LINE = "The use restrictions of Clay Licence bind everyone who calls this app."
LIST = "Attachment A\n- do not break the law;\n```\n- <b>do not</b> shout."
CREDIT = "clay by Ann, from an album. Licence: CC BY 4.0. Changes: scaled."


def owed(duty: str, by: str, files: list[str], lines: list[str]) -> dict[str, Any]:
    return {"duty": duty, "node": "base", "role": "base", "license": "clay", "name": "Clay Licence"} | {
        "by": by,
        "files": files,
        "lines": lines,
        "open": "",
    }


def listing_of(draft: Path, **fields: Any) -> Listing:
    """The draft's listing under a verdict with these fields more."""
    return listing_in(draft).model_copy(update={"licence": licence_of(verdict() | fields)})


@pytest.fixture
def bound(draft: Path) -> Listing:
    """A listing whose licence binds callers, wants a brand line and credit."""
    return listing_of(
        draft,
        display_lines=["Powered by Clay"],
        expression="CC-BY-4.0 AND LicenseRef-clay",
        data=["Persons: none are shown, by the statement of the publisher."],
        owed=[
            owed("FLOWDOWN", "file", ["TERMS.md", "LICENSES/clay.txt"], [LINE]),
            owed("NO_TRAIN_OTHERS", "file", ["TERMS.md"], [LINE]),
            owed("ATTRIBUTION", "file", ["ATTRIBUTION.md"], [CREDIT]),
        ],
        flowdown=[
            {"file": "LICENSES/clay.txt", "text": LIST, "node": "base", "license": "Clay Licence", "section": "Attachment A"},
            {"file": "LICENSES/sand.txt", "text": "", "node": "vae", "license": "Sand Licence", "section": ""},
        ],
    )


def test_terms_brand_and_credit_stand_on_page_and_card(bound: Listing, draft: Path) -> None:
    shown = html.unescape(page(bound, files_in(draft)))
    for part in ("Powered by Clay", LINE, CREDIT, LIST, "LICENSES/sand.txt", 'href="#terms"', 'id="terms"', "Persons: none"):
        assert part in shown
    assert "<b>do not</b>" not in page(bound, files_in(draft))
    card = model_card(bound)
    for part in (
        "Powered by Clay",
        "## Terms for callers",
        LIST,
        "`LICENSES/sand.txt`",
        "`CC-BY-4.0 AND LicenseRef-clay`",
        "clay by Ann",
    ):
        assert part in card
    assert card.count(LINE) == 1


def test_what_machines_and_callers_read_has_them_too(bound: Listing) -> None:
    for text in (llms_txt(bound), about(bound)):
        assert "Powered by Clay" in text
        assert LINE in text
    assert "index.html#terms" in llms_txt(bound)


def test_nothing_is_said_of_terms_where_there_are_none(draft: Path) -> None:
    plain = listing_of(draft, owed=[])
    for text in (page(plain, files_in(draft)), model_card(plain), llms_txt(plain), about(plain)):
        assert "erms for callers" not in text


@pytest.mark.parametrize(
    ("adapter", "others", "claim"),
    [
        ("MIT", ["mit", "own", "cc0-1.0"], "mit"),
        ("mit", ["apache-2.0"], "other"),
        ("cc0-1.0", ["cc-by-sa-4.0"], "other"),
        ("apache-2.0", ["openrail++"], "other"),
        ("own", ["mit"], "other"),
        ("gemma", ["gemma"], "other"),
        (None, ["mit"], "other"),
    ],
)
def test_the_card_never_claims_looser_terms_than_a_part_has(
    draft: Path, adapter: str | None, others: list[str], claim: str
) -> None:
    nodes = [{"id": f"part{number}", "role": "base", "license": license} for number, license in enumerate(others)]
    nodes += [{"id": "lora", "role": "adapter", "license": adapter}] if adapter else []
    assert front_matter(listing_of(draft, nodes=nodes))["license"] == claim


def test_every_duty_of_the_facts_has_words() -> None:
    assert set(DUTIES) == set(load().duties)


@pytest.mark.parametrize(("title", "errors"), [("Llama clay", 0), ("llama Clay", 0), ("Soft Llama", 1)])
def test_a_title_that_breaks_a_licences_rule_for_names_is_an_error(draft: Path, title: str, errors: int) -> None:
    listing = listing_of(draft, owed=[owed("NAMING", "name", [], ["Llama"])])
    named = listing.model_copy(update={"metadata": listing.metadata.model_copy(update={"display_name": title})})
    found = [finding for finding in rights(named) if finding.where == "title"]
    assert len(found) == errors
    assert all("begin with 'Llama'" in finding.message for finding in found)
