"""What an author's words claim, promise or borrow. Pure: texts in, findings as (code, level, message) out."""

import re
from collections.abc import Iterator
from typing import Literal

from serving.listing.findings import Finding, error, warning

PRAISE = re.compile(
    r"\b(best|state[- ]of[- ]the[- ]art|sota|fastest|cheapest|most (?:realistic|advanced|powerful)|world[- ]class|perfect(?:ly)?|"
    r"flawless|unlimited|guaranteed?|industry[- ]leading|revolutionary|number one|award[- ]winning)\b|#1\b",
    re.I,
)
STANDING = re.compile(r"\b(official(?:ly)?|endorsed|certified|approved|partner(?:ed)? (?:with|of)|in cooperation with)\b", re.I)
UNSAFE = re.compile(r"\b(nsfw|uncensored|unfiltered|nude|porn(?:ographic)?|deep ?fakes?|undress(?:ing)?|jailbreak)\b", re.I)
# Marks and characters whose owners are known to object; a style "of" them invites a takedown.
MARKS = re.compile(
    r"\b(disney|pixar|ghibli|marvel|star wars|nintendo|pok[eé]mon|mario|lego|barbie|hello kitty|harry potter|simpsons|"
    r"midjourney|dall-?e|stable diffusion|photoshop|coca[- ]cola|apple inc)\b",
    re.I,
)
MEASURE = re.compile(
    r"(?<![\w.])(?:\$\s?\d[\d.,]*|\d[\d.,]*\s?(?:%|(?:percent|x|times|s|sec(?:ond)?s?|ms|minutes?|hours?|fps|usd|dollars?|cents?)\b))",
    re.I,
)
WORD = re.compile(r"[A-Za-z’']+")
LONGEST_GRADE = 14.0
LEAST_WORDS = 10  # below which a reading grade says nothing


def worded(where: str, text: str) -> Iterator[Finding]:
    """Findings of one text: claims and measures without a receipt, borrowed names and standing, what fal does not list."""
    if found := PRAISE.search(text):
        yield error("claim", where, f"says {found[0]!r}, which nothing here proves; say what it does instead")
    if found := STANDING.search(text):
        yield error("claim", where, f"says {found[0]!r}; nobody confirmed that, take it out")
    if found := UNSAFE.search(text):
        yield error("unsafe-word", where, f"says {found[0]!r}; the platform does not list that")
    if found := MEASURE.search(text):
        yield error("no-receipt", where, f"says {found[0]!r}; measured figures are shown with their receipt, take it out here")
    if found := MARKS.search(text):
        yield warning("somebody's-mark", where, f"names {found[0]!r}, which belongs to somebody else; describe the look instead")
    if (grade := reading_grade(text)) is not None and grade > LONGEST_GRADE:
        yield warning(
            "hard-to-read", where, f"reads at school grade {grade:.0f} (Flesch-Kincaid); shorter sentences and words help"
        )


def reading_grade(text: str) -> float | None:
    """School grade by Flesch and Kincaid (1975); None of a text too short to say. Syllables are groups of vowels."""
    words = WORD.findall(text)
    if len(words) < LEAST_WORDS:
        return None
    sentences = max(len(re.findall(r"[.!?]+(?:\s|$)", text)), 1)
    return 0.39 * len(words) / sentences + 11.8 * sum(map(_syllables, words)) / len(words) - 15.59


def _syllables(word: str) -> int:
    groups = len(re.findall(r"[aeiouy]+", word.lower()))
    silent: Literal[0, 1] = 1 if re.search(r"[^aeiouyl]e$", word.lower()) and groups > 1 else 0
    return max(groups - silent, 1)
