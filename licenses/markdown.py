"""What a reader sees of a card: sentences without markup, entities, disguised letters and line breaks."""

import html
import re
import unicodedata
from collections.abc import Iterator

REORDERING = re.compile("[\u202a-\u202e\u2066-\u2069]")
SENTENCE_LIMIT = 2000  # characters
LOOKALIKES = str.maketrans(
    "аеорсухіјѕԁһоԛԝɡαοεικτρυΑΒΕΖΗΙΚΜΝΟΡΤΥΧАВЕКМНОРСТУХІЈЅ",
    "aeopcyxijsdhoqwgaoeiktpuABEZHIKMNOPTYXABEKMHOPCTYXIJS",
)
MARKS = re.compile("[\u0300-\u036f\u0591-\u05c7\u064b-\u065f\u0670\u1ab0-\u1aff\u20d0-\u20ff\ufe0e\ufe0f]")  # stand over letters
QUOTES = str.maketrans("‘’‚“”„", "'''\"\"\"")
DASHES = re.compile("[\u2010-\u2015\u2212\ufe58\ufe63\uff0d]")
ADDRESS = re.compile(r"\]\(\s*<?([^()\s<>]{0,2000})>?[^()\n]{0,300}\)")
BREAKING = re.compile(
    r"</?(?:p|br|hr|li|ul|ol|tr|h[1-6]|div|table|summary|details|section|blockquote)\b[^<>]{0,500}>|<!--|-->", re.I
)
ATTRIBUTE = re.compile(r"\b(?:alt|title|href|src)\s*=\s*[\"']([^\"'<>]{1,300})[\"']", re.I)
TAG = re.compile(r"</?[a-z][^<>]{0,1000}>", re.I)
EMPHASIS = re.compile(r"[*`~\\]+|(?<![^\W_])_+|_+(?![^\W_])")
SPACED = re.compile(r"(?<!\w)(?:\w ?[-]? )(?:\w ?[-]? ){3,}\w(?!\w)")
HYPHENATED = re.compile(r"(\w)-[ \t]*\n[ \t>]*(\w)")
ENDS = re.compile(
    r"(?<=[.!])[\s)\"'”’]+|(?<=\?)[\s)\"'”’]+(?!(?:no|nope|yes|sure|go ahead|of course|never)\b)|(?<=[。！？；])|\n[ \t]*\n"
    r"|\n(?=[ \t]*(?:[-*#|>+•]|\d+[.)]|\[\^|<))|(?<=\|)[ \t]*\n",
    re.I,
)


def sentences(prose: str) -> Iterator[str]:
    """The sentences of a Markdown or HTML text on one line each: headings, list items and table rows stand alone.

    Addresses of links and pictures come as sentences of their own. A word broken by a hyphen at the end of a line is given in both
    readings.
    """
    seen = _plain(prose)
    yield from (*ADDRESS.findall(seen), *ATTRIBUTE.findall(seen))
    shown = EMPHASIS.sub("", TAG.sub("", BREAKING.sub("\n\n", ADDRESS.sub("] ", seen))))
    readings = (HYPHENATED.sub(r"\1-\2", shown), HYPHENATED.sub(r"\1\2", shown)) if HYPHENATED.search(shown) else (shown,)
    for reading in readings:
        for sentence in ENDS.split(reading):
            flat = " ".join(sentence.split())
            for start in range(0, len(flat), SENTENCE_LIMIT - 200):
                yield flat[start : start + SENTENCE_LIMIT]


def reordered(prose: str) -> str | None:
    """The name of a character that turns the direction of writing round, so that a reader sees other words than stand there."""
    found = REORDERING.search(html.unescape(prose))
    return f"U+{ord(found[0]):04X} {unicodedata.name(found[0])}" if found else None


def _plain(prose: str) -> str:
    """Entities resolved, compatibility letters and dashes in their plain form, invisible signs gone, lookalike letters Latin."""
    text = DASHES.sub("-", unicodedata.normalize("NFKC", html.unescape(html.unescape(prose)))).translate(QUOTES)
    text = "".join(sign for sign in text if sign.isascii() or _is_seen(sign))
    text = re.sub(r"[\x00-\x08\x0b-\x1f\x7f]+", "", text)
    text = re.sub(r"\w+", _latin, text)
    return SPACED.sub(lambda found: found[0].replace(" ", ""), text)


def _is_seen(sign: str) -> bool:
    return sign.isprintable() and unicodedata.category(sign) != "Cf" and not MARKS.match(sign)


def _latin(found: re.Match[str]) -> str:
    """A word of mixed scripts in Latin letters; a word that is wholly Greek or Cyrillic stays."""
    word = found[0]
    if word.isascii():
        return word
    latin = word.translate(LOOKALIKES)
    return latin if any(sign.isascii() and sign.isalpha() for sign in word) and latin.isascii() else word
