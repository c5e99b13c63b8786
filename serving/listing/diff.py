"""What changed between two listings of one endpoint, in words that callers and fal need. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from serving.listing.model import Listing, Parameter
from serving.listing.model_facts import Facts

Weight = Literal["breaking", "notable", "minor"]
HEADINGS: dict[Weight, str] = {"breaking": "Callers may have to change something", "notable": "Changed", "minor": "Also changed"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """breaking: a request that worked may be refused, cost more, or give something else by contract."""

    weight: Weight
    where: str
    text: str


def changes(before: Listing, after: Listing) -> tuple[Change, ...]:
    """All of them, the weightiest first; ValueError for listings of two endpoints."""
    if before.endpoint_id != after.endpoint_id:
        raise ValueError(f"{before.endpoint_id} and {after.endpoint_id} are two endpoints; compare drafts of one")
    found = [
        *_price(before, after),
        *_api(before, after),
        *_rights(before, after),
        *_quality(before, after),
        *_texts(before, after),
    ]
    order = list(HEADINGS)
    return tuple(sorted(found, key=lambda change: order.index(change.weight)))


def changelog(before: Listing, after: Listing) -> str:
    """Markdown: one heading a weight, one line a change."""
    packages = f"From package `{before.release.package[:12]}` to `{after.release.package[:12]}`"
    title = f"# {after.metadata.display_name}: changes\n\n{packages}, revision {after.release.revision or 'not known'}.\n"
    found = changes(before, after)
    if not found:
        return f"{title}\nNothing that a caller sees has changed.\n"
    parts = [title]
    for weight, heading in HEADINGS.items():
        lines = [f"- {change.text}" for change in found if change.weight == weight]
        if lines:
            parts.append("\n".join([f"## {heading}", "", *lines, ""]))
    return "\n".join(parts)


def _price(before: Listing, after: Listing) -> Iterator[Change]:
    old, new = before.pricing, after.pricing
    if old.unit != new.unit:
        yield Change(weight="breaking", where="pricing.unit", text=f"A unit was {old.meaning}; it is {new.meaning} now.")
    if old.unit_price_usd != new.unit_price_usd:
        dearer = (new.unit_price_usd or 0) > (old.unit_price_usd or 0)
        weight: Weight = "breaking" if dearer else "notable"
        yield Change(weight=weight, where="pricing.unit_price_usd", text=f"Price of a unit: {old.label}, now {new.label}.")


def _api(before: Listing, after: Listing) -> Iterator[Change]:
    old, new = ({row.name: row for row in listing.api.input} for listing in (before, after))
    for name in sorted(old.keys() - new.keys()):
        yield Change(weight="breaking", where=f"api.{name}", text=f"`{name}` is gone from the request.")
    for name in sorted(new.keys() - old.keys()):
        weight: Weight = "breaking" if new[name].required else "notable"
        yield Change(weight=weight, where=f"api.{name}", text=f"`{name}` is new in the request: {new[name].description}")
    for name in sorted(old.keys() & new.keys()):
        yield from _parameter(old[name], new[name])
    gone = {row.name for row in before.api.output} - {row.name for row in after.api.output}
    for name in sorted(gone):
        yield Change(weight="breaking", where=f"api.output.{name}", text=f"`{name}` is gone from the answer.")


def _parameter(old: Parameter, new: Parameter) -> Iterator[Change]:
    for what, weight in (("type", "breaking"), ("bounds", "breaking"), ("default", "notable")):
        was, is_ = getattr(old, what), getattr(new, what)
        if was != is_:
            text = f"`{old.name}`: {what} was {was or 'not stated'}, is {is_ or 'not stated'} now."
            yield Change(weight="breaking" if weight == "breaking" else "notable", where=f"api.{old.name}.{what}", text=text)
    if new.required and not old.required:
        yield Change(weight="breaking", where=f"api.{old.name}.required", text=f"`{old.name}` has to be sent now.")


def _rights(before: Listing, after: Listing) -> Iterator[Change]:
    if set(before.licence.ids) != set(after.licence.ids):
        text = f"Licences: {', '.join(before.licence.ids) or 'none'}, now {', '.join(after.licence.ids) or 'none'}."
        yield Change(weight="breaking", where="licence.ids", text=text)
    for line in sorted(set(after.licence.terms) - set(before.licence.terms)):
        yield Change(weight="breaking", where="licence.terms", text=f"New term for callers: {line}")
    if before.facts.base != after.facts.base:
        yield Change(weight="breaking", where="facts.base", text=f"Base: {before.facts.base}, now {after.facts.base}.")
    for name in ("safety", "marking"):
        if getattr(before.facts, name) != getattr(after.facts, name):
            yield Change(weight="notable", where=f"facts.{name}", text=f"{name.capitalize()}: {getattr(after.facts, name)}")


def _quality(before: Listing, after: Listing) -> Iterator[Change]:
    old, new = before.facts, after.facts
    shown = (
        ("Held-out loss against the base", old.evaluation.relative.text, new.evaluation.relative.text),
        ("Pictures trained on", old.training_data.train.text, new.training_data.train.text),
        ("Recommended strength", old.strength.text, new.strength.text),
        ("Trained at", old.resolution.text, new.resolution.text),
        ("Copies of training pictures among those drawn", _copies(old), _copies(new)),
        ("Trigger", old.trigger or "none", new.trigger or "none"),
    )
    for name, was, is_ in shown:
        if was != is_:
            weight: Weight = "breaking" if name == "Trigger" else "notable"
            yield Change(weight=weight, where=f"facts.{name.lower().replace(' ', '_')}", text=f"{name}: {was}, now {is_}.")


def _copies(facts: Facts) -> str:
    found = facts.evaluation.memorisation
    return " and ".join(one.text for one in found.copies) if found else "not measured"


def _texts(before: Listing, after: Listing) -> Iterator[Change]:
    for name, words in (("display_name", "Name"), ("description", "Description"), ("category", "Category")):
        was, is_ = getattr(before.metadata, name), getattr(after.metadata, name)
        if was != is_:
            yield Change(weight="minor", where=f"metadata.{name}", text=f"{words}: {was!r}, now {is_!r}.")
    if (gone := set(before.metadata.tags) ^ set(after.metadata.tags)) and gone:
        yield Change(weight="minor", where="metadata.tags", text=f"Tags: {', '.join(after.metadata.tags) or 'none'}.")
