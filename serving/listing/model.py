"""The listing as data: one frozen document, field names as in fal's model API, and a receipt for every number."""

import json
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import Field, ValidationError

from serving.listing.errors import ListingError
from serving.listing.model_facts import Facts
from serving.listing.model_licence import Licence
from serving.listing.model_price import Pricing
from serving.listing.model_values import Figure, Part, Picture, Receipt, Scalar

SCHEMA: Literal["lorasmith/listing/1"] = "lorasmith/listing/1"
DIALECT = "https://json-schema.org/draft/2020-12/schema"


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
