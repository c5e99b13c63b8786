"""Who publishes: the facts about a publisher that licences ask for, cautious where nothing is said."""

import re
import unicodedata
from collections.abc import Iterator, Mapping
from datetime import date
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator

from licenses.errors import BadPublisher, flat
from licenses.territory import ISO, WORLD, plain, reached


def _code(value: str) -> str:
    code = plain(value)
    if code not in (WORLD, "EU") and code not in ISO:
        raise ValueError("is no country of ISO 3166-1, nor EU, UK or WORLD")
    return code


def _plain(value: str) -> str:
    if any(unicodedata.category(sign) in ("Cc", "Cs") for sign in value):
        raise ValueError("must be one line without control characters")
    return value


def _day(value: Any) -> Any:
    """A plain date: a number or a time of day would be read as one too, and what is signed must read one way only."""
    if type(value) is date or (isinstance(value, str) and re.fullmatch(r"\d{4}-\d{2}-\d{2}", value, re.ASCII)):
        return value
    raise ValueError("must be a date as YYYY-MM-DD")


KINDS = ("constrained-str", "Waiver", "Registration")
OF_ANOTHER_KIND = ("string_type", "model_type")  # of a field that may be text or a mapping, what the other kind would have wanted
Amount = Annotated[float, Field(ge=0, allow_inf_nan=False, strict=True)]
Text = Annotated[str, Field(min_length=1, max_length=200, pattern=r"\S")]
Code = Annotated[str, AfterValidator(_code)]
Place = Annotated[str, Field(min_length=1, max_length=4096, pattern=r"\S")]
Day = Annotated[date, BeforeValidator(_day)]


WOULD_DO = {  # field of publisher.yaml: what belongs there
    "name": "the name that waivers are signed for",
    "revenue_usd_ttm": "a number of US dollars, 0 or more",
    "affiliates_revenue_usd_ttm": "a number of US dollars, 0 or more",
    "monthly_users": "a number, 0 or more",
    "territories": "WORLD, or a list of ISO codes such as [DE, EU]",
    "geofence": "a list of ISO codes such as [EU, GB]",
    "registrations": "a list of licence ids, or of {id, date, proof}",
    "publish_weights": "true or false",
    "adapter_license": "a licence id such as apache-2.0",
    "content_filters": "true or false",
    "license_choices": "{owner/name: licence id}",
    "waivers": "a list of at most 100 paths, or waivers with repo, revision, by, reason, evidence and expires",
}


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Registration(Strict):
    id: Text
    date: Day
    proof: Text


class Waiver(Strict):
    """An exception that an approver signs; `licenses.waivers` says whether it counts, and what it lacks where it does not."""

    repo: Text
    revision: Text
    text_sha256: Text | None = None
    use: Literal["train_adapter", "host_paid_inference", "distribute_adapter", "sell_outputs"] | None = None
    publisher: Text | None = None
    by: Text
    reason: Text
    evidence: Place
    evidence_sha256: Text | None = None
    signed: Day | None = None
    expires: Day
    signature: Text | None = None


class Publisher(Strict):
    """publisher.yaml; every absent field is the cautious default."""

    name: Annotated[Text, AfterValidator(_plain)] | None = Field(None, description="Who publishes; waivers are bound to it.")
    revenue_usd_ttm: Amount | None = Field(None, description="Revenue of the last twelve months, USD; unknown fails every cap.")
    affiliates_revenue_usd_ttm: Amount | None = Field(None, description="The same for affiliates; 0 where there are none.")
    monthly_users: Amount | None = Field(None, description="Monthly users of all products; unknown fails every cap.")
    territories: tuple[Code, ...] = Field((WORLD,), min_length=1, description="Where the endpoint is offered.")
    geofence: tuple[Code, ...] = Field((), description="Codes that are shut out by an enforced geofence.")
    registrations: tuple[Text | Registration, ...] = Field((), description="Licences registered for: ids, or {id, date, proof}.")
    publish_weights: bool = Field(False, strict=True, description="The adapter's weights are offered to everybody.")
    adapter_license: Text | None = Field(None, description="Licence id of the published adapter.")
    content_filters: bool = Field(True, strict=True, description="Inputs and outputs are filtered.")
    license_choices: Mapping[Text, Text] = Field({}, description="Licence id by repository or folder name that offers several.")
    waivers: tuple[Place | Waiver, ...] = Field((), max_length=100, description="Paths of signed waivers, or waivers inline.")

    @field_validator("revenue_usd_ttm", "affiliates_revenue_usd_ttm", "monthly_users", mode="before")
    @classmethod
    def _number(cls, value: Any) -> Any:
        if isinstance(value, bool):
            raise ValueError("must be a number, not true or false")
        return float(value) if isinstance(value, int) else value

    @field_validator("territories", mode="before")
    @classmethod
    def _alone(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value

    @property
    def revenue(self) -> float | None:
        """Revenue with affiliates; None where one of the two is unknown."""
        if self.revenue_usd_ttm is None or self.affiliates_revenue_usd_ttm is None:
            return None
        return self.revenue_usd_ttm + self.affiliates_revenue_usd_ttm

    def choice_for(self, id: str) -> str | None:
        """The licence that was chosen for an asset that offers several; None where nothing was chosen."""
        return next((licence for asset, licence in self.license_choices.items() if asset.casefold() == id.casefold()), None)

    @property
    def registered(self) -> frozenset[str]:
        """Licence ids as written, whatever their dates; whether one counts, `licenses.conditions` says."""
        return frozenset((one if isinstance(one, str) else one.id).strip().casefold() for one in self.registrations)

    def shuts_out(self, codes: tuple[str, ...]) -> bool:
        """Every country of the codes is behind an enforced geofence, and none is offered by name."""
        return not reached(codes, self.territories, self.geofence)


def load_publisher(fields: Mapping[str, Any] | None) -> Publisher:
    """The profile of these fields; BadPublisher names the field, what was got and what would do."""
    try:
        publisher = Publisher.model_validate(dict(fields or {}))
    except ValidationError as error:
        faults = error.errors()
        first = next((one for one in faults if one["type"] not in OF_ANOTHER_KIND), faults[0])
        place = ".".join(str(one) for one in first["loc"] if one not in KINDS)
        raise BadPublisher(f"publisher: {_told(first, place)}") from None
    for field, written, known in _licences(publisher):
        if not known:
            text = f"{field}: {flat(written)[:60]!r} is no licence of the catalogue; write {WOULD_DO[field]}"
            raise BadPublisher(f"publisher: {text}, as `lorasmith license check` names it")
    return publisher


def _licences(publisher: Publisher) -> Iterator[tuple[str, str, bool]]:
    """Field, licence as written, and whether the catalogue knows it: a choice by its id alone, the others by any of their names."""
    registered = [one if isinstance(one, str) else one.id for one in publisher.registrations]
    chosen = [*publisher.license_choices.values()]
    named = [("registrations", one) for one in registered]
    named += [("adapter_license", publisher.adapter_license)] if publisher.adapter_license else []
    if not named and not chosen:
        return  # the catalogue is read only where it is asked
    from licenses.catalogue import load
    from licenses.conditions import is_licence

    licences = load().licenses
    yield from ((field, one, any(is_licence(one, licence) for licence in licences.values())) for field, one in named)
    yield from (("license_choices", one, one in licences) for one in chosen)


def _told(fault: Any, place: str) -> str:
    """What was got and what would do, in the words of publisher.yaml."""
    field, told = place.partition(".")[0], str(fault["msg"]).removeprefix("Value error, ")
    if field not in WOULD_DO:
        return f"{place or 'the profile'}: is no field of it; use {', '.join(WOULD_DO)}"
    if fault["type"] == "extra_forbidden":
        return f"{place}: is not known; write {WOULD_DO[field]}"
    got = fault.get("input")
    if field in ("territories", "geofence") and any(isinstance(one, bool) for one in (got if isinstance(got, list) else [got])):
        return f"{place}: got {got}; write country codes in quotes, as NO without them is read as false"
    own = f"{told}, " if fault["type"] == "value_error" or "." in place else ""
    return f"{place}: {own}got {fault.get('input')!r:.60}; write {WOULD_DO[field]}"
