"""What may not be asked for: a filter over prompts that is always on and sees through disguises. Pure; no model, no network.

A first layer: it knows words and no meaning. What it is and is not is said to callers (`safety.safety_statement`).
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from operator import ge

from ..errors import BadText, ContentRefused
from ..settings import Settings
from . import denied
from .disguise import Reading, letters, plain, readings, spelled_out, with_last_symbols

_CONTROLS = ("\n", "\r", "\t")
_LONGEST_WORD = 20  # letters of a listed word, rows of equal ones counted once
_UNTIL_17 = (
    r"(?:[1-9]|1[0-7]|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|thirteen|fourteen|fifteen|sixteen|seventeen)"
)
_AGE = re.compile(
    rf"\b{_UNTIL_17}\W{{0,2}}(?:y\W?o\b|(?:yrs?|years?)\W{{0,2}}(?:old|of\W?age)|jahrig|jahre\W?alt|ans\b|anos\b|anni\b"
    rf"|{plain('лет')}\b|岁|歳|세)|\bage[ds]?\W{{1,2}}{_UNTIL_17}\b"
)


def check_request(prompt: str, negative_prompt: str, settings: Settings) -> None:
    """Raise BadText or ContentRefused unless this package's app may draw what is asked for.

    A negative prompt names what shall not be seen ("nsfw, nude"), so its words are no request; its form is checked alone.
    """
    limit = settings.limits.max_prompt_bytes
    check_text(prompt, field="prompt", max_bytes=limit)
    check_text(negative_prompt, field="negative_prompt", max_bytes=limit)
    check_prompt(prompt, deny=settings.safety.deny)


def check_text(text: str, *, field: str, max_bytes: int) -> None:
    """Raise BadText for control characters, lone surrogates, and text that is longer once its compatibility letters are plain.

    Bytes are those of UTF-8 after NFKC, the form in which tokenizers read it: one letter may stand for eighteen.
    """
    if any(unicodedata.category(one) in ("Cc", "Cs") and one not in _CONTROLS for one in text):
        raise BadText(f"The {field} holds control characters", field=field)
    size = len(unicodedata.normalize("NFKC", text).encode())
    if size > max_bytes:
        raise BadText(f"The {field} has {size} bytes, at most {max_bytes} are allowed", field=field, type="string_too_long")


def check_prompt(prompt: str, *, deny: Sequence[str] = ()) -> None:
    """Raise ContentRefused if the prompt asks for what no caller may have, whatever its letters look like.

    deny: words and phrases of this package's author, each refused alone.
    """
    if _is_refused(_found(prompt, _lexicon(tuple(deny)))):
        raise ContentRefused("The prompt is against the content policy of this app")


@dataclass(frozen=True, slots=True)
class _Mark:
    """Why a word stands in a list. `open` words count beside words of every language, others only beside those of their own."""

    kind: str  # minor, sexual or refused
    language: str = ""
    open: bool = True


_Counts = tuple[int, ...]
_Rows = tuple[str, _Counts]  # a word with each row of equal letters as one, and how many there are in each row


@dataclass(frozen=True, kw_only=True, slots=True)
class _Lexicon:
    """The lists, by the letters of their words; a word is found where each of its letters stands in a row as often at least."""

    entries: Mapping[tuple[str, ...], tuple[tuple[_Counts, _Mark], ...]]
    longest: int  # words of a phrase
    harmless: frozenset[tuple[str, ...]]
    anywhere: Mapping[str, _Mark]  # of languages without spaces
    harmless_anywhere: re.Pattern[str]

    def marks(self, words: Sequence[_Rows]) -> Iterator[_Mark]:
        """What these words, taken as one phrase, are listed as."""
        listed = self.entries.get(tuple([rows for rows, _ in words]))
        if listed:
            seen = [count for _, counts in words for count in counts]
            yield from (mark for least, mark in listed if all(map(ge, seen, least)))


def _is_refused(marks: Iterable[_Mark]) -> bool:
    found = frozenset(marks)
    minors, sexual = ([mark for mark in found if mark.kind == kind] for kind in ("minor", "sexual"))
    together = any(one.language == other.language or (one.open and other.open) for one in minors for other in sexual)
    return together or any(mark.kind == "refused" for mark in found)


def _found(prompt: str, lexicon: _Lexicon) -> Iterator[_Mark]:
    """Every listed word of a prompt, in whatever way it may be read."""
    for words in readings(prompt):
        yield from _in_words(words, lexicon)
        yield from _anywhere("".join(words), lexicon)
    for phrase in with_last_symbols(prompt, longest=lexicon.longest):
        yield from lexicon.marks([_rows(word) for word in phrase])
    for run in spelled_out(prompt):
        yield from _in_run(run, lexicon)
    if _AGE.search(plain(prompt)):
        yield _Mark("minor")


def _in_words(words: Reading, lexicon: _Lexicon) -> Iterator[_Mark]:
    """Listed words and phrases of a reading; a harmless phrase is passed over unless a word of the other kind stands before it."""
    found = [frozenset(_at(place, words, lexicon)) for place in range(len(words))]
    place, before = 0, ""
    while place < len(words):
        size = next((size for size in range(lexicon.longest, 0, -1) if words[place : place + size] in lexicon.harmless), 1)
        kinds = {mark.kind for marks in found[place : place + size] for mark in marks}
        if size == 1 or (found[place] and before and before not in kinds):
            yield from found[place]
            place, before = place + 1, next(iter(kinds), "")
        else:
            place, before = place + size, ""


def _at(place: int, words: Reading, lexicon: _Lexicon) -> Iterator[_Mark]:
    """What begins at a word: the word itself, with digits off its ends, as two words in one, and phrases."""
    rows = [_rows(word) for word in words[place : place + lexicon.longest]]
    for size in range(1, len(rows) + 1):
        yield from lexicon.marks(rows[:size])
    bare = words[place].strip("0123456789")
    if bare and bare != words[place]:
        yield from lexicon.marks([_rows(bare)])
    yield from _compound(rows[0], lexicon)


def _compound(word: _Rows, lexicon: _Lexicon) -> Iterator[_Mark]:
    """Two listed words of different kinds that are written as one."""
    letters_, counts = word
    for at in range(2, min(len(letters_) - 1, _LONGEST_WORD)):
        first = [*lexicon.marks([(letters_[:at], counts[:at])])]
        for start in (at, at - 1) if first and counts[at - 1] > 1 else (at,) if first else ():
            second = [*lexicon.marks([(letters_[start:], counts[start:])])]
            if {mark.kind for mark in first} ^ {mark.kind for mark in second} and second:
                yield from (*first, *second)


def _in_run(run: str, lexicon: _Lexicon) -> Iterator[_Mark]:
    """Listed words in letters that stood alone; where one word ends and the next begins is not known there."""
    all_letters, counts = _rows(run)
    for start in range(len(all_letters) - 1):
        for end in range(start + 2, min(start + _LONGEST_WORD, len(all_letters)) + 1):
            yield from lexicon.marks([(all_letters[start:end], counts[start:end])])


def _anywhere(text: str, lexicon: _Lexicon) -> Iterator[_Mark]:
    if not text.isascii():
        cleared = lexicon.harmless_anywhere.sub(" ", text)
        yield from (mark for word, mark in lexicon.anywhere.items() if word in cleared)


@lru_cache(maxsize=8)
def _lexicon(deny: tuple[str, ...]) -> _Lexicon:
    entries: dict[tuple[str, ...], list[tuple[_Counts, _Mark]]] = {}
    anywhere: dict[str, _Mark] = {}
    for phrase, mark in (*_listed(), *((text, _Mark("refused")) for text in deny)):
        words = readings(phrase)[0]
        if any(map(_is_unspaced, phrase)):
            anywhere["".join(words)] = mark
            continue
        for form in {words, ("".join(words),)}:
            rows = [_rows(word) for word in form]
            entries.setdefault(tuple(one for one, _ in rows), []).append((tuple(n for _, each in rows for n in each), mark))
    harmless = [readings(phrase)[0] for phrase in denied.HARMLESS.split()]
    unspaced = ["".join(words) for words in harmless if any(map(_is_unspaced, "".join(words)))]
    return _Lexicon(
        entries={key: tuple(rows) for key, rows in entries.items()},
        longest=max(map(len, (*entries, *harmless))),
        harmless=frozenset(harmless),
        anywhere=anywhere,
        harmless_anywhere=re.compile("|".join(map(re.escape, unspaced))),
    )


def _listed() -> Iterator[tuple[str, _Mark]]:
    for text in (denied.ABUSE, denied.UNDRESSING, denied.BARRED):
        yield from ((phrase, _Mark("refused")) for phrase in text.split())
    for code, language in (*denied.MINORS_AND_SEXUAL.items(), ("", denied.WITHOUT_SPACES)):
        yield from ((phrase, _Mark("minor", code)) for phrase in language.minors.split())
        yield from ((phrase, _Mark("sexual", code)) for phrase in language.sexual.split())
        yield from ((phrase, _Mark("minor", code, open=False)) for phrase in language.minors_here.split())
        yield from ((phrase, _Mark("sexual", code, open=False)) for phrase in language.sexual_here.split())


@lru_cache(maxsize=4096)
def _rows(word: str) -> _Rows:
    """A word by its rows of equal letters, digits read as letters; i and l, which look alike, are one letter."""
    rows = [(letter, sum(1 for _ in same)) for letter, same in groupby(letters(word).replace("l", "i"))]
    return "".join(letter for letter, _ in rows), tuple(count for _, count in rows)


def _is_unspaced(letter: str) -> bool:
    return unicodedata.name(letter, "").startswith(("CJK", "HIRAGANA", "KATAKANA", "HANGUL"))
