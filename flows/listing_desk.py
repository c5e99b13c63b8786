"""The author's copy of a listing: HOME/listings/TARGET/APP. Words edited there survive every new draft; nothing else is edited."""

import json
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flows.errors import JobError
from flows.listing_folder import (
    CHANGES,
    DRAFT,
    EARLIER,
    MAIL,
    OWN,
    before_files,
    contents,
    listing_in,
    others,
    require,
    restore,
    swap,
)
from flows.progress import bar, say
from flows.store import locked
from flows.targets import registry_url

if TYPE_CHECKING:
    from flows.targets import Target
    from serving.listing.findings import Finding
    from serving.listing.remake import Remade

REQUESTS = ("request.eml", "first-request.eml", MAIL)  # what a retired app asks of nobody


@dataclass(frozen=True, kw_only=True, slots=True)
class Laid:
    """What a new draft did to the author's copy; each line is for the author's eyes."""

    place: Path
    conflicts: tuple[str, ...]
    ignored: tuple[str, ...]


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
    from flows.books.records import write_text

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
