"""The author's hand in listing.json: words that were edited survive when it is drafted again; figures do not. Pure."""

from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

Document = Mapping[str, Any]

# What a person may write. Everything else is read from what was made: it is changed there, not here.
WORDS: Mapping[str, tuple[str, ...]] = {
    "metadata": ("display_name", "description", "category", "tags", "github_url", "group"),
    "facts": ("limits", "purpose", "prompting"),
    "contact": ("sender", "recipient", "support"),
}
WHOLE = ("open_questions",)


@dataclass(frozen=True, kw_only=True, slots=True)
class Conflict:
    """Words that the author and the new draft both changed; the author's are kept."""

    where: str
    before: Any
    mine: Any
    drafted: Any

    def __str__(self) -> str:
        return f"{self.where}: kept {self.mine!r}; the new draft says {self.drafted!r}, both were {self.before!r}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Merged:
    """`ignored`: places that were edited by hand and are not words; the draft's values stand there again."""

    document: dict[str, Any]
    conflicts: tuple[Conflict, ...]
    ignored: tuple[str, ...]


def merged(*, before: Document, mine: Document, drafted: Document) -> Merged:
    """Three-way merge of the words: `before` is the draft that the author started from, `mine` what they made of it.

    An example is known by its prompt and seed, so that its alternative text stays with its picture.
    """
    old, own, new = words(before), words(mine), words(drafted)
    document, conflicts = deepcopy(dict(drafted)), []
    for where in new.keys() & own.keys():
        edited = own[where] != old.get(where)
        if edited and new[where] != old.get(where) and new[where] != own[where]:
            conflicts.append(Conflict(where=where, before=old.get(where), mine=own[where], drafted=new[where]))
        if edited:
            _put(document, where, own[where])
    stood = dict(_leaves(_wordless(before)))
    ignored = sorted(where for where, value in _leaves(_wordless(mine)) if stood.get(where) != value)
    return Merged(document=document, conflicts=tuple(sorted(conflicts, key=lambda one: one.where)), ignored=tuple(ignored))


def words(document: Document) -> dict[str, Any]:
    """The words by their place: `metadata/description`, `examples/PROMPT#SEED/alt`."""
    found = {f"{part}/{name}": document[part][name] for part, names in WORDS.items() for name in names if name in document[part]}
    found |= {name: document[name] for name in WHOLE}
    return found | {f"examples/{_name(example)}/alt": example["alt"] for example in document["examples"]}


def _put(document: dict[str, Any], where: str, value: Any) -> None:
    part, _, rest = where.partition("/")
    if part == "examples":
        (example,) = [one for one in document["examples"] if f"{_name(one)}/alt" == rest]
        example["alt"] = deepcopy(value)
    elif rest:
        document[part][rest] = deepcopy(value)
    else:
        document[part] = deepcopy(value)


def _name(example: Document) -> str:
    asked = example["input"]
    strength = f"@{asked['lora_scale']}" if "lora_scale" in asked else ""
    return f"{asked.get('prompt')}#{example['seed']}{strength}"


def _wordless(document: Document) -> dict[str, Any]:
    rest = deepcopy(dict(document))
    for part, names in WORDS.items():
        for name in names:
            rest[part].pop(name, None)
    for name in WHOLE:
        rest.pop(name)
    rest["examples"] = {_name(one): {key: value for key, value in one.items() if key != "alt"} for one in rest["examples"]}
    return rest


def _leaves(value: Any, where: str = "") -> Iterator[tuple[str, Any]]:
    """(place, value) of everything that holds nothing more."""
    items = value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list) else None
    if items is None:
        yield where, value
        return
    for name, item in items:
        yield from _leaves(item, f"{where}/{name}" if where else str(name))
