"""What a reviewer would send back, found before they see it. Pure: a listing and its files in, findings out."""

import hashlib
import io
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from difflib import SequenceMatcher

from PIL import Image, UnidentifiedImageError

from serving.listing.ageing import outdated
from serving.listing.banner import SIZE as CARD_SIZE
from serving.listing.errors import DraftRefused
from serving.listing.facts import marking, safety
from serving.listing.figures import at
from serving.listing.findings import Finding, Level, error, warning
from serving.listing.links import linked
from serving.listing.model import Listing
from serving.listing.model_facts import Facts
from serving.listing.model_values import Figure, Part
from serving.listing.pricing import loses_money
from serving.listing.reckoning import RECEIPT
from serving.listing.wording import MEASURE, worded

CATEGORIES = frozenset(
    {
        *("text-to-image", "image-to-image", "text-to-video", "image-to-video", "video-to-video", "text-to-3d", "image-to-3d"),
        *("text-to-audio", "text-to-speech", "speech-to-text", "audio-to-audio", "vision", "llm", "training", "json"),
    }
)
MAX_TITLE, MAX_DESCRIPTION = 60, 160
PLACEHOLDER = re.compile(
    r"\b(lorem ipsum|todo|tbd|xxx+|placeholder|changeme|change me|your[ -](?:name|title|text)|insert here)\b|<[a-z _-]+>",
    re.I,
)
ADDRESS = re.compile(r"[^@\s<>]+@[^@\s<>]+\.[^@\s<>]+")
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
ALLOWED_VERDICTS = ("allow", "duties")

LEVELS: tuple[Level, ...] = ("error", "warning", "note")
MAX_PICTURE_BYTES, LEAST_SIDE = 4 << 20, 32
MAX_MAIL_BYTES = 20 << 20  # many servers take no more
SHAPES = {"social.png": CARD_SIZE}
ALIKE = 0.9  # of two descriptions, from which on callers read the same


def linted(
    listing: Listing, files: Mapping[str, bytes], others: Sequence[Listing] = (), today: date | None = None
) -> tuple[Finding, ...]:
    """All findings, errors first; `files` are those beside the listing, by relative path; `others` the author's other listings.

    With `today`, what has grown old is found too.
    """
    reckoning = files.get(listing.receipts[RECEIPT].path) if RECEIPT in listing.receipts else None
    rules = (
        texts(listing),
        contact(listing),
        category(listing),
        numbers(listing, files),
        pictures(listing, files),
        rights(listing),
        market(listing),
        alone(listing, others),
        linked(listing, files),
        outdated(listing, json.loads(reckoning) if reckoning else None, today) if today else (),
    )
    found = [finding for rule in rules for finding in rule]
    return tuple(sorted(found, key=lambda finding: LEVELS.index(finding.level)))


def refuse_errors(findings: tuple[Finding, ...]) -> None:
    """DraftRefused with one line an error; warnings pass."""
    errors = [str(finding) for finding in findings if finding.level == "error"]
    if errors:
        raise DraftRefused("\n".join(errors))


def texts(listing: Listing) -> Iterator[Finding]:
    """Length, blank, placeholders and control characters of what the author wrote."""
    written = {"title": listing.metadata.display_name, "short_description": listing.metadata.description}
    for (where, text), limit in zip(written.items(), (MAX_TITLE, MAX_DESCRIPTION), strict=True):
        if not text.strip():
            yield error("empty", where, "is empty; write it in the job's listing")
        if len(text) > limit:
            yield error("too-long", where, f"has {len(text)} characters; at most {limit} fit the card")
    written |= {f"tags[{index}]": tag for index, tag in enumerate(listing.metadata.tags)}
    written |= {"facts.purpose": listing.facts.purpose}
    written |= {f"facts.prompting[{index}]": tip for index, tip in enumerate(listing.facts.prompting)}
    written |= {f"facts.limits[{index}]": line for index, line in enumerate(listing.facts.limits)}
    written |= {f"open_questions[{index}]": one.question for index, one in enumerate(listing.open_questions)}
    written |= {f"examples[{index}].alt": one.alt for index, one in enumerate(listing.examples)}
    for where, text in written.items():
        if found := PLACEHOLDER.search(text):
            yield error("placeholder", where, f"still says {found[0]!r}; write the real text")
        if found := CONTROL.search(text):
            yield error("control-character", where, f"holds {found[0]!r}; write it on one line")
        if not where.startswith("examples"):  # an alternative text quotes its prompt
            yield from worded(where, text)


def contact(listing: Listing) -> Iterator[Finding]:
    """From, To and support must be there; From and To must be addresses on one line."""
    people = listing.contact
    for where, text in (("sender", people.sender), ("recipient", people.recipient), ("support", people.support)):
        if not text.strip():
            yield error("empty", where, f"is empty; set listing.{where} in the job")
        elif CONTROL.search(text):
            yield error("control-character", where, "holds a line break or another control character; write it on one line")
        elif where != "support" and not ADDRESS.search(text):
            yield error("no-address", where, f"got {text!r}; write an address such as Studio <studio@example.org>")


def category(listing: Listing) -> Iterator[Finding]:
    if listing.metadata.category not in CATEGORIES:
        yield error("category", "category", f"got {listing.metadata.category!r}; fal's are {', '.join(sorted(CATEGORIES))}")


def numbers(listing: Listing, files: Mapping[str, bytes]) -> Iterator[Finding]:
    """Every figure is in its receipt, every receipt is the file that it was, and statements use no other numbers."""
    documents = {}
    for name, receipt in listing.receipts.items():
        content = files.get(receipt.path)
        if content is None or hashlib.sha256(content).hexdigest() != receipt.sha256:
            yield error(
                "receipt",
                f"receipts.{name}",
                f"{receipt.path} is {'missing' if content is None else 'another file now'}; draft again",
            )
        else:
            documents[name] = json.loads(content)
    known = list(figures(listing))
    for where, figure in known:
        stored = at(documents, figure.receipt, figure.pointer)
        if figure.receipt not in listing.receipts:
            yield error("no-receipt", where, f"{figure.text} has no receipt; a number needs the file that it came from")
        elif figure.receipt in documents and (stored is None or (figure.count_of is None and stored != figure.value)):
            yield error(
                "receipt-differs", where, f"says {figure.value}, the receipt says {stored} at {figure.pointer}; draft again"
            )
    shown = {number for where, figure in known if where.startswith("facts.") for number in NUMBER.findall(figure.text)}
    texts = [figure.text for _, figure in known]
    settings = documents.get("settings")  # what the app says of itself is told by that receipt, word by word
    told = {"facts.safety": safety(settings), "facts.marking": marking(settings)}
    for where, statement in statements(listing.facts):
        if statement == told.get(where):
            continue
        for number in NUMBER.findall(statement.replace(listing.facts.trigger or "\0", " ")):
            if number not in shown:
                yield error("no-receipt", where, f"says {number}, and no figure of the listing does; take it out or measure it")
        for measure in MEASURE.findall(statement):
            if not any(measure in text for text in texts):
                yield error("no-receipt", where, f"says {measure}, and no figure of the listing does; take it out or measure it")


def pictures(listing: Listing, files: Mapping[str, bytes]) -> Iterator[Finding]:
    """Examples are there, are the files that were made, and can be described to somebody who does not see them."""
    if not listing.examples:
        yield error("no-examples", "examples", "there are none; call the deployed app for at least one")
    for index, example in enumerate(listing.examples):
        for role in ("output", "base", "real"):
            picture = getattr(example, role)
            content = files.get(picture.file) if picture else None
            if picture and (content is None or hashlib.sha256(content).hexdigest() != picture.sha256):
                state = "missing" if content is None else "not the file that was made"
                yield error("example", f"examples[{index}].{role}", f"{picture.file} is {state}; draft again")
            elif picture and content and len(content) > MAX_PICTURE_BYTES:
                size = f"{len(content) / 2**20:.1f} MiB, more than {MAX_PICTURE_BYTES >> 20}"
                yield warning("large-picture", f"examples[{index}].{role}", f"{picture.file} has {size}; ask the app for JPEG")
            elif picture and min(picture.width, picture.height) < LEAST_SIDE:
                yield warning(
                    "small-picture", f"examples[{index}].{role}", f"is {picture.width} x {picture.height} pixels; nobody sees much"
                )
        if not example.alt.strip():
            yield error("no-alt", f"examples[{index}].alt", "is empty; say what the picture shows")
    for name, shape in SHAPES.items():
        if name in files and (got := size_of(files[name])) != shape:
            yield error("picture-size", name, f"is {got[0]} x {got[1]} pixels, {shape[0]} x {shape[1]} are needed; draft again")
    if len(mail := files.get("request.eml", b"")) > MAX_MAIL_BYTES:
        yield warning("large-mail", "request.eml", f"has {len(mail) >> 20} MiB, more than many servers take; ask the app for JPEG")


def size_of(content: bytes) -> tuple[int, int]:
    """Width and height by the file's head; nothing is decoded. Zero of what is no picture."""
    try:
        with Image.open(io.BytesIO(content)) as picture:
            return picture.size
    except (UnidentifiedImageError, OSError):
        return 0, 0


def rights(listing: Listing) -> Iterator[Finding]:
    if listing.licence.host_paid_inference not in ALLOWED_VERDICTS:
        got = listing.licence.host_paid_inference
        yield error(
            "licence",
            "licence.host_paid_inference",
            f"the verdict is {got!r}; a listing needs 'allow' or 'duties' (`lorasmith license report`)",
        )
    for line in listing.licence.display_lines:
        if not line.strip():
            yield error("licence", "licence.display_lines", "one is empty; a line that a licence demands can not be blank")
    title, names = listing.metadata.display_name, listing.licence.names
    if names and not title.casefold().startswith(tuple(name.casefold() for name in names)):
        yield error(
            "licence", "title", f"got {title!r}; a licence wants it to begin with {' or '.join(map(repr, names))}: name it so"
        )


def market(listing: Listing) -> Iterator[Finding]:
    """What does not stop a draft, and what fal would ask about first."""
    release = listing.release
    if release.retired:
        yield error("retired", "release", f"{release.retired} Nothing is asked of fal for it but to take it down (takedown.eml)")
    if "/" not in listing.endpoint_id:
        yield error("endpoint", "endpoint_id", f"got {listing.endpoint_id!r}; callers need owner/app")
    if release.smoke is None:
        yield error("no-evidence", "release.smoke", "there is no smoke test of this release; deploy it again")
    elif listing.pricing.unit == "image" and release.smoke.units.value != release.smoke.images.value:
        yield error(
            "billing", "release.smoke", f"{release.smoke.units.text} units were billed for {release.smoke.images.text} images"
        )
    if not release.health:
        yield warning("no-health", "release.health", "no answer of the health check is recorded")
    if release.target != "fal":
        yield warning("not-on-fal", "release.target", f"is {release.target!r}; deploy with --target fal before the mail is sent")
    if not listing.facts.evaluation.learned:
        yield warning("not-learned", "facts.evaluation", "the adapter did not measurably learn; the page says so")
    if listing.pricing.unit_price_usd is None:
        yield warning("no-price", "pricing", "is left open; set listing.price_usd in the job to ask for one")
    if loses_money(listing.pricing):
        yield warning("price-below-cost", "pricing", listing.pricing.rationale)
    if "loses money" in (listing.pricing.measured or ""):
        yield warning("price-below-cost", "pricing.measured", str(listing.pricing.measured))
    for line in listing.pricing.reckoning.warnings if listing.pricing.reckoning else ():
        yield warning("price-advice", "pricing", line)


def alone(listing: Listing, others: Sequence[Listing]) -> Iterator[Finding]:
    """A title or a description that another listing of the author has already: callers could not tell them apart."""
    for other in others:
        if other.endpoint_id == listing.endpoint_id:
            continue
        for where in ("display_name", "description"):
            mine, theirs = getattr(listing.metadata, where), getattr(other.metadata, where)
            if " ".join(mine.casefold().split()) == " ".join(theirs.casefold().split()):
                yield error("duplicate", where, f"is that of {other.endpoint_id} too; say what sets this one apart")
            elif where == "description" and SequenceMatcher(None, mine.casefold(), theirs.casefold()).ratio() >= ALIKE:
                yield warning("near-duplicate", where, f"is almost that of {other.endpoint_id}; say what sets this one apart")
        if same := pictures_of(listing) & pictures_of(other):
            yield warning(
                "duplicate-pictures", "examples", f"{len(same)} pictures are those of {other.endpoint_id} too; draw others"
            )


def pictures_of(listing: Listing) -> set[str]:
    return {example.output.sha256 for example in listing.examples}


def figures(listing: Listing) -> Iterator[tuple[str, Figure]]:
    """Every figure in facts, release and pricing, with its place."""

    def walk(where: str, value: object) -> Iterator[tuple[str, Figure]]:
        if isinstance(value, Figure):
            yield where, value
        elif isinstance(value, Part):
            for name in type(value).model_fields:
                yield from walk(f"{where}.{name}", getattr(value, name))
        elif isinstance(value, dict):
            for name, item in value.items():
                yield from walk(f"{where}.{name}", item)
        elif isinstance(value, tuple):
            for index, item in enumerate(value):
                yield from walk(f"{where}[{index}]", item)

    yield from walk("facts", listing.facts)
    yield from walk("release", listing.release)
    yield from walk("pricing", listing.pricing)


def statements(facts: Facts) -> Iterator[tuple[str, str]]:
    """Sentences in which a number would be a claim."""
    yield "facts.training_data.statement", facts.training_data.statement
    yield "facts.evaluation.statement", facts.evaluation.statement
    yield "facts.safety", facts.safety
    yield "facts.marking", facts.marking
    yield "facts.purpose", facts.purpose
    for measured in ("memorisation", "champion"):
        if part := getattr(facts.evaluation, measured):
            yield f"facts.evaluation.{measured}.statement", part.statement
    if facts.speed:
        yield "facts.speed.statement", facts.speed.statement
    if facts.strengths:
        yield "facts.strengths.statement", facts.strengths.statement
    for name in ("limits", "prompting"):
        for index, line in enumerate(getattr(facts, name)):
            yield f"facts.{name}[{index}]", line
