"""The mail between releases: what changed for callers, the price now and as reckoned today, and the evidence. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

from serving.listing import mail, render
from serving.listing.diff import changelog, changes
from serving.listing.model import Listing
from serving.listing.reckoning import basis_in, reckoned, reckoning_of


def prices(before: Listing, after: Listing, reckoning: Mapping[str, Any] | None) -> tuple[str, ...]:
    """The price then and now, and the sum behind it made again: from the release's own inputs, with today's comparable prices.

    reckoning: receipts/pricing.json of the release after, None where no cost could be reckoned.
    """
    lines = [f"Asked for a unit: {before.pricing.label}, now {after.pricing.label}; one unit is {after.pricing.meaning}."]
    if reckoning is None:
        return (*lines, "No cost of a unit is known for this release, so nothing could be reckoned again.")
    drafted, now = after.pricing.reckoning, reckoning_of(reckoned(basis_in(reckoning)))
    earlier = before.pricing.reckoning
    then = f" (the release before: {earlier.floor.text} and {earlier.recommended.text})" if earlier else ""
    lines.append(f"Reckoned again: {now.floor.text} cover the cost of a unit, {now.recommended.text} are recommended{then}.")
    if now.anchors_as_of:
        lines.append(f"Comparable endpoints were read on {now.anchors_as_of}.")
    if drafted and drafted.recommended.value != now.recommended.value:
        lines.append(f"The draft recommended {drafted.recommended.text}: make it again before it is sent.")
    asked = after.pricing.unit_price_usd
    if asked is not None and asked < now.floor.value:
        lines.append(f"{after.pricing.label} loses money by that sum.")
    return tuple(lines)


def told(before: Listing, after: Listing, reckoning: Mapping[str, Any] | None) -> str:
    """CHANGES.md: what changed, and the prices."""
    lines = [f"- {line}" for line in prices(before, after, reckoning)]
    return changelog(before, after) + "\n".join(["\n## Price", "", *lines, ""])


def composed(before: Listing, after: Listing, reckoning: Mapping[str, Any] | None, attached: Mapping[str, bytes]) -> bytes:
    """changelog.eml, a draft that a mail client opens for editing; equal input gives equal bytes."""
    body = render.changelog_body(after, changes(before, after), before=before, prices=prices(before, after, reckoning))
    return mail.composed(after, body, attached, subject=f"Changes of {after.endpoint_id} ({after.metadata.display_name})")


def attachments(listing: Listing, text: str, files: Mapping[str, bytes]) -> dict[str, bytes]:
    """What goes with the mail: the changes, and page, card and figures as they are now."""
    names: Sequence[str] = ("index.html", "MODEL_CARD.md", "listing.json", listing.metadata.thumbnail_url)
    return {"CHANGES.md": text.encode()} | {name: files[name] for name in names if name in files}
