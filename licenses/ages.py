"""Facts grow old: what somebody read about a repository holds for 90 days, what an exact text says holds for good."""

from collections.abc import Iterator
from datetime import date, timedelta

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


def is_old(read: date, as_of: date) -> bool:
    """More than 90 days lie between the day of reading and the day of the check."""
    return as_of - read > HOLDS
