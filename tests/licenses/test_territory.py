"""Territories: EU is its members, UK is GB, and only a fence around every excluded country counts."""

import pytest

from licenses.publisher import load_publisher
from licenses.territory import EU, members, reached, written

EXCLUDED = ("EU", "GB", "KR")


@pytest.mark.parametrize(
    ("territories", "geofence", "left"),
    [
        (["WORLD"], [], "EU, GB, KR"),
        (["WORLD"], ["EU", "GB", "KR"], ""),
        (["WORLD"], ["eu", "uk", "kr"], ""),
        (["WORLD"], [*EU, "UK", "KR"], ""),
        (["WORLD"], [*(EU - {"FR"}), "GB", "KR"], "FR"),
        (["WORLD"], ["WORLD"], "EU, GB, KR"),
        (["US"], [], "EU, GB, KR"),
        (["US", "JP"], ["EU", "GB", "KR"], ""),
        (["DE"], ["EU", "GB", "KR"], "DE"),
        (["EU"], ["EU", "GB", "KR"], "EU"),
        (["UK"], ["EU", "GB", "KR"], "GB"),
        (["GR"], ["EU", "GB", "KR"], "GR"),
        (["EL"], ["EU", "GB", "KR"], "GR"),
    ],
)
def test_what_is_still_reached(territories: list[str], geofence: list[str], left: str) -> None:
    assert written(reached(EXCLUDED, territories, geofence)) == left
    publisher = load_publisher({"territories": territories, "geofence": geofence})
    assert publisher.shuts_out(EXCLUDED) == (left == "")


def test_the_union_has_its_members_and_switzerland_is_none() -> None:
    assert len(EU) == 27
    assert members(["EU"]) == EU
    assert not {"CH", "NO", "GB", "IS"} & EU


def test_nothing_excluded_reaches_nobody() -> None:
    assert reached((), ["WORLD"], []) == frozenset()
