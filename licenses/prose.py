"""The third witness: sentences of a card that take back what its tag and its licence text grant.

A sentence about commercial use that does not plainly allow it restricts; so do bans of selling, hosting and merging, uses
reserved for research, and other terms than those of the licence. A false alarm costs a person one look at the quoted
sentence, a miss would cost the publisher the licence. The words of the patterns stand in facts/prose.yaml, in many tongues.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

from licenses.catalogue import FACTS
from licenses.markdown import reordered, sentences

QUOTE = 200
TITLE = 40  # characters of a line that is nothing but the name of a licence
NEAR = 80  # characters between a negation and what it bars
FIGURES = str.maketrans("013457@$|", "oleastasl")  # figures that stand for letters
CLOSE = 60  # characters between commercial use and the word that allows it


@dataclass(frozen=True, kw_only=True, slots=True)
class Patterns:
    """`both` and `promises` are replaced, `harmless` goes; `commerce` needs an allowing word near and no voiding one; pairs bar."""

    both: re.Pattern[str]
    promises: re.Pattern[str]
    harmless: re.Pattern[str]
    commerce: re.Pattern[str]
    allowing: re.Pattern[str]
    voiding: re.Pattern[str]
    barring: re.Pattern[str]
    triggers: tuple[str, ...]
    pairs: tuple[tuple[re.Pattern[str], re.Pattern[str]], ...]
    licenses: tuple[tuple[re.Pattern[str], frozenset[str]], ...]
    about: re.Pattern[str]
    code: re.Pattern[str]


@lru_cache(maxsize=32)
def restriction_in(prose: str) -> str | None:
    """The first sentence that bars a paid use or derivatives, shortened to 200 characters; None where there is none."""
    turned = reordered(prose)
    if turned is not None:
        return f"a passage is written in another direction than it is read ({turned})"
    patterns = load()
    return next((sentence[:QUOTE] for sentence in _read(prose) if restricts(sentence, patterns)), None)


def literal(sentence: str, prose: str) -> str:
    """The sentence as a quote where its words follow one another in the text; empty where markup or a disguise parts them."""
    said, whole = (" ".join(re.findall(r"[^\W_]+", text.casefold())) for text in (sentence, prose))
    return sentence if said in whole else ""


@lru_cache(maxsize=32)
def other_license_in(prose: str, license: str) -> str | None:
    """The first sentence that puts the weights under another licence than that of the text beside it; None where there is none.

    Permissive licences are left aside: code and weights often come under two of them.
    """
    patterns = load()
    others = [names for names, ids in patterns.licenses if license not in ids]
    for sentence in _read(prose):
        alone = len(sentence) <= TITLE and not re.search(r"[|:/]", sentence)
        if not (alone or patterns.about.search(sentence)) or patterns.code.search(sentence):
            continue
        said = patterns.harmless.sub(" ", sentence)
        if any(names.search(said) for names in others):
            return sentence[:QUOTE]
    return None


def restricts(sentence: str, patterns: Patterns) -> bool:
    """Whether one sentence, as a reader sees it, bars something."""
    may_bar = _may_bar(sentence, patterns)
    if not may_bar and not any(one.search(sentence) for one, _ in patterns.pairs):
        return False
    both = patterns.both.sub(" commercial ", sentence)
    said = " ".join(patterns.harmless.sub(" ", patterns.promises.sub(" allowed ", both)).split())
    return (may_bar and _bars(said, patterns)) or any(_near(said, one, other) for one, other in patterns.pairs)


@lru_cache(maxsize=1)
def load() -> Patterns:
    """The patterns of facts/prose.yaml."""
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    rows = yaml.load((FACTS / "prose.yaml").read_text(encoding="utf-8"), Loader=loader)  # noqa: S506  (both are safe loaders)
    return Patterns(
        both=_any(rows["both"]),
        promises=_any(rows["promises"]),
        harmless=_any(rows["harmless"]),
        commerce=_any(rows["commerce"]),
        allowing=_any(rows["allowing"]),
        voiding=_any(rows["voiding"]),
        barring=_any(rows["barring"]),
        triggers=(*rows["triggers"]["anywhere"], *(f" {stem}" for stem in rows["triggers"]["starts"])),
        licenses=tuple((re.compile(row["names"], re.I), frozenset(row["ids"])) for row in rows["licenses"]),
        about=re.compile(rows["about"], re.I),
        code=re.compile(rows["code"], re.I),
        pairs=tuple((_any(pair["one"]), _any(pair["other"])) for pair in rows["pairs"]),
    )


@lru_cache(maxsize=32)
def _read(prose: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(sentences(prose)))


def _may_bar(said: str, patterns: Patterns) -> bool:
    """A quick look before the long patterns: most sentences of a card hold none of their words."""
    if not said.isascii():
        return True
    low = " " + re.sub(r"[\W_]+", " ", said.casefold())
    low += low.translate(FIGURES)
    return any(one in low for one in patterns.triggers)


def _bars(said: str, patterns: Patterns) -> bool:
    spelled = said.casefold().translate(FIGURES)
    if patterns.barring.search(said) or ("commercial" in spelled and "commercial" not in said.casefold()):
        return True
    return patterns.commerce.search(said) is not None and not _allows(said, patterns)


def _allows(said: str, patterns: Patterns) -> bool:
    """Every mention of commerce stands near a word that allows, and the sentence holds no condition and no negation."""
    if patterns.voiding.search(said):
        return False
    allowing = [found.span() for found in patterns.allowing.finditer(said)]
    return all(
        any(start - CLOSE <= mention.end() and mention.start() <= end + CLOSE for start, end in allowing)
        for mention in patterns.commerce.finditer(said)
    )


def _near(said: str, one: re.Pattern[str], other: re.Pattern[str]) -> bool:
    """A match of each within NEAR characters, in either order."""
    firsts = [found.span() for found in one.finditer(said)]
    if not firsts:
        return False
    seconds = [found.span() for found in other.finditer(said)]
    return any(a < d + NEAR and c < b + NEAR for (a, b), (c, d) in _pairs(firsts, seconds))


def _pairs(firsts: list[tuple[int, int]], seconds: list[tuple[int, int]]) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
    """Each first with the nearest seconds on either side: both lists are in order."""
    place = 0
    for first in firsts:
        while place + 1 < len(seconds) and seconds[place + 1][0] <= first[0]:
            place += 1
        for second in seconds[place : place + 2]:
            yield first, second


def _any(rows: Mapping[str, list[str]]) -> re.Pattern[str]:
    """One pattern of all the alternatives, by tongue; blanks stand for any run of blanks."""
    return re.compile("|".join(f"(?:{row})" for listed in rows.values() for row in listed), re.I)
