"""Words of the author survive a new draft; figures do not, and what both changed is shown."""

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.listing.merge import merged, words
from serving.listing.model import dumped, parsed
from tests.serving.listing.material import listing_in


@pytest.fixture(scope="module")
def document(draft: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(dumped(listing_in(draft)))
    return loaded


def test_an_edit_of_one_side_is_taken(document: dict[str, Any]) -> None:
    mine, drafted = deepcopy(document), deepcopy(document)
    mine["metadata"]["description"] = "Clay, by hand."
    mine["examples"][0]["alt"] = "a fox of clay, seen from the side"
    drafted["contact"]["support"] = "help@example.org"
    drafted["facts"]["evaluation"]["held_out"]["value"] = 99
    result = merged(before=document, mine=mine, drafted=drafted)
    assert result.document["metadata"]["description"] == "Clay, by hand."
    assert result.document["examples"][0]["alt"] == "a fox of clay, seen from the side"
    assert result.document["contact"]["support"] == "help@example.org"
    assert result.document["facts"]["evaluation"]["held_out"]["value"] == 99
    assert (result.conflicts, result.ignored) == ((), ())
    parsed(json.dumps(result.document))


def test_what_both_changed_is_the_author_s_and_shown(document: dict[str, Any]) -> None:
    mine, drafted = deepcopy(document), deepcopy(document)
    mine["metadata"]["display_name"], drafted["metadata"]["display_name"] = "Mine", "Drafted"
    result = merged(before=document, mine=mine, drafted=drafted)
    assert result.document["metadata"]["display_name"] == "Mine"
    (conflict,) = result.conflicts
    assert (conflict.where, conflict.mine, conflict.drafted) == ("metadata/display_name", "Mine", "Drafted")
    assert "kept 'Mine'" in str(conflict)


def test_the_same_edit_on_both_sides_is_none(document: dict[str, Any]) -> None:
    both = deepcopy(document)
    both["metadata"]["tags"] = ["clay"]
    assert merged(before=document, mine=both, drafted=deepcopy(both)).conflicts == ()


def test_figures_edited_by_hand_are_named_and_not_kept(document: dict[str, Any]) -> None:
    mine = deepcopy(document)
    mine["facts"]["evaluation"]["relative"]["value"] = -0.99
    mine["pricing"]["unit_price_usd"] = 5.0
    result = merged(before=document, mine=mine, drafted=document)
    assert result.document == document
    assert result.ignored == ("facts/evaluation/relative/value", "pricing/unit_price_usd")


def test_alternative_texts_stay_with_their_pictures(document: dict[str, Any]) -> None:
    mine, drafted = deepcopy(document), deepcopy(document)
    mine["examples"][1]["alt"] = "the second one"
    drafted["examples"].reverse()
    result = merged(before=document, mine=mine, drafted=drafted)
    told = [example["alt"] for example in result.document["examples"] if example["seed"] == document["examples"][1]["seed"]]
    assert "the second one" in told


def test_words_of_a_picture_that_is_gone_go_with_it(document: dict[str, Any]) -> None:
    mine, drafted = deepcopy(document), deepcopy(document)
    mine["examples"][0]["alt"] = "gone"
    drafted["examples"] = drafted["examples"][1:]
    result = merged(before=document, mine=mine, drafted=drafted)
    assert "gone" not in [example["alt"] for example in result.document["examples"]]


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_every_word_is_from_one_of_the_sides_and_no_edit_is_lost(document: dict[str, Any], data: st.DataObject) -> None:
    places = sorted(place for place, value in words(document).items() if isinstance(value, str))
    versions = []
    for side in ("mine", "drafted"):
        version = deepcopy(document)
        for place in data.draw(st.lists(st.sampled_from(places), unique=True, max_size=4), label=side):
            part, _, rest = place.partition("/")
            if part == "examples":
                for example in version["examples"]:
                    if f"{example['input'].get('prompt')}#{example['seed']}/alt" == rest:
                        example["alt"] = f"{side} {place}"
            else:
                version[part][rest] = f"{side} {place}"
        versions.append(version)
    mine, drafted = versions
    result = merged(before=document, mine=mine, drafted=drafted)
    old, own, new, made = words(document), words(mine), words(drafted), words(result.document)
    for place in places:
        assert made[place] == (own[place] if own[place] != old[place] else new[place])
    assert {one.where for one in result.conflicts} == {p for p in places if old[p] != own[p] != new[p] != old[p]}
    assert merged(before=drafted, mine=result.document, drafted=drafted).document == result.document
