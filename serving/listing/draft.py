"""From a live release to a folder that can be sent: listing.json and everything that is rendered from it."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from serving.listing import lint, mail, reach, render
from serving.listing.api import api_of
from serving.listing.banner import THUMBNAIL, banners
from serving.listing.diff import changes
from serving.listing.errors import ListingError
from serving.listing.examples import Examples, collected
from serving.listing.facts import facts_of
from serving.listing.figures import figure
from serving.listing.gallery import Progress, unit_of
from serving.listing.licence import licence_of
from serving.listing.model import Contact, Group, Listing, ListingTexts, Metadata, Question, Release, Smoke, dumped, parsed
from serving.listing.model_licence import Licence
from serving.listing.model_values import Receipt
from serving.listing.planning import Shot
from serving.listing.pricing import price
from serving.listing.reckoning import RECEIPT, Basis, reckoned, reckoning_of

RELEASE_FACTS = ("id", "app", "package", "verdict_hash", "revision", "target", "urls", "evidence", "created_at")
CALLERS = {"caller": "a second account", "owner": "the owner’s own account"}
QUESTIONS = (
    ("Revenue share", "Which share of the unit price goes to the author, and how is it reported?"),
    ("Idle runners", "Who pays for idle and always-on runners while the app is in shared mode?"),
    ("Review criteria", "What does the review look at, and is anything missing in this draft?"),
    ("Turnaround", "How long does a review take, and how are changes after it handled?"),
    ("Payout", "How and when are payouts made, and which identity and tax papers do you need?"),
)


def draft_listing(
    out: Path,
    *,
    release: Mapping[str, Any],
    bundle: Path,
    verdict: Mapping[str, Any],
    dataset: Mapping[str, Any],
    texts: ListingTexts,
    shots: Sequence[Shot],
    gallery: Path,
    progress: Progress,
    settings: Mapping[str, Any] | None = None,
    basis: Basis | None = None,
    earned: Mapping[str, Any] | None = None,
    date: datetime | None = None,
) -> dict[str, Any]:
    """Write listing.json, the texts, the mail, thumbnail.png, social.png, examples/ and receipts/ into `out`.

    `gallery` is the folder with the pictures of `shots` (gallery.photographed); nothing is called here. `settings` (the package's
    settings.json) fills the bounds of the API table. `basis` is what a price can be reckoned from: with it, PRICING.md and
    pricing.svg are written too. `earned` is what the release before cost so far: fields of profit.Measured, with `live_usd` and
    `share`, each of which may be None. `date` is the mail's Date; without it the mail client sets it. GalleryError where pictures
    lack, DraftRefused (one line an error) where lint finds errors: then `out`, an empty folder, stays empty.
    """
    if out.exists() and any(out.iterdir()):
        raise ListingError(f"{out}: got a folder with files in it; a draft is written into an empty one")
    evaluation, manifest = (read(bundle / name) for name in ("evaluation.json", "manifest.json"))
    made = collected(shots, gallery=gallery, bundle=bundle)
    documents: dict[str, Any] = (
        {
            "evaluation": evaluation,
            "bundle": manifest,
            "dataset": dict(dataset),
            "verdict": dict(verdict),
            "release": {key: release[key] for key in RELEASE_FACTS if key in release},
            "gallery": {"calls": list(made.calls), "images": made.images, "units": made.units},
        }
        | ({"settings": dict(settings)} if settings else {})
        | ({RECEIPT: reckoned(basis)} if basis else {})
        | ({"measured": dict(earned)} if earned else {})
    )
    strip = reach.reached(made.examples, made.files, float(manifest["scale"]))
    documents |= {reach.RECEIPT: strip} if strip else {}
    files = made.files | {f"receipts/{name}.json": canonical(document) for name, document in documents.items()}
    documents = {name: json.loads(files[f"receipts/{name}.json"]) for name in documents}
    listing = assembled(documents, files, made=made, texts=texts)
    findings = lint.linted(listing, files)
    lint.refuse_errors(findings)
    progress("page, model card and mail")
    files |= rendered(listing, files, date)
    write(out, files)
    return {
        "images": made.images,
        "units": made.units,
        "calls": len(made.calls),
        "endpoint_id": listing.endpoint_id,
        "warnings": [str(finding) for finding in findings if finding.level == "warning"],
        "listing_sha256": hashlib.sha256(files["listing.json"]).hexdigest(),
    }


def redrafted(
    document: Mapping[str, Any],
    files: Mapping[str, bytes],
    *,
    others: Sequence[Listing] = (),
    earlier: Listing | None = None,
) -> dict[str, bytes]:
    """All files of a draft whose words were edited: every text rendered again. DraftRefused where lint finds errors.

    `earlier` is the listing of the release before, whose changes are then told.
    """
    listing = parsed(json.dumps(document))
    beside = {name: content for name, content in files.items() if name.startswith(("examples/", "receipts/"))}
    lint.refuse_errors(lint.linted(listing, beside, others))
    return {**files, **rendered(listing, beside, None, earlier)}


def assembled(
    documents: Mapping[str, Any],
    files: Mapping[str, bytes],
    *,
    made: Examples,
    texts: ListingTexts,
) -> Listing:
    """The listing out of the receipts' documents, the gallery and the author's texts."""
    endpoint = endpoint_of(documents["release"])
    licence = licence_of(documents["verdict"])
    reckoning = reckoning_of(documents[RECEIPT]) if RECEIPT in documents else None
    return Listing(
        endpoint_id=endpoint,
        metadata=metadata_of(endpoint, documents, texts, licence),
        pricing=price(texts.price_usd, reckoning, unit_of(documents.get("settings")), earned=documents.get("measured")),
        examples=made.examples,
        pinned=texts.prompts,
        api=api_of(documents),
        facts=facts_of(documents),
        licence=licence,
        release=release_of(documents),
        contact=Contact(sender=texts.sender, recipient=texts.recipient, support=texts.support),
        open_questions=tuple(Question(topic=topic, question=question) for topic, question in QUESTIONS),
        receipts={name: receipt(f"receipts/{name}.json", files) for name in documents},
    )


def metadata_of(endpoint: str, documents: Mapping[str, Any], texts: ListingTexts, licence: Licence) -> Metadata:
    created = str(documents["release"].get("created_at") or "")[:10]
    commercial = licence.host_paid_inference in lint.ALLOWED_VERDICTS
    return Metadata(
        display_name=texts.title,
        category=texts.category,
        description=texts.short_description,
        tags=tuple(texts.tags),
        thumbnail_url=THUMBNAIL,
        model_url=f"https://fal.run/{endpoint}",
        license_type="commercial" if commercial else "private",
        group=Group(key=endpoint.rpartition("/")[2], label=texts.title),
        date=created or None,
    )


def release_of(documents: Mapping[str, Any]) -> Release:
    release = documents["release"]
    evidence = release.get("evidence") or {}
    environment = next((name for name in ("main", "candidate") if "images" in (evidence.get(name) or {})), None)
    seen = evidence.get(environment, {}) if environment else {}
    health = seen.get("health") or {}
    return Release(
        app=release["app"],
        revision=release.get("revision"),
        package=release["package"],
        target=release["target"],
        address=(release.get("urls") or {}).get("run"),
        health={key: value for key, value in health.items() if value is None or isinstance(value, str | int | float | bool)},
        smoke=smoke_of(documents, environment) if environment else None,
    )


def smoke_of(documents: Mapping[str, Any], environment: str) -> Smoke:
    numbers = {
        name: figure(documents, "release", f"/evidence/{environment}/{name}", "{}")
        for name in ("unauthenticated_status", "images", "units")
    }
    caller = CALLERS.get(documents["release"]["evidence"][environment].get("caller"), "an account that was not recorded")
    return Smoke(environment=environment, caller=caller, **numbers)


def endpoint_of(release: Mapping[str, Any]) -> str:
    """owner/app, from the app's name or from the address that the platform gave it."""
    app = str(release["app"])
    path = urlsplit(str((release.get("urls") or {}).get("run", ""))).path.strip("/")
    owner, _, name = path.partition("/")
    return f"{owner}/{app}" if "/" not in app and name.split("/")[0] == app else app


def rendered(
    listing: Listing, files: Mapping[str, bytes], date: datetime | None, earlier: Listing | None = None
) -> dict[str, bytes]:
    """Every text of the draft, as UTF-8, and the pictures that name it."""
    drawn = banners(listing, files)
    changed = changes(earlier, listing) if earlier else ()
    texts = {
        "listing.json": dumped(listing),
        "index.html": render.page(listing, {**files, **drawn}, changed),
        "MODEL_CARD.md": render.model_card(listing, changed),
        "about.md": render.about(listing),
        "llms.txt": render.llms_txt(listing, changed),
    }
    if listing.pricing.reckoning:
        curves = json.loads(files[f"receipts/{RECEIPT}.json"])["curves"]
        texts |= {"PRICING.md": render.pricing(listing), "pricing.svg": render.pricing_plot(listing, curves)}
    written = {name: text.encode() for name, text in texts.items()}
    attached = {name: written[name] for name in ("index.html", "MODEL_CARD.md", "listing.json")} | drawn
    return written | drawn | {"request.eml": mail.composed(listing, render.mail_body(listing, changed), attached, date=date)}


def write(out: Path, files: Mapping[str, bytes]) -> None:
    for name, content in sorted(files.items()):
        path = out / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def read(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ListingError(f"{path}: not readable as JSON ({' '.join(str(error).split())}); evaluate the adapter again") from None
    assert isinstance(document, dict), path
    return document


def receipt(path: str, files: Mapping[str, bytes]) -> Receipt:
    return Receipt(path=path, sha256=hashlib.sha256(files[path]).hexdigest())


def canonical(document: Mapping[str, Any]) -> bytes:
    """Sorted JSON; dates of a database row become text."""
    return (json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False, default=str) + "\n").encode()
