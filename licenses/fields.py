"""What may differ from copy to copy of MIT, BSD, ISC and Apache texts: the title, copyright lines, the named parties.

Anything that could carry a condition is no field: it stays in the text, whose hash then fits nothing.
"""

import hashlib
import re
import unicodedata
from functools import partial

from licenses.words import words

TITLES = (
    ("mit", re.compile(r"(?:the )?(?:mit|mit license(?: \(mit\))?|mit licence)", re.I)),
    ("bsd-2-clause", re.compile(r"(?:the )?(?:bsd[ -]2[ -]clause(?: license)?|simplified bsd license)", re.I)),
    ("bsd-3-clause", re.compile(r"(?:the )?(?:bsd[ -]3[ -]clause(?: license)?|(?:new|modified|revised) bsd license)", re.I)),
)
MARK = r"(?:copyright\s*(?:\(c\)|©)|copyright|©|\(c\))"
YEARS = r"(?:\[yyyy\]|\[year\]|<year>|\{yyyy\}|\d{4})(?:\s*[-–,]\s*(?:\d{4}|present))*\s*-?"
COPYRIGHT = re.compile(rf"{MARK}[\s,:]*(?P<years>{YEARS})?[\s,:]*(?P<holder>.{{1,120}})", re.I)
PLACEHOLDER = re.compile(r"[\[<{](?:name of copyright owner|copyright holders?|fullname|owner|name)[\]>}]\.?", re.I)
LINES_LIMIT = 12
LINE_LIMIT = 300  # characters; longer lines are no fields
NAMES_LIMIT = 12
PERSON = 3  # words of a person's name; longer names are those of organisations
# A holder is a name. A word that could carry a condition makes the line part of the text again; a name that holds such a
# word blocks too, which costs one look of a person.
STEMS = (
    "commerc comerci kommerz gewerb research recherch forsch ricerc investigac pesquis academ evaluat educat educac "
    "personal priva hobby hobbies exclusiv uniquement ausschlie profit prohib interdit verbot forbid restrict "
    "confiden propriet unauthori untersag inferenc internal monet redistribut derivat gratui kostenlos verkauf vend "
    "nutzung"
)
WORDS = (
    r"non? not nur nie kein\w* pas sans seul\w* solo sin sem only without except unless until subject if when where "
    r"while use[ds]? users? usage uso using may must shall should can cannot permi\w* licen[sc]\w* grant(?:s|ed|ing) "
    r"terms? conditions? rights? ask contact email before prior after per each any all every fees? "
    r"pa(?:y|id|ying|yment)s? free sales? sell\w* sold buy rent\w* trial demo beta days? months? years? expires? void "
    r"require[ds]? approv\w* consent allow\w* disallow\w* deny denied ban banned host(?:ed|ing) api saas servers? "
    r"service production deploy\w* train(?:ing)? distribut\w* modif\w* cop(?:y|ies|ying) share students? schools? "
    r"stud(?:y|ies) test(?:s|ing)? home nc nd sa by agpl gpl lgpl apache bsd cc eula agreement polic(?:y|ies)"
)
CONDITION = re.compile("|".join([*STEMS.split(), rf"\b(?:n\W{{0,2}}[cd]|{'|'.join(WORDS.split())})\b"]), re.I)
ORGANISATION = re.compile(
    r"Research (?=Institut|Lab|Cent|Foundation|Group|Council|Team|Inc|Ltd|GmbH|Corp)|Academy (?=of )|"
    r"(?:Free|Apache) (?=Software Foundation)"
)
ADDRESS = re.compile(
    r"[<(]?(?:[\w.+-]+@[\w-]+(?:\.[\w-]+)+|https?://[\w./~-]+)[>)]?|[<(]see (?:the )?AUTHORS(?:\.\w+)?(?: file)?[>)]\.?"
)
FOREIGN = re.compile(r"[^\x00-\u024f\u2010-\u201f]")  # letters that the list above can not judge
LINKING = re.compile(
    r"and|or|the|of|for|by|et|al|de|du|van|von|der|den|la|le|di|da|its|their|respective|individual|other|affiliates|subsidiaries|"
    r"inc|ltd|llc|gmbh|team|contributors|authors|developers|maintainers|members|project|others"
)
LEGAL_FORM = re.compile(r"Inc|Ltd|Limited|LLC|LLP|GmbH|AG|Corp|Corporation|Co|Pty|Technologies", re.I)
BODY = re.compile(
    r"University|Institut\w*|Laborator\w+|Labs?|Research|Technology|Foundation|Academy|Group|Team|Cent(?:er|re)|Project|Software"
)
GROUP = re.compile(r"team|contributors|authors|developers|maintainers|members|project")
ABBREVIATED = re.compile(r"\b(?:[A-Z]|Inc|Ltd|Co|Corp|Jr|Sr|Dr|St|Pty|LLC|B\.V|S\.A|e\.V|al)\.")
INITIAL = re.compile(r"\b(?:[A-Z]|Jr|Sr|Dr)\.")
BSD_PARTIES = r"(?:the )?(?:copyright (?:holders?|owners?)|authors?|regents)(?: (?:and|or) contributors)?"
BSD_FIELDS = (
    (re.compile(r"\b[1-3] (?=redistributions |neither )"), ""),
    (re.compile(r"neither the name of (?P<name>\w+(?: \w+){0,7}) nor the names of its contributors"), "neither name"),
    (re.compile(rf"provided by {BSD_PARTIES} as is"), "provided as is"),
    (re.compile(rf"in no event shall {BSD_PARTIES} be liable"), "in no event liable"),
)


def without_fields(text: str) -> tuple[str, frozenset[str]]:
    """A text without the lines and names that may differ, and the licences that its title lines name."""
    lines = unicodedata.normalize("NFKC", text.removeprefix("\ufeff")).splitlines()
    kinds = [_kind(line.strip()) for line in lines]
    if sum(kind == "copyright" for kind in kinds) > LINES_LIMIT:
        return text, frozenset()
    kept = "\n".join(line for line, kind in zip(lines, kinds, strict=True) if kind is None)
    return kept, frozenset(kind for kind in kinds if kind is not None and kind != "copyright")


def template_hash(kept: str) -> str:
    """sha256 over the words of a text without its fields and the parties that BSD texts name."""
    said = words(kept).replace("https ", "http ")
    for pattern, replacement in BSD_FIELDS:
        said = pattern.sub(partial(_masked, replacement), said)
    return hashlib.sha256(said.encode()).hexdigest()


def is_name(holder: str) -> bool:
    """A copyright holder that is a name and nothing else."""
    if PLACEHOLDER.fullmatch(holder.strip()):
        return True
    if CONDITION.search(ORGANISATION.sub("", re.sub(r"^by ", "", holder))) or FOREIGN.search(holder):
        return False
    plain = ADDRESS.sub(" ", holder).strip()
    named = re.findall(r"[^\W\d_]+", plain)
    proper = [word for word in named if not LINKING.fullmatch(word)]
    if not proper and not (named and GROUP.fullmatch(named[-1])):
        return False
    if len(proper) > NAMES_LIMIT or not all(_is_one_name(chunk) for chunk in re.split(r"[,;&/]|\band\b|\bor\b", plain)):
        return False
    if re.search(r"[.!?:;][\s,]+\S|[=!?%$#*]", ABBREVIATED.sub("", plain)):
        return False
    return len(plain.split()) == 1 or not any(_is_plain_word(named, place) for place in range(len(named)))


def _is_one_name(chunk: str) -> bool:
    """At most three words, or those of an organisation; nothing follows its legal form."""
    named = re.findall(r"[^\W\d_]+", INITIAL.sub(" ", chunk))
    proper = [word for word in named if not LINKING.fullmatch(word)]
    forms = [place for place, word in enumerate(proper) if LEGAL_FORM.fullmatch(word)]
    if forms and any(not LEGAL_FORM.fullmatch(word) for word in proper[forms[0] :]):
        return False
    return len(proper) <= PERSON or bool(forms) or any(BODY.fullmatch(word) for word in proper)


def _is_plain_word(named: list[str], place: int) -> bool:
    """A lower-case word that is no part of a name: neither the handle at the beginning nor that of a group."""
    word, after = named[place], named[place + 1] if place + 1 < len(named) else ""
    return not (word[0].isupper() or place == 0 or LINKING.fullmatch(word) or GROUP.fullmatch(after))


def _kind(line: str) -> str | None:
    """copyright or the licence that a title names; None for a line that belongs to the text."""
    if not line or len(line) > LINE_LIMIT:
        return None
    bare = line.lstrip("# *=_->").rstrip("# *=_-")
    for license, pattern in TITLES:
        if pattern.fullmatch(bare):
            return license
    if re.fullmatch(r"all rights reserved\.?", bare, re.I):
        return "copyright"
    found = COPYRIGHT.fullmatch(re.sub(r"\W*all rights reserved\W*$", "", line.lstrip("# *>").rstrip("# *"), flags=re.I).strip())
    if found is None:
        return None
    marked = found["years"] is not None or "(c)" in line.lower() or "©" in line
    return "copyright" if marked and is_name(found["holder"]) else None


def _masked(replacement: str, found: re.Match[str]) -> str:
    conditional = "name" in found.groupdict() and CONDITION.search(found["name"])
    return found[0] if conditional else replacement
