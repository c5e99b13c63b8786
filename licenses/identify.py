"""Which licence a text is: the exact hash of its words decides, nothing that only looks alike does.

CC BY and CC BY-NC share 98 % of their three-word runs, so similarity never sets a verdict.
"""

import hashlib
import re
import unicodedata
from dataclasses import dataclass
from functools import partial

from licenses.catalogue import Catalogue, KnownText

TITLE = re.compile(r"(?:the )?(?:mit(?: license(?: \(mit\))?)?|bsd [23]-clause license|bsd-[23]-clause)", re.I)
MARK = r"(?:copyright\s*(?:\(c\)|©)|copyright|©|\(c\))"
YEARS = r"(?:\[yyyy\]|<year>|\{yyyy\}|\d{4})(?:\s*[-–,]\s*(?:\d{4}|present))*\s*-?"
COPYRIGHT = re.compile(rf"{MARK}[\s,:]*(?P<years>{YEARS})?[\s,:]*(?P<holder>.{{1,120}})", re.I)
PLACEHOLDER = re.compile(r"[\[<{](?:name of copyright owner|copyright holders?|fullname|owner|name)[\]>}]\.?", re.I)
# A holder is a name. Anything that could carry a condition makes the line part of the text again, and the hash then fails.
CONDITION = re.compile(
    r"commerc|comerci|kommerz|research|academ|evaluat|educat|personal|priva|\b(?:non?|not|only|without|except|unless|subject|"
    r"use[ds]?|usage|uso|using|nur|seul\w*|solo|may|must|shall|can|cannot|permi\w*|prohibit\w*|forbid\w*|restrict\w*|licen[sc]\w*|grant\w*|terms?|rights?)\b",
    re.I,
)
FOREIGN = re.compile(r"[^\x00-\u024f\u2010-\u201f]")  # letters that the list above can not judge
LINKING = re.compile(r"and|the|of|for|by|et|al|de|du|van|von|der|den|la|le|di|da|team|contributors|authors|project|others")
BSD_PARTIES = r"(?:the )?(?:copyright )?(?:holders?|owners?|authors?|regents)(?: (?:and|or) contributors)?"
BSD_FIELDS = (
    (re.compile(r"\b[1-3] (?=redistributions |neither )"), ""),
    (re.compile(r"neither the name of (?P<name>\w+(?: \w+){0,7}) nor the names of its contributors"), "neither name"),
    (re.compile(rf"provided by {BSD_PARTIES} as is"), "provided as is"),
    (re.compile(rf"in no event shall {BSD_PARTIES} be liable"), "in no event liable"),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Match:
    known: KnownText
    hash: str
    by: str


def identify(text: str, catalogue: Catalogue) -> Match | None:
    """The licence whose exact text, or exact text but for its SPDX fields, this is; None where no hash agrees."""
    exact = text_hash(text)
    if known := catalogue.texts.get(exact):
        return Match(known=known, hash=exact, by="exact text")
    if known := catalogue.templates.get(template_hash(text)):
        return Match(known=known, hash=exact, by="exact text but for names and years")
    return None


def words(text: str) -> str:
    """Lower-case words of a text after NFKC, joined by single spaces: layout and punctuation do not count."""
    return " ".join(re.findall(r"\w+", unicodedata.normalize("NFKC", text).lower()))


def text_hash(text: str) -> str:
    """sha256 over the words of a text."""
    return hashlib.sha256(words(text).encode()).hexdigest()


def template_hash(text: str) -> str:
    """sha256 over the words that are left without title, copyright lines and the named parties of MIT, BSD and Apache texts."""
    lines = unicodedata.normalize("NFKC", text.removeprefix("\ufeff")).splitlines()
    kept = words("\n".join(line for line in lines if not _is_field(line.strip()))).replace("https ", "http ")
    for pattern, replacement in BSD_FIELDS:
        kept = pattern.sub(partial(_masked, replacement), kept)
    return hashlib.sha256(kept.encode()).hexdigest()


def _is_field(line: str) -> bool:
    if TITLE.fullmatch(line.strip("# *=")) or re.fullmatch(r"all rights reserved\.?", line, re.I):
        return True
    found = COPYRIGHT.fullmatch(re.sub(r"\W*all rights reserved\W*$", "", line, flags=re.I).strip())
    if found is None:
        return False
    marked = found["years"] is not None or "(c)" in line.lower() or "©" in line
    return marked and _is_name(found["holder"])


def _is_name(holder: str) -> bool:
    if PLACEHOLDER.fullmatch(holder.strip()):
        return True
    plain = re.sub(r"<[^<>\s]+>|\([^()\s]+\)", "", holder)
    named = re.findall(r"[^\W\d_]+", plain)
    small = [word for word in named if not LINKING.fullmatch(word) and not word[0].isupper()]
    fits = 0 < len(named) <= 10 and len(small) <= 1
    return fits and not CONDITION.search(holder) and not FOREIGN.search(holder)


def _masked(replacement: str, found: re.Match[str]) -> str:
    conditional = "name" in found.groupdict() and CONDITION.search(found["name"])
    return found[0] if conditional else replacement
