"""What changed between two drafts, by what it means for callers."""

import json
from pathlib import Path
from typing import Any

import pytest

from serving.listing.diff import changelog, changes
from serving.listing.model import Listing, dumped, parsed
from tests.serving.listing.material import listing_in


def after(draft: Path, pointer: str, value: Any) -> tuple[Listing, Listing]:
    """A listing, and the same one with a value replaced."""
    document = json.loads(dumped(listing_in(draft)))
    *path, last = [int(part) if part.isdigit() else part for part in pointer.split("/")]
    place = document
    for part in path:
        place = place[part]
    place[last] = value
    return listing_in(draft), parsed(json.dumps(document))


def test_the_same_listing_has_not_changed(draft: Path) -> None:
    listing = listing_in(draft)
    assert changes(listing, listing) == ()
    assert "Nothing that a caller sees has changed" in changelog(listing, listing)


@pytest.mark.parametrize(
    ("pointer", "value", "weight", "says"),
    [
        ("pricing/unit_price_usd", 0.05, "breaking", "Price of a unit"),
        ("pricing/unit", "megapixel", "breaking", "A unit was one delivered image"),
        ("api/input/0/type", "list of string", "breaking", "`prompt`: type was string"),
        ("api/input/1/required", True, "breaking", "has to be sent now"),
        ("api/input/1/name", "picture_size", "breaking", "`image_size` is gone from the request"),
        ("api/output/0/name", "pictures", "breaking", "`images` is gone from the answer"),
        ("facts/base", "other-base", "breaking", "Base: "),
        ("facts/trigger", "hardclay", "breaking", "Trigger: softclay, now hardclay"),
        ("licence/ids", ["MIT"], "breaking", "Licences: "),
        ("licence/terms", ["No faces."], "breaking", "New term for callers: No faces."),
        ("facts/safety", "Nothing is checked.", "notable", "Safety: Nothing is checked."),
        ("facts/strength/text", "0.8", "notable", "Recommended strength"),
        ("metadata/description", "Other words.", "minor", "Description"),
        ("metadata/tags", ["clay"], "minor", "Tags: clay"),
    ],
)
def test_a_change_has_its_weight_and_words(draft: Path, pointer: str, value: Any, weight: str, says: str) -> None:
    old, new = after(draft, pointer, value)
    found = changes(old, new)
    assert weight in {change.weight for change in found if says in change.text}
    assert says in changelog(old, new)


def test_a_lower_price_breaks_nobody(draft: Path) -> None:
    _, dear = after(draft, "pricing/unit_price_usd", 0.05)
    cheap = dear.model_copy(update={"pricing": dear.pricing.model_copy(update={"unit_price_usd": 0.04})})
    assert [change.weight for change in changes(dear, cheap)] == ["notable"]


def test_two_endpoints_are_not_compared(draft: Path) -> None:
    old, new = after(draft, "endpoint_id", "studio/other")
    with pytest.raises(ValueError, match="two endpoints"):
        changes(old, new)
