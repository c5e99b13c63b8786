"""Passages of a licence text that have to be repeated elsewhere: the line for NOTICE, and the use restrictions."""

import re
from dataclasses import dataclass

CALLED = re.compile(r"[\"“]((?:attribution )?notice)[\"”]", re.I)  # the file's own name in quotes, which is not the line
NOTICE = re.compile(
    r"(?:attribution\s+notices?|following\s+notice)\b[^\"“”]{0,300}?"
    r"[\"“](?P<line>[^\"“].{19,900}?)(?:[\"”](?=\s*(?:[;,).]|and\b|\Z|\n))|(?<=\.)[\"”])",
    re.I | re.S,
)
APPENDED = re.compile(r"^[ \t#*]*(?:attachment|exhibit)[ \t]+[a-z0-9]\b.{0,40}$", re.I | re.M)
USES = re.compile(r"use restrictions|acceptable use|prohibited uses?|restricted uses?", re.I)
TITLED = re.compile(r"^(?P<level>#{1,6})[ \t]*(?:prohibited uses?|use restrictions|acceptable use policy)\W*$", re.I | re.M)
NUMBERED = re.compile(r"^[ \t]*(?P<number>\d+\.\d+)[ \t]+(?:use restrictions|prohibited uses?)\W*$", re.I | re.M)
NEAR = 160  # characters after the heading of an appendix within which it says that it is about uses
LEAST = 80  # characters; less is a heading without its list


@dataclass(frozen=True, kw_only=True, slots=True)
class Passage:
    section: str
    text: str


def notice_in(text: str) -> str | None:
    """The line that a licence wants in a NOTICE file, on one line and without its quotes; None where it names none."""
    for found in NOTICE.finditer(CALLED.sub(r"\1", text)):
        line = " ".join(found["line"].split())
        if re.search(r"licen[sc]e|terms of use", line, re.I):
            return line
    return None


def restrictions_in(text: str) -> Passage | None:
    """The use restrictions as the licence lists them, letter by letter; None where they do not stand in a section of their own."""
    passage = _appended(text) or _titled(text) or _numbered(text)
    return passage if passage and len(passage.text) >= LEAST else None


def _appended(text: str) -> Passage | None:
    """An attachment or exhibit at the end of the text."""
    headings = [found for found in APPENDED.finditer(text) if USES.search(text[found.start() : found.end() + NEAR])]
    if not headings:
        return None
    first = headings[-1]
    after = APPENDED.search(text, first.end())
    section = re.match(r"[\s#*]*(\w+[ \t]+\w+)", first[0])
    assert section
    return Passage(section=section[1], text=text[first.start() : after.start() if after else len(text)].strip())


def _titled(text: str) -> Passage | None:
    found = TITLED.search(text)
    if found is None:
        return None
    after = re.compile(rf"^#{{1,{len(found['level'])}}}[^#]", re.M).search(text, found.end())
    return Passage(section=found[0].strip("# \t"), text=text[found.start() : after.start() if after else len(text)].strip())


def _numbered(text: str) -> Passage | None:
    found = NUMBERED.search(text)
    if found is None:
        return None
    after = re.compile(r"^[ \t]*(?:section\s+)?\d+(?:\.\d+)?[.:]?[ \t]+[A-Z]", re.M | re.I).search(text, found.end())
    return Passage(section=f"section {found['number']}", text=text[found.start() : after.start() if after else len(text)].strip())
