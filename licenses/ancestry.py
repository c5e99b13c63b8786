"""Which parents a source has to be followed to: of fields, of the Hub and of sentences, and what can not be followed. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from licenses.catalogue import Catalogue, Model
from licenses.errors import flat
from licenses.evidence import Evidence, Parent, Problem, Prose
from licenses.filenames import stem_of
from licenses.hub_answers import FILE, REPO, Listing
from licenses.lineage import Names, parents_in
from licenses.links import linked_repo
from licenses.lookalike import barred_by_name, barred_in_path
from licenses.node import DERIVED, Edge

UNTOLD = ("text_unknown", "text_not_plain", "license_text_missing")
WRITTEN = ("README.md", FILE)


def parents_to_follow(evidence: Evidence, id: str, row: Model | None, listing: Listing | None, names: Names) -> tuple[Parent, ...]:
    """Each parent once, with the most telling relation; sentences of a repository that the catalogue knows name none."""
    found = [*evidence.parents, *(listing.parents if listing else ())]
    if row is None:
        linked = linked_repo(evidence, id)
        card = [Prose(file="README.md", text=evidence.card.prose)] if evidence.card else []
        found += [*([linked] if linked is not None else []), *parents_in([*card, *evidence.prose], names)]
    once: dict[str, Parent] = {}
    for parent in found:
        first = once.setdefault(parent.name.casefold(), parent)
        if first.relation == "ancestor":
            once[parent.name.casefold()] = replace(first, relation=parent.relation)
    return tuple(once.values())


def is_itself(parent: Parent, own: Iterable[str]) -> bool:
    """Saved from itself, or named in its own prose: no word of an author that a model descends from itself."""
    return parent.name.casefold() in own and (parent.file not in WRITTEN or bool(parent.quote))


def barred_parent(parent: Parent, catalogue: Catalogue, names: Names) -> Model | None:
    """The barred model that a parent without an id is by its name."""
    return barred_by_name(parent.name, catalogue, names.models) or barred_in_path(parent.name, catalogue)


def untold(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """Of the problems of a base those by which its licence could not be told."""
    return tuple(problem for problem in problems if problem.code in UNTOLD)


def unresolved(parent: Parent, evidence: Evidence) -> Problem | None:
    """A parent that is no Hub id can not be followed; a file named in a head is told by the ids that stand elsewhere."""
    in_head = any(header.file == parent.file for header in evidence.headers)
    named = any(REPO.fullmatch(one.name) for one in evidence.parents)
    if in_head and parent.relation != "merge" and (named or stem_of(parent.name) == stem_of(parent.file)):
        return None
    text = f"{flat(parent.file)}: base_model {flat(parent.name)[:80]!r} is not a Hub id"
    remedy = "name the parent as owner/name, its licence binds this one too"
    return Problem(code="ancestor_unresolved", text=f"{text}; {remedy}", file=parent.file)


def unexplained(
    evidence: Mapping[str, Evidence], edges: Iterable[Edge], components: Mapping[str, str]
) -> list[tuple[str, Problem]]:
    """Node id and problem of component weights that none of a derivative's parents has and no text of its own speaks for."""
    found, listed = [], list(edges)
    for id, one in evidence.items():
        above = [edge.parent for edge in listed if edge.child == id and edge.relation in DERIVED and edge.parent in evidence]
        known = {(part.role, part.architectures[0]) for parent in above for part in evidence[parent].parts if part.architectures}
        for part in one.parts if known else ():
            bare = (
                part.weights
                and part.architectures
                and part.role not in components
                and not any(text.kind == "license" for text in part.texts)
            )
            if bare and (part.role, part.architectures[0]) not in known:
                text = (
                    f"{part.role} of {id} is in none of the models that it is made of and has no licence text of its own; "
                    f"name where it is from with --component {part.role}=OWNER/NAME"
                )
                found.append((id, Problem(code="component_unexplained", text=text)))
    return found
