"""Taking a release down: on the platform, in the registry, among the stored jobs, and as a note of what to tell fal."""

import json
import os
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from flows.books.records import write_text
from flows.errors import JobError
from flows.home import home
from flows.listing_desk import retire as retire_listing
from flows.listing_folder import desk
from flows.progress import say
from flows.targets import Target, job_file, open_platform, registry_url
from serving.listing import takedown
from serving.listing.errors import ListingError

if TYPE_CHECKING:
    from serving.release.retire import Mode

NOTE, MAIL = "RETIRED.md", "takedown.eml"


def retire_app(app: str, target: Target, *, reason: str, mode: "Mode") -> tuple[dict[str, Any], list[Path]]:
    """The retired release, and the notes that were written. Run it again after a kill: it goes on, as it was asked for first."""
    from serving.release.registry import Registry
    from serving.release.retire import retire

    with closing(Registry(registry_url())) as registry, open_platform(target) as platform:
        row = retire(
            app,
            platform=platform,
            registry=registry,
            reason=reason,
            mode=mode,
            before=lambda: put_aside(app, target),
            progress=say,
        )
    return row, write_notes(row)


def put_aside(app: str, target: Target) -> None:
    """Move the stored job to jobs/retired/, where no scheduled flow looks."""
    stored, aside = job_file(app, target), aside_file(app, target)
    if stored.is_file():
        aside.parent.mkdir(parents=True, exist_ok=True)
        os.replace(stored, aside)


def aside_file(app: str, target: str) -> Path:
    return home() / "jobs" / "retired" / target / f"{app}.json"


def require_not_retired(app: str, target: Target) -> None:
    """JobError where the app was retired: only a deliberate act publishes it again."""
    from serving.release.registry import Registry
    from serving.release.retire import retirement_in_force

    with closing(Registry(registry_url())) as registry:
        row = retirement_in_force(registry, app, target)
    if row is not None:
        why = row["evidence"]["retirement"]["reason"]
        mend = f"to publish it again on purpose, run lorasmith retire {app} --lift --reason TEXT --target {target} first"
        raise JobError(f"{app} on {target} was retired: {why}; {mend}")


def write_notes(row: Mapping[str, Any]) -> list[Path]:
    """RETIRED.md, and the mail where its addresses are known."""
    folder = notes_folder(row["app"], row["target"])
    folder.mkdir(parents=True, exist_ok=True)
    try:
        retire_listing(desk(home(), row["target"], row["app"]), str(row["updated_at"]), row["evidence"]["retirement"]["reason"])
    except ListingError as error:  # the app is retired all the same
        say(f"  the page of {row['app']} does not say that it is retired: {error}")
    facts = takedown_of(row, listing_of(row))
    write_text(folder / NOTE, takedown.note(facts))
    if not (facts.sender and facts.recipient):
        return [folder / NOTE]
    write_text(folder / MAIL, takedown.mail(facts).decode())
    return [folder / NOTE, folder / MAIL]


def notes_folder(app: str, target: str) -> Path:
    """The author's copy of the listing, where there is one."""
    listing = desk(home(), target, app)
    return listing if (listing / "listing.json").is_file() else home() / "retired" / target / app


def listing_of(row: Mapping[str, Any]) -> dict[str, Any] | None:
    """The listing of the release: the author's copy, else the last draft; None where none was made."""
    drafts = sorted((home() / "store" / "listing").glob("*/content/listing.json"), key=lambda path: path.stat().st_mtime)
    for path in (desk(home(), row["target"], row["app"]) / "listing.json", *reversed(drafts)):
        listing: dict[str, Any] = json.loads(path.read_text()) if path.is_file() else {}
        if listing and (listing["release"]["app"], listing["release"]["target"]) == (row["app"], row["target"]):
            return listing
    return None


def takedown_of(row: Mapping[str, Any], listing: Mapping[str, Any] | None) -> takedown.Takedown:
    """Facts of the note: from the release, its listing, or the job that was put aside."""
    aside = aside_file(row["app"], row["target"])
    job = json.loads(aside.read_text()) if aside.is_file() else {}
    contact = listing["contact"] if listing else job.get("listing", {})
    address = urlsplit(str(row["urls"].get("run", ""))).path.strip("/")
    retirement = row["evidence"]["retirement"]
    return takedown.Takedown(
        endpoint=listing["endpoint_id"] if listing else address or row["app"],
        title=listing["metadata"]["display_name"] if listing else contact.get("title") or row["app"],
        target=row["target"],
        revision=row["revision"],
        package=row["package"],
        reason=retirement["reason"],
        mode=retirement["mode"],
        since=row["updated_at"],
        sender=contact.get("sender", ""),
        recipient=contact.get("recipient", ""),
    )


def lift_retirement(app: str, target: Target, *, reason: str) -> None:
    """Let a retired app be published again; its notes go, its job stays aside until it is published."""
    from serving.release.registry import Registry
    from serving.release.retire import lift

    with closing(Registry(registry_url())) as registry:
        lift(app, registry=registry, target=target, reason=reason)
    for name in (NOTE, MAIL):
        (notes_folder(app, target) / name).unlink(missing_ok=True)
