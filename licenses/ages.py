"""Facts grow old: what somebody read about a repository holds for 90 days, what an exact text says holds for good."""

from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from typing import Any

from licenses.catalogue import Catalogue, License
from licenses.node import Node

HOLDS = timedelta(days=90)


def expired(node: Node, licence: License | None, catalogue: Catalogue, as_of: date) -> Iterator[str]:
    """What has to be read again before this asset may pass, a sentence each: which row, where, and what to do."""
    if node.row is not None and is_old(node.row.as_of, as_of):
        yield (
            f"{node.id}: what is known of this repository was read on {node.row.as_of} and holds for {HOLDS.days} days; read its "
            f"card and licence files again, then set as_of of {node.row.repo} in licenses/facts/models.yaml"
        )
    if licence is not None and not catalogue.has_text(licence.id) and is_old(licence.as_of, as_of):
        yield (
            f"{node.id}: {licence.name} was read on {licence.as_of}, not as an exact text, and that holds for {HOLDS.days} days; "
            f"read it again at its source, then set as_of of {licence.id} in licenses/facts/licenses.yaml"
        )


def ends(verdict: Mapping[str, Any], catalogue: Catalogue) -> date | None:
    """The day until which what is known of a verdict's assets holds, by the row or licence read first; None where all is exact."""
    rows = [row for one in verdict["nodes"] if (row := catalogue.model(one["id"]))]
    told = {one["license"] for one in verdict["nodes"] if one["license"] in catalogue.licenses}
    read = [row.as_of for row in rows] + [catalogue.licenses[one].as_of for one in told if not catalogue.has_text(one)]
    return min(read) + HOLDS if read else None


def is_old(read: date, as_of: date) -> bool:
    """More than 90 days lie between the day of reading and the day of the check."""
    return as_of - read > HOLDS
