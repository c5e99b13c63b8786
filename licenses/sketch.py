"""Fingerprints of the known texts: enough to say which one a text is near to and where it differs, and no text itself.

`python -m licenses.sketch FOLDER` makes facts/sketches.yaml from a folder of licence texts (LORASMITH_LICENSE_TEXTS where
no folder is named), and prints the row for texts.yaml of each text that is not in the catalogue yet.
"""

import base64
import os
import struct
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from pathlib import Path
from zlib import crc32

from licenses.catalogue import FACTS
from licenses.fields import template_hash, without_fields
from licenses.phrases import Phrase, phrases
from licenses.words import marks_hash, text_hash, words

FILE = FACTS / "sketches.yaml"
SMALLEST = 128  # three-word runs kept of a text: those with the smallest fingerprints, which sample all of them evenly
SUFFIXES = (".txt", ".md", "")


@dataclass(frozen=True, kw_only=True, slots=True)
class Sketch:
    """`runs`: the smallest fingerprints of three-word runs; `phrases`: fingerprint and section of each phrase in order."""

    runs: frozenset[int]
    phrases: tuple[tuple[int, str], ...]


def sketch(text: str) -> Sketch:
    """The fingerprints of a text, titles and copyright lines left out."""
    kept, _ = without_fields(text)
    listed = tuple((fingerprint(phrase), phrase.section) for phrase in phrases(kept))
    return Sketch(runs=frozenset(_runs(words(kept))), phrases=listed)


def fingerprint(phrase: Phrase) -> int:
    """32 bits over the words of a phrase."""
    return crc32(phrase.words.encode())


def likeness(one: Sketch, other: Sketch) -> float:
    """Estimated share of three-word runs that two texts have in common (Dice), from the smallest fingerprints of both."""
    smallest = sorted(one.runs | other.runs)[:SMALLEST]
    shared = sum(run in one.runs and run in other.runs for run in smallest)
    jaccard = shared / len(smallest) if smallest else 0.0
    return 2 * jaccard / (1 + jaccard)


@lru_cache(maxsize=1)
def known() -> dict[str, Sketch]:
    """The fingerprints of this installation, by the hash of their text."""
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    rows = yaml.load(FILE.read_text(encoding="utf-8"), Loader=loader)  # noqa: S506  (both are safe loaders)
    return {norm: _read(row) for norm, row in rows.items()}


def main(arguments: list[str]) -> int:
    """Writes facts/sketches.yaml; 2 where there is no folder of texts."""
    from licenses.catalogue import load

    named = arguments[0] if arguments else os.environ.get("LORASMITH_LICENSE_TEXTS", "")
    if not named or not Path(named).is_dir():
        print(f"{named or 'nothing'!r} is not a folder of licence texts; name one, or set LORASMITH_LICENSE_TEXTS", file=sys.stderr)
        return 2
    texts = dict(sorted((text_hash(text), text) for text in texts_in(Path(named)).values()))
    catalogue = load()
    for norm, text in texts.items():
        if norm not in catalogue.texts:
            said = words(text)[:60]
            print(f"- license: ID  # begins {said!r}\n  norm: {norm}\n  marks: '{marks_hash(text)}'\n  version: 'DATE'")
            print(f"  # with names and years taken out: {template_hash(without_fields(text)[0])}")
    rows = [_row(norm, sketch(text)) for norm, text in texts.items() if norm in catalogue.texts]
    written = FILE.with_name(f".{FILE.name}.new")
    written.write_text("".join((HEAD, *rows)), encoding="utf-8")
    os.replace(written, FILE)
    print(f"{len(rows)} of {len(catalogue.texts)} known texts have their fingerprints in {FILE.name}")
    return 0


def texts_in(folder: Path) -> dict[str, str]:
    """The licence texts of a folder by file name."""
    files = sorted(path for path in folder.iterdir() if path.is_file() and path.suffix.casefold() in SUFFIXES)
    return {path.name: path.read_text(encoding="utf-8") for path in files}


HEAD = """# Fingerprints of the known texts, written by `python -m licenses.sketch FOLDER`; they suggest, they never decide.
# runs: the smallest 32-bit fingerprints of three-word runs. phrases: one such fingerprint a phrase, in order.
# sections: how many phrases stand under which section label.
"""


def _row(norm: str, made: Sketch) -> str:
    sections = " ".join(
        f"{label.replace(' ', '_') or '-'}*{len(list(group))}" for label, group in groupby(made.phrases, key=lambda one: one[1])
    )
    listed = _packed(print for print, _ in made.phrases)
    return f"{norm}:\n  runs: {_packed(sorted(made.runs))}\n  phrases: {listed}\n  sections: {sections}\n"


def _read(row: dict[str, str]) -> Sketch:
    labels = [
        label.replace("_", " ").removeprefix("-")
        for label, _, times in (one.rpartition("*") for one in row["sections"].split(" "))
        for _ in range(int(times))
    ]
    listed = tuple(zip(_unpacked(row["phrases"]), labels, strict=True))
    return Sketch(runs=frozenset(_unpacked(row["runs"])), phrases=listed)


def _runs(said: str) -> list[int]:
    listed = said.split(" ")
    found = {crc32(" ".join(listed[place : place + 3]).encode()) for place in range(max(1, len(listed) - 2))}
    return sorted(found)[:SMALLEST]


def _packed(fingerprints: Iterable[int]) -> str:
    listed = list(fingerprints)
    return base64.b64encode(struct.pack(f"<{len(listed)}I", *listed)).decode()


def _unpacked(packed: str) -> tuple[int, ...]:
    raw = base64.b64decode(packed)
    return struct.unpack(f"<{len(raw) // 4}I", raw)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
