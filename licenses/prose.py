"""The third witness: sentences of a card that take back what its tag and its licence text grant."""

import re

RESTRICTIONS = (
    re.compile(
        r"non-?\s?commercial(?:ly)?\b.{0,40}\b(?:only|licen[sc]e|use|purposes?)|\bnot for commercial\b|\bno commercial\b", re.I
    ),
    re.compile(r"\b(?:research|academic|evaluation|personal)\b.{0,25}\b(?:use|purposes?)?\s*\bonly\b", re.I),
    re.compile(r"\bonly\b.{0,30}\b(?:for|to)\b.{0,20}\b(?:research|academic|non-?commercial|personal|evaluation)\b", re.I),
    re.compile(
        r"\b(?:not|never|don't|can't|mustn't|cannot|prohibit\w*|forbid\w*|forbidden|disallow\w*|no)\b.{0,80}"
        r"\b(?:commercial\w*|moneti[sz]\w*|paid (?:service|inference|api|access)|for[- ]profit|api services?|hosted services?|"
        r"generation services?|host(?:s|ed|ing)?\b.{0,40}\bservices?|as a service|in production|sell(?:ing)?|derivatives?)\b",
        re.I,
    ),
    re.compile(r"\bcommercial (?:use|licen[sc]e|usage)\b.{0,60}\b(?:contact|requires?|permission|prior|request|separate)\b", re.I),
    re.compile(r"\bcc[- ]by[- ]n[cd]\b", re.I),
)
# Taken out before the search, so that "no restrictions, except no commercial use" is still found.
HARMLESS = re.compile(
    r"\bno (?:further |additional )?(?:restrictions?|limits?|limitations?)\b|\bnot (?:restricted|limited|prohibited)\b", re.I
)


def restriction_in(prose: str) -> str | None:
    """The first sentence that bars a paid use or derivatives, shortened to 200 characters; None where there is none.

    A false alarm costs a person one look at the quoted sentence; a miss would cost the publisher the licence.
    """
    for sentence in re.split(r"(?<=[.!?])\s+|\n\s*\n|\n(?=[-*#|>])", prose):
        flat = " ".join(re.sub(r"[*_`]+", "", sentence).split())
        if any(pattern.search(HARMLESS.sub(" ", flat)) for pattern in RESTRICTIONS):
            return flat[:200]
    return None
