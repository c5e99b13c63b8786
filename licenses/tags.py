"""What a `license:` value stands for: an id of the Hub, a common spelling, or an SPDX expression with its choices.

A tag proves nothing; it can only contradict a text. Where it names a family or more than one licence, that is said.
"""

import re
from dataclasses import dataclass

from licenses.catalogue import PAID_USES, Catalogue
from licenses.words import odd_characters

FILLING = re.compile(
    r"\b(?:the|licen[sc]es?|licen[sc]ed|version|ver|v|international|public domain dedication)\b\.?(?=\W|\d|$)", re.I
)
OPERATOR = re.compile(r"\s(?:AND|OR|WITH)\s|[(),;/&|]|\s(?:and|or|with)\s")
# Spellings that no rule gives: each as it is left without filling words, signs and blanks.
SPELLINGS = {
    "apache2": "apache-2.0", "asl2": "apache-2.0", "asl20": "apache-2.0", "x11mit": "mit", "expat": "mit",
    "gplv3": "gpl-3.0", "gpl3": "gpl-3.0", "agpl3": "agpl-3.0", "agplv3": "agpl-3.0", "cc0": "cc0-1.0",
    "ccby4": "cc-by-4.0", "ccbysa4": "cc-by-sa-4.0", "ccbync4": "cc-by-nc-4.0", "ccbyncsa4": "cc-by-nc-sa-4.0",
    "newbsd": "bsd-3-clause", "simplifiedbsd": "bsd-2-clause", "bsd3": "bsd-3-clause", "bsd2": "bsd-2-clause",
    "creativemlopenrail": "creativeml-openrail-m",
}  # fmt: skip
FAMILIES = {
    "apache": "Apache", "bsd": "BSD", "gpl": "GPL", "gnugpl": "GPL", "lgpl": "LGPL", "agpl": "AGPL", "cc": "Creative Commons",
    "creativecommons": "Creative Commons", "ccby": "CC BY", "ccbysa": "CC BY-SA", "ccbync": "CC BY-NC", "ccbyncsa": "CC BY-NC-SA",
    "ccbynd": "CC BY-ND", "ccbyncnd": "CC BY-NC-ND", "rail": "RAIL", "openrailm": "OpenRAIL-M", "llama": "Llama",
    "opensource": "open source", "permissive": "permissive", "commercial": "commercial", "proprietary": "proprietary",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Tag:
    """`licenses`: catalogue ids that the tag may mean; more than one only where it offers a choice (`code` license_choice_open).

    `code` and `text` name what stands in the way, None where the tag is plain; `offered` are the licences of a choice.
    """

    licenses: frozenset[str]
    code: str | None = None
    text: str = ""
    offered: frozenset[str] = frozenset()


def read(tag: str, catalogue: Catalogue, choice: str | None = None) -> Tag:
    """The licences behind a tag; `choice` is what the publisher chose where the tag offers a choice."""
    odd = odd_characters(tag)
    if odd:
        return Tag(licenses=frozenset(), code="tag_unknown", text=f"license {tag!r:.60} holds {odd[0]}; write it in plain letters")
    plain = _ids(tag, catalogue)
    if plain:
        return Tag(licenses=plain)
    family = FAMILIES.get(_spelling(tag))
    if family is not None:
        text = f"license {tag!r:.60} names the family {family}, not one licence of it"
        return Tag(licenses=frozenset(), code="tag_ambiguous", text=text)
    if OPERATOR.search(tag) is None:
        return Tag(licenses=frozenset(), code="tag_unknown", text=f"license {tag!r:.60} is not in the catalogue")
    return _expression(tag, catalogue, choice)


def _ids(tag: str, catalogue: Catalogue) -> frozenset[str]:
    known = catalogue.licenses_of_tag(tag)
    if known:
        return known
    spelled = _spelling(tag)
    id = SPELLINGS.get(spelled) or _spellings(catalogue).get(spelled)
    return frozenset({id}) if id is not None and id in catalogue.licenses else frozenset()


def _expression(tag: str, catalogue: Catalogue, choice: str | None) -> Tag:
    """An SPDX expression; anything that is not one, or has an exception, is ambiguous."""
    from license_expression import ExpressionError, Licensing
    from license_expression import LicenseWithExceptionSymbol as WithException

    try:
        parsed = Licensing().parse(tag, validate=False)
    except (ExpressionError, ValueError, AttributeError, RecursionError):
        parsed = None
    symbols = sorted(Licensing().license_symbols(parsed, decompose=False), key=str) if parsed is not None else []
    if any(isinstance(symbol, WithException) for symbol in symbols):
        text = f"license {tag!r:.60} adds an exception to a licence, which has to be read"
        return Tag(licenses=frozenset(), code="tag_ambiguous", text=text)
    if len(symbols) < 2:
        text = f"license {tag!r:.60} names more than one licence and does not say whether one or all of them hold"
        return Tag(licenses=frozenset(), code="tag_ambiguous", text=text)
    found = {str(symbol): _ids(str(symbol), catalogue) for symbol in symbols}
    if not all(len(ids) == 1 for ids in found.values()):
        unknown = ", ".join(sorted(name for name, ids in found.items() if len(ids) != 1))
        return Tag(
            licenses=frozenset(), code="tag_unknown", text=f"license {tag!r:.60} names {unknown}, which is not in the catalogue"
        )
    ids = frozenset().union(*found.values())
    judged = "; ".join(_judged(id, catalogue) for id in sorted(ids))
    if parsed is None or "AND" in str(parsed).split():
        text = f"license {tag!r:.60}: all of these hold together ({judged}), and one text can not speak for all of them"
        return Tag(licenses=frozenset(), code="licenses_together", text=text)
    if choice is not None and choice in ids:
        return Tag(licenses=frozenset({choice}), offered=ids)
    text = f"license {tag!r:.60} offers a choice ({judged}); write the licence that you choose under license_choices"
    return Tag(licenses=ids, code="license_choice_open", text=text, offered=ids)


def _judged(id: str, catalogue: Catalogue) -> str:
    licence = catalogue.licenses[id]
    return f"{licence.name}: " + ", ".join(f"{use} {licence.verdict[use]}" for use in PAID_USES)


def _spellings(catalogue: Catalogue) -> dict[str, str]:
    """Licence ids by the spelling of their names, SPDX ids and tags; a spelling that fits two licences is none."""
    found: dict[str, set[str]] = {}
    for one in catalogue.licenses.values():
        for name in (one.name, one.spdx or "", *one.tags):
            found.setdefault(_spelling(name), set()).add(one.id)
    return {spelled: next(iter(ids)) for spelled, ids in found.items() if spelled and len(ids) == 1}


def _spelling(name: str) -> str:
    """`Apache License, Version 2.0` and `Apache-2.0` both as `apache20`; signs that tell licences apart (+) stay."""
    return re.sub(r"[^a-z0-9+]", "", FILLING.sub(" ", name.casefold()))
