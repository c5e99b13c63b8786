"""A publisher profile: cautious when silent, refused when it can not be."""

import pytest

from licenses.errors import BadPublisher
from licenses.publisher import Publisher, load_publisher


def test_silence_is_cautious() -> None:
    silent = load_publisher(None)
    assert silent == load_publisher({}) == Publisher()
    assert silent.revenue is None
    assert silent.territories == ("WORLD",)
    assert not silent.publish_weights
    assert silent.content_filters


def test_revenue_needs_both_numbers() -> None:
    assert load_publisher({"revenue_usd_ttm": 5}).revenue is None
    assert load_publisher({"revenue_usd_ttm": 5, "affiliates_revenue_usd_ttm": 0}).revenue == 5


@pytest.mark.parametrize(
    "fields",
    [
        {"revenue_usd_ttm": float("nan")},
        {"revenue_usd_ttm": float("inf")},
        {"revenue_usd_ttm": -1},
        {"revenue_usd_ttm": "1000"},
        {"revenue_usd_ttm": True},
        {"monthly_users": float("-inf")},
        {"affiliates_revenue_usd_ttm": ""},
        {"revenue": 5},
        {"territories": []},
        {"territories": ["Germany"]},
        {"territories": [""]},
        {"territories": "Moon"},
        {"geofence": [5]},
        {"registrations": [""]},
        {"registrations": ["  "]},
        {"registrations": [{"id": "kolors"}]},
        {"territories": ["XX"]},
        {"territories": "ZZ"},
        {"territories": [False]},
        {"territories": False},
        {"geofence": ["US", "QQ"]},
        {"registrations": ["koalas"]},
        {"registrations": [{"id": "koalas", "date": "2026-01-01", "proof": "mail.eml"}]},
        {"registrations": [{"id": "kolors", "date": "2026-13-41", "proof": "mail.eml"}]},
        {"adapter_license": "do-as-you-like"},
        {"license_choices": {"a/b": "koalas"}},
        {"name": "Studio\x00"},
        {"name": "Studio\nLeaf"},
        {"publish_weights": "yes"},
        {"content_filters": None},
        {"adapter_license": ""},
        {"waivers": [{"repo": "a/b"}]},
    ],
)
def test_a_field_that_can_not_be_is_refused_by_name(fields: dict[str, object]) -> None:
    with pytest.raises(BadPublisher, match=next(iter(fields))) as refused:
        load_publisher(fields)
    assert "\n" not in str(refused.value)
    assert "; write " in str(refused.value) or "; use " in str(refused.value)


def test_world_stands_alone_or_in_a_list() -> None:
    assert load_publisher({"territories": "WORLD"}) == load_publisher({"territories": ["WORLD"]})


@pytest.mark.parametrize(
    "fields",
    [
        {"territories": ["us", "GB"], "geofence": ["EU"]},
        {"registrations": ["kolors", {"id": "cogvideox", "date": "2026-01-01", "proof": "mail.eml"}]},
        {"waivers": ["waivers/one.yaml"]},
        {"territories": ["NO", "uk", "EU"], "geofence": ["AQ"]},
        {"adapter_license": "Apache-2.0", "license_choices": {"a/b": "mit"}, "name": "Студия Лист, S.L."},
        {"monthly_users": 0, "revenue_usd_ttm": 10**6},
    ],
)
def test_what_the_table_names_is_taken(fields: dict[str, object]) -> None:
    assert load_publisher(fields)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"territories": ["DE", False]}, r"territories\.1: got False; write country codes in quotes"),
        ({"territories": [False]}, r"territories: got \[False\]; write country codes in quotes"),
        ({"territories": False}, "territories: got False; write country codes in quotes"),
        ({"geofence": ["XX"]}, "geofence.0: is no country"),
        ({"registrations": ["koalas"]}, "registrations: 'koalas' is no licence of the catalogue"),
        ({"registrations": [{"id": "kolors", "date": "soon", "proof": "mail"}]}, r"registrations\.0\.date: .*'soon'"),
        ({"registrations": [{"id": "kolors", "date": 20260101, "proof": "mail"}]}, r"registrations\.0\.date: must be a date"),
        ({"license_choices": {"a/b": "Apache License 2.0"}}, "license_choices: 'Apache License 2.0' is no licence"),
        ({"name": "Studio\x07"}, "name: must be one line without control characters"),
    ],
)
def test_what_makes_no_sense_is_refused_in_words(fields: dict[str, object], words: str) -> None:
    with pytest.raises(BadPublisher, match=words):
        load_publisher(fields)
