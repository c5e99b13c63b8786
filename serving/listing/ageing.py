"""What a listing rests on and has grown old: comparable prices, the machine's rate, the evidence of the release. Pure."""

from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any

from serving.listing.findings import Finding, warning
from serving.listing.model import Listing

PRICES, EVIDENCE = 90, 180  # days; prices change without notice, and what runs is what was tested


def outdated(listing: Listing, reckoning: Mapping[str, Any] | None, today: date) -> Iterator[Finding]:
    """A warning for each that is too old on `today`; reckoning: the pricing receipt, None without one."""
    reckoned = listing.pricing.reckoning
    machine = ((reckoning or {}).get("inputs") or {}).get("machine") or {}
    dated = (
        ("pricing.reckoning.anchors", "comparable prices were read", reckoned.anchors_as_of if reckoned else None, PRICES),
        ("pricing.reckoning", "the machine’s rate was read", machine.get("as_of"), PRICES),
        ("release.smoke", "the release was made and tested", listing.metadata.date, EVIDENCE),
    )
    for where, what, day, most in dated:
        age = (today - date.fromisoformat(day)).days if day else 0
        if age > most:
            yield warning(
                "outdated", where, f"{what} on {day}, {age} days ago; read it again and draft again (at most {most} days)"
            )
