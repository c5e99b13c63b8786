"""Territories as licences and publishers write them: EU stands for its members, UK for GB, and a fence has to cover every code."""

from collections.abc import Iterable

WORLD = "WORLD"
MEMBERS = "AT BE BG CY CZ DE DK EE ES FI FR GR HR HU IE IT LT LU LV MT NL PL PT RO SE SI SK"
EU = frozenset(MEMBERS.split())
SAME = {"UK": "GB", "EL": "GR"}


def plain(code: str) -> str:
    """A code as ISO writes it: GB for UK, GR for EL."""
    upper = code.strip().upper()
    return SAME.get(upper, upper)


def members(codes: Iterable[str]) -> frozenset[str]:
    """Countries behind codes; EU is its 27 members."""
    return frozenset(country for code in codes for country in (EU if plain(code) == "EU" else (plain(code),)))


def written(countries: Iterable[str]) -> str:
    """Countries in one line, EU for all of its members together."""
    named = frozenset(countries)
    return ", ".join(sorted([*(named - EU), "EU"] if named >= EU else named))


def reached(excluded: Iterable[str], territories: Iterable[str], geofence: Iterable[str]) -> frozenset[str]:
    """Excluded countries that are not shut out: those without an enforced fence, and those that the endpoint is offered in by name.

    WORLD as a territory means everywhere but behind the fence; as a fence it means nothing, since it names no country.
    """
    barred = members(excluded)
    return barred - members(geofence) | barred & members(territories)
