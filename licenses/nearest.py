"""Which known text an unknown one is near to, and what differs. A suggestion for the reader of a block; it never decides."""

from collections import Counter
from dataclasses import dataclass

from licenses.catalogue import Catalogue, KnownText
from licenses.fields import without_fields
from licenses.phrases import phrases
from licenses.sketch import Sketch, fingerprint, known, likeness, sketch
from licenses.words import marks_hash, odd_characters, text_hash

LEAST = 0.3  # below that no text is called near
HELD = 0.95  # of its phrases: then a text counts as contained
SHOWN = 6  # differences that are quoted
QUOTE = 160  # characters of a quoted difference
READ = 1 << 17  # characters; the longest known text has 36,000


@dataclass(frozen=True, kw_only=True, slots=True)
class Nearest:
    """`similarity` is the share of three-word runs in common, 0 to 1; `differences` are sentences for a reader."""

    license: str
    version: str
    similarity: float
    differences: tuple[str, ...]


def nearest(text: str, catalogue: Catalogue) -> Nearest | None:
    """The known text that this one is nearest to, None where it is near to none. It only suggests: identify() decides."""
    text = text[:READ]
    mine = sketch(text)
    has = Counter(print for print, _ in mine.phrases)
    ranked = sorted(((_score(mine, has, other), norm) for norm, other in known().items() if norm in catalogue.texts), reverse=True)
    if not ranked or ranked[0][0] < LEAST:
        return None
    norm = ranked[0][1]
    exact = text_hash(text) == norm
    found, other = catalogue.texts[norm], known()[norm]
    differences = [
        *_signs(text, found, exact=exact),
        *_added(text, other),
        *_missing(has, other),
        *_contained(has, norm, found.license, catalogue),
    ]
    return Nearest(
        license=found.license,
        version=found.version,
        similarity=1.0 if exact else min(likeness(mine, other), 0.999),
        differences=tuple(differences),
    )


def _score(mine: Sketch, has: Counter[int], other: Sketch) -> float:
    return max(likeness(mine, other), 0.9 * _share(has, other))


def _share(has: Counter[int], other: Sketch) -> float:
    """The share of the other's phrases that this text holds."""
    wanted = Counter(print for print, _ in other.phrases)
    return (wanted & has).total() / wanted.total() if len(wanted) >= SHOWN else 0.0


def _signs(text: str, found: KnownText, *, exact: bool) -> list[str]:
    said = [f"holds {name}, which hides or imitates other characters" for name in odd_characters(text)[:SHOWN]]
    if exact and found.marks not in (None, marks_hash(text)):
        said.append("amounts or signs ($ % < > ~~) are written differently")
    return said


def _added(text: str, other: Sketch) -> list[str]:
    """What stands in this text and not in the known one, quoted."""
    left = Counter(print for print, _ in other.phrases)
    runs: list[list[str]] = [[]]
    for phrase in phrases(without_fields(text)[0]):
        print = fingerprint(phrase)
        if left[print] > 0:
            left[print] -= 1
            runs.append([])
        else:
            runs[-1].append(phrase.said)
    runs = [run for run in runs if run]
    quoted = [f"adds or changes: “{_short(' '.join(run))}”" for run in runs[:SHOWN]]
    return [*quoted, *([f"and {len(runs) - SHOWN} more passages"] if len(runs) > SHOWN else [])]


def _missing(has: Counter[int], other: Sketch) -> list[str]:
    left = has.copy()
    lost: list[str] = []
    for print, section in other.phrases:
        if left[print] > 0:
            left[print] -= 1
        else:
            lost.append(section)
    if not lost:
        return []
    sections = [section for section in dict.fromkeys(lost) if section]
    where = f", in {', '.join(sections[:8])}{' and more' if len(sections) > 8 else ''}" if sections else ""
    return [f"lacks or changes {len(lost)} of its {len(other.phrases)} phrases{where}"]


def _contained(has: Counter[int], norm: str, license: str, catalogue: Catalogue) -> list[str]:
    """Further licences whose text stands in the same file, those left out that the nearest one or each other hold anyway."""
    listed = [one for one in known() if one != norm and one in catalogue.texts and _share(has, known()[one]) >= HELD]
    told: list[str] = [norm]
    for one in sorted(listed, key=lambda one: -len(known()[one].phrases)):
        if all(_share(Counter(print for print, _ in known()[other].phrases), known()[one]) < HELD for other in told):
            told.append(one)
    names = sorted({catalogue.texts[one].license for one in told} - {license})
    return [f"holds the text of {name} as well" for name in names]


def _short(said: str) -> str:
    return said if len(said) <= QUOTE else f"{said[: QUOTE // 2 - 2]} … {said[-(QUOTE // 2 - 2) :]}"
