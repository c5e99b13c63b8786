"""listing.json: its schema is a contract, and it reads back as it was written."""

import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from serving.listing.errors import ListingError
from serving.listing.model import dumped, json_schema, parsed
from tests.serving.listing.material import listing_in

SCHEMA_FILE = Path(__file__).parents[3] / "docs" / "schemas" / "listing.schema.json"


def test_schema_file_is_the_model() -> None:
    assert json.loads(SCHEMA_FILE.read_text(encoding="utf-8")) == json_schema()


def test_schema_is_valid_2020_12() -> None:
    Draft202012Validator.check_schema(json_schema())


def test_draft_holds_the_schema(draft: Path) -> None:
    document = json.loads((draft / "listing.json").read_text(encoding="utf-8"))
    assert list(Draft202012Validator(json_schema()).iter_errors(document)) == []


def test_names_are_those_of_the_model_api(draft: Path) -> None:
    document = json.loads((draft / "listing.json").read_text(encoding="utf-8"))
    names = "display_name category description status tags thumbnail_url model_url github_url license_type group kind date"
    assert set(names.split()) <= set(document["metadata"])
    assert document["endpoint_id"] == "studio/clay"
    assert document["metadata"]["model_url"] == "https://fal.run/studio/clay"


def test_reads_back_unchanged(draft: Path) -> None:
    text = (draft / "listing.json").read_text(encoding="utf-8")
    assert dumped(parsed(text)) == text


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"endpoint_id": 3}, "endpoint_id"),
        ({"extra": 1}, "extra"),
        ({"pricing": {"unit": "hour"}}, "pricing.unit"),
        ({"receipts": {"evaluation": {"path": "a", "sha256": "short"}}}, "receipts.evaluation.sha256"),
    ],
)
def test_edit_by_hand_that_breaks_it_names_the_field(draft: Path, change: dict[str, object], field: str) -> None:
    document = json.loads(dumped(listing_in(draft))) | change
    with pytest.raises(ListingError, match=rf"listing.json: {field}") as caught:
        parsed(json.dumps(document))
    assert "\n" not in str(caught.value)
