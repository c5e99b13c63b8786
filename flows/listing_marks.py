"""How far a listing is: marks that the author makes by hand, since nobody else knows what fal answered."""

import json
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from flows.errors import JobError
from flows.listing_folder import MARKS, listing_in, require
from flows.store import locked

State = Literal["sent", "answered", "listed", "refused"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Marked:
    """How far a listing is, by the author's last mark; "draft" without any. stale: marked for another package than the page's."""

    app: str
    target: str
    state: State | Literal["draft"]
    at: str | None
    note: str
    stale: bool


def mark(place: Path, state: State, *, note: str = "") -> dict[str, str]:
    """Write down by hand how far the listing is; the line that was added."""
    require(place)
    release = listing_in(place).release
    if release.retired and state in ("sent", "listed"):
        raise JobError(f"{place.name}: {release.retired} Nothing is asked of fal for it; takedown.eml asks to take the entry out")
    line = {
        "state": state,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "note": " ".join(note.split()),
        "package": release.package,
    }
    with locked(place.with_name(f".{place.name}.lock")), (place / MARKS).open("a", encoding="utf-8") as file:
        file.write(json.dumps(line, ensure_ascii=False) + "\n")
        file.flush()
        os.fsync(file.fileno())
    return line


def marks(place: Path) -> list[dict[str, str]]:
    """Oldest first."""
    path = place / MARKS
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line] if path.is_file() else []


def marks_of(home: Path) -> tuple[Marked, ...]:
    """One for each drafted listing, by target and app; what can not be read is left out, so that a status never fails of it."""
    found = []
    for file in sorted((home / "listings").glob("*/*/listing.json")):
        place = file.parent
        if place.name.startswith("."):
            continue
        try:
            package = json.loads(file.read_text(encoding="utf-8"))["release"]["package"]
            last: dict[str, Any] = (marks(place) or [{}])[-1]
            state, at, note = last.get("state", "draft"), last.get("at"), last.get("note", "")
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            continue
        stale = bool(last) and last.get("package") != package
        found.append(Marked(app=place.name, target=place.parent.name, state=state, at=at, note=note, stale=stale))
    return tuple(found)
