"""Territories as licences and publishers write them: EU stands for its members, UK for GB, and a fence has to cover every code."""

from collections.abc import Iterable

WORLD = "WORLD"
MEMBERS = "AT BE BG CY CZ DE DK EE ES FI FR GR HR HU IE IT LT LU LV MT NL PL PT RO SE SI SK"
EU = frozenset(MEMBERS.split())
COUNTRIES = """
AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW BY BZ CA CC CD
CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK FM FO FR GA GB GD GE GF
GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE JM JO JP KE KG KH KI KM KN
KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR MS MT MU MV MW MX MY MZ NA
NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY QA RE RO RS RU RW SA SB SC SD SE SG SH SI
SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO TR TT TV TW TZ UA UG UM US UY UZ VA VC VE VG VI
VN VU WF WS YE YT ZA ZM ZW
"""
ISO = frozenset(COUNTRIES.split())  # two-letter codes that ISO 3166-1 assigns officially
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
