"""What a dataset says of itself beside its licence, and the lines of a truthful statement about it. Nothing is judged here."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

from licenses.catalogue import Catalogue
from licenses.errors import flat

if TYPE_CHECKING:
    from licenses.node import Node

OWN = "own"
NAMED = 6


@dataclass(frozen=True, kw_only=True, slots=True)
class Item:
    """Pictures of a dataset under terms of their own: `title` is their file or pattern, `license` a catalogue id, own or None."""

    title: str
    license: str | None
    author: str = ""
    source: str = ""
    link: str = ""

    def as_json(self) -> dict[str, str | None]:
        return {
            "title": self.title,
            "author": self.author,
            "source": self.source,
            "license": self.license,
            "link": self.link,
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class Stated:
    """The publisher's word about people and opt-outs; None is what was not said. `consent` is none, stated or recorded."""

    persons: str | None = None
    consent: str = "none"
    minors: str | None = None
    checked: bool | None = None
    checked_how: str = ""
    checked_on: date | None = None


def statement(nodes: Iterable["Node"], catalogue: Catalogue, as_of: date) -> tuple[str, ...]:
    """The lines that report and listing print about the training data: what is not stated is said to be so."""
    return tuple(line for node in nodes if node.role == "dataset" for line in _lines(node, catalogue, as_of))


def titles(items: Iterable[Item]) -> str:
    """Items in one line, the first few by name."""
    named = [flat(item.title) for item in items]
    more = f" and {len(named) - NAMED} more" if len(named) > NAMED else ""
    return ", ".join(named[:NAMED]) + more


def _lines(node: "Node", catalogue: Catalogue, as_of: date) -> Iterator[str]:
    if node.items:
        yield f"Of these {titles(node.items)}: {_terms(node, catalogue)}."
        return
    place = f" ({node.revision})" if node.revision else ""
    yield f"Training data {node.id}{place}: {_terms(node, catalogue)}."
    said = node.stated or Stated()
    yield f"Persons: {_persons(said)}."
    if said.minors is not None or said.persons not in (None, "none"):
        yield f"Minors: {'not stated' if said.minors is None else f'{said.minors}, by the statement of the publisher'}."
    yield f"Opt-outs of authors: {_opt_outs(said, as_of)}."


def _terms(node: "Node", catalogue: Catalogue) -> str:
    licence = catalogue.licenses.get(node.license or "")
    terms = "made by the publisher" if node.own else licence.name if licence else "licence not told"
    author = f", by {flat(node.author)}" if node.author else ""
    source = f", from {flat(node.source)}" if node.source else "" if node.own else ", source not stated"
    return f"{terms}{author}{source}".rstrip(".")


def _persons(said: Stated) -> str:
    if said.persons is None:
        return "not stated"
    if said.persons == "none":
        return "none are shown, by the statement of the publisher"
    consent = {
        "recorded": "their consent is on record",
        "stated": "their consent is stated, no record of it is named",
    }
    return f"shown ({said.persons}); {consent.get(said.consent, 'their consent is not stated')}"


def _opt_outs(said: Stated, as_of: date) -> str:
    if not said.checked or (said.checked_on is not None and said.checked_on > as_of):
        return "not checked"
    day = f" on {said.checked_on}" if said.checked_on else ""
    return f"checked{day}, {flat(said.checked_how).rstrip('.') or 'how is not stated'}"
