"""A licence text cut into phrases with the section that each stands in: what differs between two texts is told by them."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from licenses.words import words

CUT = re.compile(r"(?<=[;:!?。；：，、])\s*|(?<=[.,])[\"”’)]?\s+|\n\s*\n|(?<=\w)\s*[()]\s*|\s+[—–]\s+")
ENUMERATOR = re.compile(
    r"^[\s#*>-]*(?:(?P<part>attachment|exhibit|appendix|annex)\s+(?P<letter>[a-z0-9])\b|"
    r"(?:section\s+)?(?P<top>\d{1,2}(?:\.\d{1,2})+|\d{1,2}|(?-i:[IVX]{1,5}))(?:[.):]|\s(?=[A-Z–—]))(?!\d)\s*|"
    r"\(?(?P<roman>(?:x{0,2}(?:ix|iv|v?i{1,3}|v)))[.)]\s+|\(?(?P<sub>[a-z])[.)]\s+)",
    re.I,
)
SHORTEST = 3  # words; shorter pieces ("Inc.", "1.") belong to what follows


@dataclass(frozen=True, kw_only=True, slots=True)
class Phrase:
    """`said` is the text as written on one line, `words` what its fingerprint covers."""

    section: str
    said: str
    words: str


def phrases(text: str) -> tuple[Phrase, ...]:
    """The phrases of a text in order; line breaks inside a paragraph make no difference."""
    plain = re.sub(r"\n\s*\n", "\n\n", re.sub(r"[^\S\n]+", " ", text))
    return tuple(phrase for section, passage in _passages(plain) for phrase in _cut(section, passage))


def _passages(text: str) -> Iterator[tuple[str, str]]:
    """Runs of lines under one section label: `2`, `1.c`, `4.a.iv`, `Attachment A.20`."""
    head, sub, deep = "", "", ""
    lines: list[str] = []
    for line in text.splitlines():
        found = ENUMERATOR.match(line)
        if found is not None:
            yield ".".join(one for one in (head, sub, deep) if one), "\n".join(lines)
            lines = []
            head, sub, deep = _moved(found, head, sub, deep)
        lines.append(line)
    yield ".".join(one for one in (head, sub, deep) if one), "\n".join(lines)


def _moved(found: re.Match[str], head: str, sub: str, deep: str) -> tuple[str, str, str]:
    if found["part"]:
        return f"{found['part'].title()} {found['letter'].upper()}", "", ""
    if found["top"]:
        within = head.partition(".")[0] if head.startswith(("Attachment", "Exhibit", "Appendix", "Annex")) else ""
        return ".".join(one for one in (within, found["top"]) if one), "", ""
    letter = (found["roman"] or found["sub"]).lower()
    follows = bool(sub) and len(letter) == 1 and ord(letter) == ord(sub[-1]) + 1
    if found["roman"] and sub and not follows:
        return head, sub, letter
    return head, letter, ""


def _cut(section: str, passage: str) -> Iterator[Phrase]:
    pieces: list[str] = []
    spoken: list[str] = []
    for piece in _pieces(passage):
        pieces.append(piece)
        spoken += words(piece).split()
        if len(spoken) >= SHORTEST:
            yield Phrase(section=section, said=" ".join(" ".join(pieces).split()), words=" ".join(spoken))
            pieces, spoken = [], []
    if spoken:
        yield Phrase(section=section, said=" ".join(" ".join(pieces).split()), words=" ".join(spoken))


def _pieces(passage: str) -> Iterator[str]:
    start = 0
    for found in CUT.finditer(passage):
        yield passage[start : found.start()]
        start = found.end()
    yield passage[start:]
