"""The ways in which a text may be read: letters that only look like others, hidden marks, and words that are taken apart. Pure.

A reading is a tuple of words in small plain letters. A text in plain letters has one, and what is disguised has a few more.
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import groupby

Reading = tuple[str, ...]

# Letters of other scripts that are drawn like these Latin ones. Letters that Unicode itself names after a Latin letter are no
# part of it (`_base` finds them), nor are those that its compatibility forms already turn into Latin letters.
_LOOK_ALIKES = {
    "a": "аαɑꓮᎪⲁ",
    "b": "вьβꓐᏴ฿",
    "c": "сϲꓚᏟⲥ",
    "d": "ԁժꓓᎠ",
    "e": "еєεҽꓰᎬ℮əәⲉ",
    "f": "ғϝꓝ",
    "g": "ցɡꓖᏀ",
    "h": "һнհꓧᎻⲏ",
    "i": "іιɩӏꓲᎥǀ",
    "j": "јϳյꓙᎫ",
    "k": "кκꓗᏦⲕ",
    "l": "ꓡᏞ",
    "m": "мϻꓟᎷ",
    "n": "пηոռꓠⲛ",
    "o": "оοσօ〇ꓳ",
    "p": "рρꓑᏢⲣ",
    "q": "ԛզ",
    "r": "гꓣᏒ",
    "s": "ѕꓢՏᏚ",
    "t": "тτꓔᎢ",
    "u": "υμцսꓴ",
    "v": "ѵνꓦᏙ",
    "w": "ԝшωꓪᎳ",
    "x": "хχꓫ",
    "y": "уүγꓬᎩ",
    "z": "ꓜᏃ",
}
_LATIN = {form: letter for letter, row in _LOOK_ALIKES.items() for alike in row for form in (alike, alike.casefold())}
_BRACKETED = {chr(first + at): chr(ord("a") + at) for first in (0x249C, 0x1F110) for at in range(26)}  # (a) in one character
_DRAWN = str.maketrans(_LATIN | _BRACKETED)
_NAMED = re.compile(
    r"(?:LATIN (?:SMALL |CAPITAL )?LETTER "
    r"(?:SMALL CAPITAL |DOTLESS |SCRIPT |OPEN |BARRED |INSULAR |LONG |CLOSED |TURNED |REVERSED )*"
    r"|(?:CROSSED )?NEGATIVE (?:CIRCLED|SQUARED) LATIN CAPITAL LETTER |REGIONAL INDICATOR SYMBOL LETTER )([A-Z])(?: WITH .*)?"
)
_BLANK = re.compile("[\u115f\u1160\u3164\uffa0]")  # fillers: letters by their category that nothing is drawn for
_OVERRIDE = re.compile("[\u202d\u202e\u2066-\u2069]")  # what turns the direction of writing round
_DIGITS = str.maketrans("0134578926", "oieastbgzg")
_SYMBOLS = str.maketrans({"@": "a", "$": "s", "!": "i", "|": "i", "+": "t", "€": "e", "£": "l", "¢": "c", "(": "c", "¥": "y"})
_BEFORE_LETTER = re.compile(r"(?<![@$!|+€£¢(¥])[@$!|+€£¢(¥]++(?=[^\W_])")  # a row is begun once, and never taken back
_AFTER_LETTER = re.compile(r"(?<=[^\W_])[@$!|+€£¢(¥]+(?![^\W_])")
_IN_WORD = re.compile(r"(?<=[^\W_])(?:[^\w\s,;:'’]|_)+(?=[^\W_])")  # but what parts words where no space stands
_POSSESSIVE = re.compile(r"(?<=\w)['`´’]s\b")
_ENDED = "\U00010330"  # a letter that no list has; it marks the end of a word
_WORD = re.compile(r"[^\W_]+")


def readings(text: str) -> tuple[Reading, ...]:
    """Every way in which a text may be read, each as its words; the first is the plainest."""
    found: dict[Reading, None] = {}
    for shown in (_POSSESSIVE.sub("", shown) for shown in _plains(text)):
        for way in (shown, *_taken_together(shown)):
            found[tuple(_WORD.findall(way))] = None
        for way in (shown, shown.translate(_SYMBOLS)):
            runs = [*_runs(_WORD.findall(way))]
            if any(len(run) > 2 for run in runs):
                found[tuple(word for run in runs for word in (("".join(run),) if len(run) > 2 else run))] = None
    return tuple(found)


def with_last_symbols(text: str, *, longest: int) -> Iterator[Reading]:
    """Phrases in which symbols at the end of a word are read as letters (gir!), each with such a word in it.

    They are no reading of the whole text, since most such symbols are punctuation.
    """
    for shown in _plains(text):
        if not _AFTER_LETTER.search(shown):
            continue
        ended = _AFTER_LETTER.sub(lambda found: _as_letters(found) + _ENDED, _BEFORE_LETTER.sub(_as_letters, shown))
        for way in (ended, _IN_WORD.sub("", ended)):
            words = [word.removesuffix(_ENDED) for word in _WORD.findall(way)]
            for at in (place for place, word in enumerate(_WORD.findall(way)) if word.endswith(_ENDED)):
                for first in range(max(0, at - longest + 1), at + 1):
                    yield from (tuple(words[first:end]) for end in range(at + 1, first + longest + 1))


def spelled_out(text: str) -> tuple[str, ...]:
    """Runs of at least three letters that stand alone (c.h.i.l.d), each run as one word."""
    found: dict[str, None] = {}
    for shown in _plains(text):
        for way in (shown, shown.translate(_SYMBOLS)):
            found |= dict.fromkeys("".join(run) for run in _runs(_WORD.findall(way)) if len(run) > 2)
    return tuple(found)


def letters(word: str) -> str:
    """A word with digits read as the letters that they stand for."""
    return word.translate(_DIGITS)


def plain(text: str) -> str:
    """Small letters without accents, hidden marks and look-alikes: what is left is what the text shows."""
    if text.isascii():
        return text.casefold()
    drawn = _BLANK.sub("", text).translate(_DRAWN)  # first: what a letter is folded to need not look like it
    whole = unicodedata.normalize("NFKD", drawn).casefold().replace("œ", "oe").replace("æ", "ae")
    shown = "".join(_base(one) for one in unicodedata.normalize("NFKD", whole))
    return unicodedata.normalize("NFC", shown)


def _plains(text: str) -> Iterator[str]:
    yield plain(text)
    if text.isascii():
        return
    if any(unicodedata.category(one) == "Cf" for one in text):
        yield plain("".join(" " if unicodedata.category(one) == "Cf" else one for one in text))  # it may part words
    if _OVERRIDE.search(text):
        yield plain(text)[::-1]


def _runs(words: Sequence[str]) -> Iterator[list[str]]:
    """The words in order: letters that stand alone (also in rows: cc) as one run, any other word as a run of its own."""
    for alone, run in groupby(words, key=lambda word: len(set(word)) == 1):
        together = list(run)
        yield from [together] if alone else ([word] for word in together)


def _taken_together(text: str) -> Iterator[str]:
    """The text with symbols read as letters, and with what parts letters inside of words left out."""
    read = _BEFORE_LETTER.sub(_as_letters, text)
    yield read
    for way in (text, read):
        yield _IN_WORD.sub("", way)


def _as_letters(symbols: re.Match[str]) -> str:
    return symbols[0].translate(_SYMBOLS)


@lru_cache(maxsize=4096)
def _base(letter: str) -> str:
    """The Latin letter that a letter is drawn like, a digit's own figure, nothing for marks; else the letter itself."""
    category = unicodedata.category(letter)
    if category in ("Mn", "Me", "Cf"):
        return ""
    if letter in _LATIN:
        return _LATIN[letter]
    if category == "Nd":
        return str(unicodedata.decimal(letter))
    named = _NAMED.fullmatch(unicodedata.name(letter, ""))
    return named[1].lower() if named else letter
