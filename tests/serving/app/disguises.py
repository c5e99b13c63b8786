"""The tricks by which a refused prompt is written so that people read it and a filter does not, as hypothesis draws them."""

import unicodedata
from collections.abc import Callable

from hypothesis import strategies as some

ALPHABETS = "\uff41\U0001d41a\U0001d44e\U0001d4d0\U0001d51e\U0001d586\U0001d5ba\U0001d68a\u24d0\u249c\U0001f130\U0001f150\U0001f1e6"
TWINS = {"a": "аαɑ", "c": "сϲ", "d": "ԁ", "e": "еε", "g": "ɡ", "h": "һ", "i": "іι1", "k": "кκ", "l": "ӏI1", "n": "пη", "o": "оο"}
TWINS |= {"p": "рρ", "s": "ѕ", "u": "υս", "x": "хχ", "y": "уγ"}
FIGURES = {"a": "4@", "e": "3€", "i": "1!|", "o": "0", "s": "5$", "t": "7+"}
HIDDEN = "\u200b\u200c\u200d\u2060\ufeff\u00ad\u200e\u200f\u202a\u2066\u034f\ufe0f\u3164"
MARKS = "\u0301\u0308\u0336\u0337\u0323\u20dd\u0489"
PARTS = (".", "-", "_", "*", " ", "·", "/", "~")

Trick = Callable[[str], str]


def _each(change: Callable[[str], str]) -> Trick:
    return lambda text: "".join(change(one) if one.isascii() and one.isalpha() else one for one in text)


def _alphabet(first: str) -> Trick:
    def turned(letter: str) -> str:
        return chr(ord(first) + ord(letter.lower()) - ord("a")) if letter.isascii() else letter

    return _each(lambda letter: turned(letter) if unicodedata.name(turned(letter), "") else letter)


def _spaced(part: str) -> Trick:
    """Every letter alone, words two spaces apart."""
    return lambda text: "  ".join(part.join(word) for word in text.split())


LETTER_BY_LETTER = ("case", "alphabet", "twins", "figures", "hidden", "marks", "rows")
SET_APART = ("every word set apart", "a word set apart")


@some.composite
def tricks(draw: some.DrawFn, kinds: tuple[str, ...] = (*LETTER_BY_LETTER, *SET_APART)) -> Trick:
    """One trick over a whole text, drawn anew for each letter where it has choices."""
    kind = draw(some.sampled_from(kinds))
    random = draw(some.randoms(use_true_random=False))
    if kind == "case":
        return _each(lambda one: random.choice((one.upper(), one.lower())))
    if kind == "alphabet":
        return _alphabet(draw(some.sampled_from(ALPHABETS)))
    if kind == "twins":
        return _each(lambda one: random.choice((one, *TWINS.get(one.lower(), ()))))
    if kind == "figures":
        return _each(lambda one: random.choice((one, *FIGURES.get(one.lower(), ()))))
    if kind == "hidden":
        return _each(lambda one: one + random.choice(("", random.choice(HIDDEN))))
    if kind == "marks":
        return _each(lambda one: one + "".join(random.choices(MARKS, k=random.randint(0, 4))))
    if kind == "rows":
        return _each(lambda one: one * random.randint(1, 4))
    part = draw(some.sampled_from(PARTS))
    if kind == SET_APART[0]:
        return _spaced(part)
    at = random.randint(0, 3)
    return lambda text: " ".join(part.join(word) if place == at else word for place, word in enumerate(text.split()))


accents = some.randoms(use_true_random=False).map(
    lambda random: _each(lambda one: unicodedata.normalize("NFC", one + random.choice(("", "", "\u0301", "\u0308"))))
)
