"""The author's copy of a listing: HOME/listings/TARGET/APP. Words edited there survive every new draft; nothing else is edited."""

import json
import os
import re
import shutil
import tempfile
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from flows.errors import JobError
from flows.progress import bar, say
from flows.store import locked
from flows.targets import registry_url

if TYPE_CHECKING:
    from flows.targets import Target
    from serving.listing.findings import Finding
    from serving.listing.model import Listing
    from serving.listing.remake import Remade

State = Literal["sent", "answered", "listed", "refused"]
DRAFT, EARLIER, MARKS, CHANGES, MAIL = ".draft.json", ".earlier.json", "marks.jsonl", "CHANGES.md", "changelog.eml"
OWN = (DRAFT, EARLIER, MARKS, CHANGES, MAIL)
REQUESTS = ("request.eml", "first-request.eml", MAIL)  # what a retired app asks of nobody


@dataclass(frozen=True, kw_only=True, slots=True)
class Laid:
    """What a new draft did to the author's copy; each line is for the author's eyes."""

    place: Path
    conflicts: tuple[str, ...]
    ignored: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Marked:
    """How far a listing is, by the author's last mark; "draft" without any. stale: marked for another package than the page's."""

    app: str
    target: str
    state: State | Literal["draft"]
    at: str | None
    note: str
    stale: bool


def desk(home: Path, target: str, app: str) -> Path:
    """Where the copy of an app's listing lies; JobError for what is no name of an app, and could be a way elsewhere."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", app):
        raise JobError(f"app: got {app!r}; give the name of an app, as `lorasmith status` shows it")
    return home / "listings" / target / app


def lay_out(draft: Path, place: Path) -> Laid:
    """Bring a draft to the author's copy, with the words that they edited there; a copy that is not there is made.

    Raises DraftRefused where the edited words do not pass lint: then the copy stays as it is.
    """
    place.parent.mkdir(parents=True, exist_ok=True)
    with locked(place.with_name(f".{place.name}.lock")):
        restore(place)
        drafted = json.loads((draft / "listing.json").read_text(encoding="utf-8"))
        files = contents(draft)
        if not place.exists():
            swap(place, files | {DRAFT: files["listing.json"]})
            return Laid(place=place, conflicts=(), ignored=())
        return _merged(place, drafted, files)


def render(place: Path) -> Laid:
    """The copy's pages again, after listing.json was edited by hand."""
    with locked(place.with_name(f".{place.name}.lock")):
        restore(place)
        require(place)
        return _merged(place, json.loads((place / DRAFT).read_text(encoding="utf-8")), contents(place))


def tell(laid: Laid) -> None:
    """Say what the merge of the author's words met."""
    for line in laid.conflicts:
        say(f"  conflict: {line}")
    for where in laid.ignored:
        say(f"  not kept: {where} was edited by hand; it is read from what was measured")


def findings(place: Path) -> "tuple[Finding, ...]":
    """Lint of the copy as it stands, beside the author's other listings."""
    from serving.listing.findings import error
    from serving.listing.lint import linted

    require(place)
    found = linted(listing_in(place), contents(place), others=others(place), today=datetime.now(UTC).date())
    said = outdated(place)
    return (error("not-live", "release", said), *found) if said else found


def retire(place: Path, since: str, reason: str) -> None:
    """Let page and card say that the app is retired, and take away the mails that ask for a listing. Nothing where none is."""
    from serving.listing.draft import rendered
    from serving.listing.model import dumped, parsed

    if not place.parent.is_dir():
        return
    with locked(place.with_name(f".{place.name}.lock")):
        restore(place)
        if not (place / "listing.json").is_file():
            return
        told: dict[str, str] = {}
        for name in ("listing.json", DRAFT):
            document = json.loads((place / name).read_text(encoding="utf-8"))
            document["release"]["retired"] = f"The app was retired on {since[:10]}: {' '.join(reason.split())}."
            document["metadata"]["status"] = "deprecated"
            told[name] = dumped(parsed(json.dumps(document)))
        files = contents(place)
        beside = {name: content for name, content in files.items() if name.startswith(("examples/", "receipts/"))}
        made = files | rendered(parsed(told["listing.json"]), beside, None)
        kept = {name: (place / name).read_bytes() for name in OWN if (place / name).is_file()} | {DRAFT: told[DRAFT].encode()}
        swap(place, {name: content for name, content in (made | kept).items() if name not in REQUESTS})


def outdated(place: Path) -> str | None:
    """One line where the copy is about another package than the one that is live, as after a rollback."""
    from serving.release.registry import Registry

    release = listing_in(place).release
    with closing(Registry(registry_url())) as registry:
        live = registry.live(release.app, release.target)
    if live is None or live["package"] == release.package:
        return None
    return (
        f"the page is about package {release.package[:12]}, and {live['package'][:12]} is live; "
        "lorasmith listing draft, with the job of what is live, brings it up to date"
    )


def changelog_of(place: Path) -> str:
    """What changed since the release before this one, reckoned again; it and its mail are written beside. JobError without one."""
    from flows.records import write_text

    require(place)
    if not (place / EARLIER).is_file():
        raise JobError(f"{place.name}: there is no earlier listing to compare with; this is the first one")
    with locked(place.with_name(f".{place.name}.lock")):
        made = _changes((place / EARLIER).read_bytes(), contents(place))
        for name, content in made.items():
            write_text(place / name, content.decode())
    return made[CHANGES].decode()


def remade_of(place: Path, target: "Target") -> "tuple[Remade, ...]":
    """The gallery's calls made again at the deployed app, which is billed."""
    from flows.targets import open_platform
    from serving.listing.gallery import unit_of
    from serving.listing.remake import remade

    require(place)
    files = contents(place)
    calls = json.loads(files["receipts/gallery.json"])["calls"]
    settings = json.loads(files["receipts/settings.json"]) if "receipts/settings.json" in files else None
    listing = listing_in(place)
    with bar("gallery") as progress, open_platform(target) as platform:
        return remade(
            listing,
            calls,
            files,
            call=lambda arguments: platform.call(listing.release.app, arguments, key="caller"),
            progress=lambda line: progress.update(0, note=line),
            unit=unit_of(settings),
        )


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


def _merged(place: Path, drafted: Mapping[str, Any], files: Mapping[str, bytes]) -> Laid:
    from serving.listing.draft import redrafted
    from serving.listing.errors import ListingError
    from serving.listing.merge import merged
    from serving.listing.model import dumped, parsed

    before = json.loads((place / DRAFT).read_text(encoding="utf-8"))
    try:
        mine = json.loads((place / "listing.json").read_text(encoding="utf-8"))
        result = merged(before=before, mine=mine, drafted=drafted)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ListingError(
            f"{place / 'listing.json'} is not a listing any more ({' '.join(str(error).split())}); "
            "undo the edit, or remove the folder and draft again"
        ) from None
    draft_text = dumped(parsed(json.dumps(drafted)))
    earlier = _earlier(place, before, drafted)
    as_it_is = result.document == drafted == json.loads(files["listing.json"]) and earlier is None
    against = parsed(earlier.decode()) if earlier else None
    made = dict(files) if as_it_is else redrafted(result.document, files, others=others(place), earlier=against)
    kept = {name: (place / name).read_bytes() for name in OWN if (place / name).is_file()} | {DRAFT: draft_text.encode()}
    kept |= {name: content for name, content in contents(place).items() if name not in made and name not in before_files(place)}
    if earlier:
        kept |= {EARLIER: earlier} | _changes(earlier, made)
    swap(place, made | kept)
    return Laid(place=place, conflicts=tuple(str(one) for one in result.conflicts), ignored=result.ignored)


def _earlier(place: Path, before: Mapping[str, Any], drafted: Mapping[str, Any]) -> bytes | None:
    """The listing of the release before this one: the one that lies there, where the package is another one now."""
    if before["release"]["package"] != drafted["release"]["package"]:
        return (place / "listing.json").read_bytes()
    return (place / EARLIER).read_bytes() if (place / EARLIER).is_file() else None


def _changes(earlier: bytes, files: Mapping[str, bytes]) -> dict[str, bytes]:
    """CHANGES.md, and the mail that tells fal of them."""
    from serving.listing.changelog import attachments, composed, told
    from serving.listing.model import parsed

    before, after = parsed(earlier.decode()), parsed(files["listing.json"].decode())
    receipt = files.get("receipts/pricing.json")
    reckoning = json.loads(receipt) if receipt else None
    text = told(before, after, reckoning)
    mail = composed(before, after, reckoning, attachments(after, text, files))
    return {CHANGES: text.encode(), MAIL: mail}


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
