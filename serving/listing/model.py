"""The listing as data: one frozen document, field names as in fal's model API, and a receipt for every number."""

import json
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from serving.listing.errors import ListingError

SCHEMA: Literal["lorasmith/listing/1"] = "lorasmith/listing/1"
DIALECT = "https://json-schema.org/draft/2020-12/schema"

Scalar = int | float | str | bool | None


@dataclass(frozen=True, kw_only=True, slots=True)
class ListingTexts:
    """What the author writes; everything else in a listing is read from what was made."""

    title: str
    short_description: str
    category: str = "text-to-image"
    tags: tuple[str, ...] = ()
    sender: str = ""
    recipient: str = ""
    support: str = ""
    price_usd: float | None = None
    prompts: tuple[str, ...] = ()


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Receipt(Part):
    """Where numbers come from: a file beside the listing, and its hash."""

    path: str = Field(description="Relative to the folder of the listing")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


class Figure(Part):
    """One number, as it is stored and as it is shown, with the place that it was read from."""

    value: int | float = Field(allow_inf_nan=False)
    text: str = Field(description="As pages show it")
    receipt: str = Field(description="Id in receipts")
    pointer: str = Field(description="JSON pointer (RFC 6901) in the receipt")
    count_of: str | None = Field(
        None, description="What was counted below the pointer; without it the pointer leads to the value itself"
    )


class Group(Part):
    key: str
    label: str


class Metadata(Part):
    """The card, as `GET /v1/models` gives it."""

    display_name: str
    category: str
    description: str
    status: Literal["active", "deprecated"] = "active"
    tags: tuple[str, ...] = ()
    thumbnail_url: str = Field(description="File beside the listing until fal hosts it")
    model_url: str
    github_url: str | None = None
    license_type: Literal["commercial", "research", "private"]
    group: Group | None = None
    kind: Literal["inference", "training"] = "inference"
    date: str | None = Field(None, description="Day of the release (ISO 8601)")
    highlighted: bool = False
    pinned: bool = False


class Volume(Part):
    """What a unit costs at a volume of requests, in US dollars, and what of it drawing, starts and idle runners take."""

    name: str
    requests_a_day: Figure
    usd: Figure
    drawing: Figure
    starting: Figure
    idling: Figure
    wait_p95: Figure = Field(description="Seconds until a runner is free that one caller in twenty waits longer than")


class Anchor(Part):
    """What a comparable endpoint asks for its unit."""

    endpoint: str
    unit: Literal["megapixel", "image"]
    usd: Figure


class Reckoning(Part):
    """The sum behind a price: what a unit costs to make, and what comparable endpoints ask."""

    floor: Figure = Field(description="Covers the cost at middle traffic, in US dollars")
    recommended: Figure
    ceiling: Figure | None
    break_even: Figure | None = Field(description="Requests a day from which the recommended price covers the cost")
    volumes: tuple[Volume, ...]
    anchors: tuple[Anchor, ...]
    anchors_as_of: str | None
    assumptions: tuple[str, ...]
    warnings: tuple[str, ...]


class Pricing(Part):
    unit: Literal["image", "megapixel", "request"] = "image"
    meaning: str = Field("one delivered image", description="What one unit is")
    unit_price_usd: float | None = None
    currency: Literal["USD"] = "USD"
    basis: Literal["asked by the author", "recommended", "to be agreed"]
    label: str = Field(description="As pages show it")
    rationale: str
    reckoning: Reckoning | None = None
    measured: str | None = Field(None, description="What a unit cost so far, and whether the live price covers it; for the author")


class Picture(Part):
    file: str
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    width: int = Field(ge=1)
    height: int = Field(ge=1)


class Example(Part):
    """One call of the deployed app. pair: base and real picture stand beside it where there are such; strength: one of a strip;

    trigger: without the word that calls the style; hard: what the adapter gained least on.
    """

    input: dict[str, Scalar | dict[str, int]]
    output: Picture
    seed: int
    alt: str
    role: Literal["pair", "strength", "trigger", "hard"] = "pair"
    strength: float | None = Field(None, description="lora_scale, where it was not the app's default")
    base: Picture | None = None
    real: Picture | None = None


class Control(Part):
    """The playground's input for a field. size: two numbers, `default` is the width and `second` the height."""

    kind: Literal["text", "line", "integer", "number", "size", "choice", "flag"]
    default: Scalar = None
    second: int | None = None
    least: float | None = None
    most: float | None = None
    step: float | None = None
    options: tuple[str, ...] = ()


class Parameter(Part):
    name: str
    type: str
    required: bool = False
    default: str | None = None
    bounds: str | None = None
    description: str
    control: Control | None = Field(None, description="None where the playground has no input for it")


class Endpoint(Part):
    path: str = Field(description="Below the address of the app")
    description: str
    billed: bool


class Api(Part):
    input: tuple[Parameter, ...]
    output: tuple[Parameter, ...]
    endpoints: tuple[Endpoint, ...] = ()


class TrainingData(Part):
    statement: str
    train: Figure
    held_out: Figure
    license: str | None
    source: str | None


class HeldOut(Part):
    caption: str
    base: float
    adapter: float


class Memorisation(Part):
    """Whether drawn pictures are copies of training pictures; `copies` one for each way to compare that was taken."""

    statement: str
    drawn: Figure
    copies: tuple[Figure, ...]
    chance: Figure = Field(description="Of such a gain at training captions over held-out ones, if both were alike")
    method: str


class Champion(Part):
    """Against the adapter that was live before; the interval is that of the loss, new minus live."""

    statement: str
    loss: Figure
    relative: Figure
    interval: tuple[Figure, Figure] | None


class Measure(Part):
    name: str
    meaning: str
    adapter: Figure
    base: Figure | None


class StrengthRange(Part):
    low: Figure
    high: Figure
    statement: str


class Evaluation(Part):
    statement: str
    learned: bool
    held_out: Figure
    base_loss: Figure
    adapter_loss: Figure
    relative: Figure
    interval: tuple[Figure, Figure] | None
    better: Figure | None = Field(description="Held-out pictures on which the adapter's loss is below the base's")
    per_picture: tuple[HeldOut, ...]
    champion: Champion | None = None
    memorisation: Memorisation | None = None
    measures: tuple[Measure, ...] = ()


class Speed(Part):
    """What callers waited for a picture, measured; `usd` is the machine's time of the middle one, where its rate is known."""

    statement: str
    calls: Figure
    middle: Figure
    slowest: Figure
    usd: Figure | None = None


class Facts(Part):
    base: str
    family: str
    training_data: TrainingData
    evaluation: Evaluation
    trigger: str | None
    purpose: str = Field("", description="What it is for")
    prompting: tuple[str, ...] = Field((), description="Tips, a sentence or two each")
    caption_words: Figure | None = Field(None, description="Median words of a caption")
    strength: Figure
    strengths: StrengthRange | None = None
    resolution: Figure
    settings: dict[str, Figure] = Field(description="Recommended inference settings, as request fields")
    limits: tuple[str, ...]
    safety: str
    marking: str
    speed: Speed | None = Field(None, description="Measured when the gallery was made; None where no call was timed")


class LicenceNode(Part):
    id: str
    role: str
    license: str
    revision: str | None = None
    identified_by: str | None = None


class Notice(Part):
    file: str
    text: str


class Restriction(Part):
    """Use restrictions that bind callers: the text, or only the file of the licence where they stand."""

    license: str
    node: str
    file: str
    section: str
    text: str


class Licence(Part):
    """The verdict on every right that the endpoint rests on. `claim`: what the card may name as the adapter's licence."""

    name: str
    ids: tuple[str, ...]
    host_paid_inference: str
    verdict_hash: str
    nodes: tuple[LicenceNode, ...]
    duties: tuple[str, ...]
    notice_lines: tuple[str, ...]
    display_lines: tuple[str, ...]
    notices: tuple[Notice, ...]
    expression: str = Field("", description="SPDX expression of all licences together")
    claim: str | None = None
    terms: tuple[str, ...] = Field((), description="What callers are bound to, a sentence each")
    restrictions: tuple[Restriction, ...] = ()
    credits: tuple[str, ...] = Field((), description="Who made what the work is built on")
    data: tuple[str, ...] = Field((), description="What the publisher states about the training data")
    names: tuple[str, ...] = Field(
        (), description="Beginnings, one of which the title must have where a licence has a rule for names"
    )


class Smoke(Part):
    """What a caller saw on the deployed app when it was released."""

    environment: str
    caller: str = Field(description="Whose key was used, in words")
    unauthenticated_status: Figure
    images: Figure
    units: Figure


class Release(Part):
    app: str
    revision: str | None
    package: str
    target: str
    address: str | None = Field(None, description="Where the release answers, as the platform named it")
    health: dict[str, Scalar]
    smoke: Smoke | None
    retired: str | None = Field(None, description="Since when and why callers are served no more; nothing is asked of fal then")


class Contact(Part):
    sender: str
    recipient: str
    support: str


class Question(Part):
    topic: str
    question: str


class Listing(Part):
    """Everything that page, card, about text, llms.txt and mail are rendered from."""

    schema_: Literal["lorasmith/listing/1"] = Field(SCHEMA, alias="schema")
    endpoint_id: str
    metadata: Metadata
    pricing: Pricing
    examples: tuple[Example, ...]
    pinned: tuple[str, ...] = Field((), description="Prompts that the author chose; the others were chosen by coverage")
    api: Api
    facts: Facts
    licence: Licence
    release: Release
    contact: Contact
    open_questions: tuple[Question, ...]
    receipts: dict[str, Receipt]


def json_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of listing.json; docs/schemas/listing.schema.json is this, and a test holds them equal."""
    schema = Listing.model_json_schema(by_alias=True, mode="serialization")
    return {"$schema": DIALECT, "$id": "lorasmith/listing/1", **schema}


def dumped(listing: Listing) -> str:
    """listing.json: indented, Unicode as it is, one newline at the end; the same listing gives the same bytes."""
    return json.dumps(listing.model_dump(mode="json", by_alias=True), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def parsed(text: str, source: str = "listing.json") -> Listing:
    """Read listing.json back, also after an edit by hand; ListingError names the first field at fault."""
    try:
        return Listing.model_validate_json(text)
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        field = ".".join(str(part) for part in fault["loc"]) or "listing"
        raise ListingError(f"{source}: {field}: {fault['msg'].lower()}; see docs/schemas/listing.schema.json") from None
