"""The folder of the author's copy of a listing, HOME/listings/TARGET/APP: what lies in it, and a new one in its place at once."""

import re
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from flows.errors import JobError

if TYPE_CHECKING:
    from serving.listing.model import Listing

DRAFT, EARLIER, MARKS, CHANGES, MAIL = ".draft.json", ".earlier.json", "marks.jsonl", "CHANGES.md", "changelog.eml"
OWN = (DRAFT, EARLIER, MARKS, CHANGES, MAIL)


def desk(home: Path, target: str, app: str) -> Path:
    """Where the copy of an app's listing lies; JobError for what is no name of an app, and could be a way elsewhere."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", app):
        raise JobError(f"app: got {app!r}; give the name of an app, as `lorasmith status` shows it")
    return home / "listings" / target / app


def require(place: Path) -> None:
    if not (place / "listing.json").is_file():
        raise JobError(f"{place.name}: no listing is there ({place}); `lorasmith listing draft job.yaml` makes one")


def listing_in(place: Path) -> "Listing":
    from serving.listing.model import parsed

    return parsed((place / "listing.json").read_text(encoding="utf-8"), source=f"{place.name}/listing.json")


def others(place: Path) -> list["Listing"]:
    """The author's other listings on the same platform."""
    found = [folder for folder in sorted(place.parent.iterdir()) if folder != place and not folder.name.startswith(".")]
    return [listing_in(folder) for folder in found if (folder / "listing.json").is_file()]


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of a listing by its relative path, without what the desk keeps beside."""
    files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
    return {name: content for name, content in files.items() if name not in OWN}


def before_files(place: Path) -> set[str]:
    """Files that the draft brought, which go with it: pictures and receipts; what else lies there is the author's."""
    return {name for name in contents(place) if name.startswith(("examples/", "receipts/"))}


def swap(place: Path, files: Mapping[str, bytes]) -> None:
    """Put a folder of these files in the place of the one there; `restore` mends what a kill in between leaves."""
    scratch = Path(tempfile.mkdtemp(prefix=f".{place.name}-", dir=place.parent))
    for name, content in files.items():
        path = scratch / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    aside = place.with_name(f".{place.name}.old")
    if place.exists():
        place.rename(aside)
    scratch.rename(place)
    shutil.rmtree(aside, ignore_errors=True)


def restore(place: Path) -> None:
    """After a kill: the copy as it was before, or as it is now; what was half-made is removed."""
    aside = place.with_name(f".{place.name}.old")
    if aside.exists() and not place.exists():
        aside.rename(place)
    shutil.rmtree(aside, ignore_errors=True)
    for half in place.parent.glob(f".{place.name}-*"):
        shutil.rmtree(half)
