"""Data that a model or a dataset says it was made of. Datasets seldom carry texts, so a permissive tag is enough for these.

The publisher trains on none of it, but what forbids paid use or changed versions there binds what was made of it. Pure.
"""

from licenses.card import Card
from licenses.catalogue import PAID_USES, RANK, Catalogue
from licenses.errors import flat
from licenses.evidence import Evidence, Problem
from licenses.hub_answers import REPO
from licenses.node import Node
from licenses.prose import restriction_in

TOLD_BY = "card of the dataset"
ORIGINAL = frozenset({"original", "extended", "found", "crowdsourced", "machine-generated"})
CODES = {"noncommercial": "data_non_commercial", "research": "data_non_commercial"}


def names_of(card: Card | None, role: str) -> tuple[str, ...]:
    """Datasets that a card names: `datasets` of a model, `source_datasets` of a dataset without its words for `made here`."""
    if card is None:
        return ()
    if role not in ("dataset", "source_data"):
        return card.datasets
    said = (name.rpartition("|")[2].strip() for name in card.sources)
    return tuple(name for name in said if name.casefold() not in ORIGINAL)


def is_repo(name: str) -> bool:
    return REPO.fullmatch(name) is not None


def against_data(id: str, evidence: Evidence, problems: tuple[Problem, ...], catalogue: Catalogue) -> Node:
    """The node of such a dataset: its licence by the tag, and a problem unless that licence allows paid use and changes."""
    card = evidence.card
    known = catalogue.licenses_of_tag(card.license) if card and card.license else frozenset()
    license = next(iter(known)) if len(known) == 1 else None
    found = [*evidence.problems, *problems]
    if license is None:
        said = flat(card.license)[:40] if card and card.license else "none"
        text = f"{id} was used in training and its licence can not be told (got {said}); choose a base whose data is known"
        code = "data_license_missing" if said == "none" else "data_license_unknown"
        found.append(Problem(code=code, text=text, file="README.md"))
    else:
        known_license = catalogue.licenses[license]
        worst = max((known_license.verdict[use] for use in PAID_USES), key=RANK.__getitem__)
        if RANK[worst] > RANK["duties"]:
            code = CODES.get(known_license.kind, "data_no_derivatives" if "-nd-" in license else "data_restricted")
            text = f"{id} was used in training and comes under {known_license.name}: {known_license.why}"
            found.append(Problem(code=code, text=text, file="README.md"))
    sentence = restriction_in(card.prose) if card else None
    if sentence:
        text = f'the card of {id}, used in training, restricts use ("{sentence}"); choose a base whose data is free'
        found.append(Problem(code="data_restricted", text=text, file="README.md", quote=sentence))
    return Node(
        id=id,
        role="source_data",
        revision=evidence.revision,
        license=license,
        identified_by=TOLD_BY if license else "nothing",
        covered=True,
        problems=tuple(dict.fromkeys(found)),
    )
