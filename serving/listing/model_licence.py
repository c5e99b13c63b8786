"""The licences behind a listing as data: the verdict, and what it binds publisher and callers to."""

from pydantic import Field

from serving.listing.model_values import Part


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
