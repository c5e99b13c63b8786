"""The words of a text, which its hash covers, and the signs beside them that could change what a reader sees.

Layout and punctuation do not count for the hash. What could turn a meaning without touching a word does count here:
amounts and comparisons, struck-out passages, comments, characters that nobody sees or that only look like others.
"""

import hashlib
import re
import unicodedata

AUTOLINK = re.compile(r"<(?:https?://|mailto:)?[^<>\s@./:]+[@./:][^<>\s]*+>|^[ \t]*+(?:>[ \t]*+)++", re.M)
MARK = re.compile(r"~~|<!--|[<>$%]|(?<!\d)\d++(?:[.,]\d++)++|(?<![\w.,])[-+](?=\d)")
PLAIN_CONTROLS = "\t\n\r\f\v"
PLAIN_SYMBOLS = "©®™$<>=+|~^`"
PLAIN_VARIANTS = "…ﬀﬁﬂﬃﬄ™´¨¯"  # NFKC spells them out, as a reader does
REFUSED = ("C", "M", "S", "Nl", "No")


def words(text: str) -> str:
    """Lower-case words of a text after NFKC, joined by single spaces: layout and punctuation do not count."""
    return " ".join(re.findall(r"\w+", unicodedata.normalize("NFKC", text).lower()))


def text_hash(text: str) -> str:
    """sha256 over the words of a text."""
    return hashlib.sha256(words(text).encode()).hexdigest()


def marks(text: str) -> str:
    """The signs between the words that carry meaning, in order: amounts as written, < > $ %, struck-out text, comments."""
    return " ".join(MARK.findall(AUTOLINK.sub(" ", text)))


def marks_hash(text: str) -> str:
    """The first 16 hex digits of the sha256 of `marks`."""
    return hashlib.sha256(marks(text).encode()).hexdigest()[:16]


def odd_characters(text: str) -> tuple[str, ...]:
    """Names of the characters that hide, reorder or imitate others: `U+202E RIGHT-TO-LEFT OVERRIDE`; none in plain text."""
    odd = dict.fromkeys(sign for sign in text.removeprefix("\ufeff") if ord(sign) > 126 or ord(sign) < 32 if _is_odd(sign))
    return tuple(f"U+{ord(sign):04X} {unicodedata.name(sign, 'without a name')}" for sign in odd)


def _is_odd(sign: str) -> bool:
    if sign in PLAIN_CONTROLS + PLAIN_SYMBOLS + PLAIN_VARIANTS:
        return False
    kind = unicodedata.category(sign)
    if kind.startswith(("Z", "P")):
        return False
    imitates = unicodedata.normalize("NFKC", sign) != sign
    return imitates or kind in REFUSED or kind[0] in REFUSED
