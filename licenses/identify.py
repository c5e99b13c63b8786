"""Which licence a text is: the exact hash of its words decides, nothing that only looks alike does.

CC BY and CC BY-NC share 98 % of their three-word runs, so similarity never sets a verdict (see nearest.py).
"""

from dataclasses import dataclass

from licenses.catalogue import Catalogue, KnownText
from licenses.fields import template_hash, without_fields
from licenses.words import marks, marks_hash, odd_characters, text_hash, words

__all__ = ["Match", "identify", "text_hash", "words"]

TEMPLATE_MARKS = frozenset({"2.0", "%"})  # the only amounts in texts that have fields: Apache's version and its fifty percent


@dataclass(frozen=True, kw_only=True, slots=True)
class Match:
    known: KnownText
    hash: str
    by: str


def identify(text: str, catalogue: Catalogue) -> Match | None:
    """The licence whose exact text, or exact text but for its SPDX fields, this is; None where no hash agrees.

    Characters that hide or imitate others, and amounts or comparisons written otherwise, are no exact text either.
    """
    if odd_characters(text):
        return None
    exact = text_hash(text)
    known = catalogue.texts.get(exact)
    if known is not None:
        same = known.marks in (None, marks_hash(text))
        return Match(known=known, hash=exact, by="exact text") if same else None
    kept, titles = without_fields(text)
    known = catalogue.templates.get(template_hash(kept))
    if known is None or titles - {known.license} or set(marks(kept).split()) - TEMPLATE_MARKS:
        return None
    return Match(known=known, hash=exact, by="exact text but for names and years")
