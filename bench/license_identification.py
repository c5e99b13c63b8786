"""Which licence a text is: rate, wrong names and speed against licenseclassifier on the same texts, and texts changed by a word.

    python bench/license_identification.py [--quick]

LORASMITH_LICENSE_TEXTS names a folder of real licence texts (`id__version.txt`, the id of the catalogue or the beginning of it);
without it the SPDX texts of installed packages are taken, which are few. With the folder every quote of facts/licenses.yaml is
looked up in its text.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT)]

from licenses import spdx  # noqa: E402
from licenses.catalogue import Catalogue, load  # noqa: E402
from licenses.identify import identify  # noqa: E402
from licenses.nearest import nearest  # noqa: E402
from licenses.sketch import texts_in  # noqa: E402
from licenses.words import text_hash, words  # noqa: E402

AT_LEAST, AT_MOST = "at least", "at most"
Metrics = dict[str, tuple[float, float, str]]
SPDX = ("Apache-2.0", "MIT", "BSD-2-Clause", "BSD-3-Clause", "CC-BY-4.0")
# Files of the reference folder whose name is not that of the licence in the catalogue.
NAMED = {
    "flux-dev-nc": "flux-dev-nc-2.0",
    "stability-nc": "stability-nc-research",
    "stability-svd-nc": "stability-nc-research",
    "tencent-hunyuan": "tencent-hunyuan-community",
    "tencent-hunyuan__3d-2.0-2025-01-21": "tencent-hunyuan-3d-2.0",
    "ltx-2x-community": "ltx-2-community",
    "ltxv-owl": "ltxv-owl-2025",
    "llama3.1": "llama3.x",
    "llama3.3": "llama3.x",
    "llama4": "llama3.x",
    "gemma-prohibited-use-policy": "gemma",
    "deepfloyd-if-code-modified-mit": "deepfloyd-if",
}
BIDI, BLANK = "\u202e", "\u200b"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer changed texts")
    arguments = parser.parse_args()
    given = os.environ.get("LORASMITH_LICENSE_TEXTS")
    held = True
    for name, (value, goal, sense) in measured(Path(given) if given else None, quick=arguments.quick).items():
        holds = value >= goal if sense == AT_LEAST else value <= goal
        held = held and holds
        print(f"{name}: {value:.4g} (goal: {sense} {goal:.4g}) {'holds' if holds else 'DOES NOT HOLD'}")
    return 0 if held else 1


def measured(texts: Path | None, *, quick: bool) -> Metrics:
    """Value, goal and sense by name: rate, wrong names, seconds, changed texts that are named, quotes not in their text."""
    catalogue = load()
    listed = labelled(texts, catalogue)
    ours, ours_seconds = told(listed, lambda text: _our_name(text, catalogue))
    theirs, theirs_seconds = told(listed, lambda text: _their_name(text, catalogue))
    right, wrong = _scored(ours, listed)
    their_right, their_wrong = _scored(theirs, listed)
    changed = changes(listed, rounds=2 if quick else 8)
    named = [how for how, text in changed if identify(text, catalogue) is not None]
    some = changed[:: max(1, len(changed) // (100 if quick else 400))]
    misled = sum(_their_name(text, catalogue) is not None for _, text in some)
    print(f"{len(listed)} texts: {right} told, {wrong} wrong names, {ours_seconds:.3f} s")
    print(f"  licenseclassifier: {their_right} told, {their_wrong} wrong names, {theirs_seconds:.3f} s")
    print(f"{len(changed)} changed texts: {len(named)} named exact {named[:5]}; licenseclassifier names {misled} of {len(some)}")
    metrics: Metrics = {
        "license_texts_told_rate": (right / len(listed), their_right / len(listed) + (0.01 if texts else 0), AT_LEAST),
        "license_texts_wrong_names": (wrong, 0, AT_MOST),
        "license_texts_seconds_for_60": (ours_seconds * 60 / len(listed), 1.0, AT_MOST),
        "changed_license_texts_named_exact": (len(named), 0, AT_MOST),
        "changed_license_texts_nearest_to_their_own": (_nearest_rate(some, catalogue), 0.95, AT_LEAST),
    }
    if texts is not None:
        found, lost = quotes(texts, catalogue)
        print(f"{found + len(lost)} quotes with a text: {found} occur in it{', not: ' + ', '.join(lost) if lost else ''}")
        metrics["license_quotes_not_in_their_text"] = (len(lost), 0, AT_MOST)
    return metrics


def labelled(folder: Path | None, catalogue: Catalogue) -> list[tuple[str, str]]:
    """(licence id, text) of a folder by its file names, or of installed packages."""
    if folder is None:
        ids = {one.spdx: one.id for one in catalogue.licenses.values() if one.spdx}
        found = [(ids[name], spdx.text(name, without_holder=True)) for name in SPDX]
        return [(id, text) for id, text in found if text is not None]
    return [(_licence_of(name.rpartition(".")[0], catalogue), text) for name, text in texts_in(folder).items()]


def told(listed: list[tuple[str, str]], name: Callable[[str], str | None]) -> tuple[list[str | None], float]:
    """The names that one way gives the texts, and its seconds, after one text to start it up."""
    name(listed[0][1])
    started = time.perf_counter()
    return [name(text) for _, text in listed], time.perf_counter() - started


def changes(listed: list[tuple[str, str]], *, rounds: int) -> list[tuple[str, str]]:
    """Each text with one small change, `id: what` by text: words, numbers, additions, hidden characters, struck-out passages."""
    chance = random.Random(4)
    found: list[tuple[str, str]] = []
    for id, text in listed:
        tokens = re.findall(r"\S+|\s+", text)
        places = [place for place, token in enumerate(tokens) if re.search(r"[^\W\d_]{4}", token)]
        for _ in range(rounds):
            place = chance.choice(places)
            for what, token in (
                ("word lost", ""),
                ("word doubled", f"{tokens[place]} {tokens[place]}"),
                ("not", f"not {tokens[place]}"),
                ("foreign letter", re.sub("[aeo]", lambda one: {"a": "а", "e": "е", "o": "о"}[one[0]], tokens[place]) + "а"),
                ("hidden sign", f"{BLANK}{tokens[place]}"),
                ("turned round", f"{BIDI}{tokens[place]}"),
                ("struck out", f"~~{tokens[place]}~~"),
                ("comment", f"<!-- {tokens[place]} -->"),
            ):
                found.append((f"{id}: {what}", "".join([*tokens[:place], token, *tokens[place + 1 :]])))
        found += [
            (f"{id}: sentence before", f"For research only.\n\n{text}"),
            (f"{id}: sentence after", f"{text}\nNon-commercial use only."),
            (f"{id}: holder", f"Copyright (c) 2024 Jane Doe, Non-Commercial Use Only\n\n{text}"),
            (f"{id}: twice", f"{text}\n{text}"),
        ]
        if amount := re.search(r"\d,\d{3}|\d+ million", text):
            found.append((f"{id}: amount", f"{text[: amount.start()]}1{text[amount.start() :]}"))
    return found


def quotes(folder: Path, catalogue: Catalogue) -> tuple[int, list[str]]:
    """How many quotes of the catalogue occur in the text that they name, and those that do not or whose text is not there."""
    said = {text_hash(text): words(text) for text in texts_in(folder).values()}
    found, lost = 0, []
    for licence in catalogue.licenses.values():
        for clause in licence.clauses:
            if clause.text_hash is None:
                continue
            if words(clause.quote) in said.get(clause.text_hash, ""):
                found += 1
            else:
                lost.append(f"{licence.id} {clause.section}")
    return found, lost


def _our_name(text: str, catalogue: Catalogue) -> str | None:
    match = identify(text, catalogue)
    return match.known.license if match else None


def _their_name(text: str, catalogue: Catalogue) -> str | None:
    named = spdx.guess(text)
    ours: Mapping[str, str] = {one.spdx or one.id: one.id for one in catalogue.licenses.values()}
    return {name.casefold(): id for name, id in ours.items()}.get(named.casefold(), named) if named else None


def _scored(names: list[str | None], listed: list[tuple[str, str]]) -> tuple[int, int]:
    right = sum(name == id for name, (id, _) in zip(names, listed, strict=True))
    return right, sum(name is not None for name in names) - right


def _nearest_rate(changed: list[tuple[str, str]], catalogue: Catalogue) -> float:
    """Share of changed texts whose nearest known text is of the licence that they were made from."""
    near = [(how.partition(":")[0], nearest(text, catalogue)) for how, text in changed]
    return sum(found is not None and found.license == id for id, found in near) / len(near)


def _licence_of(stem: str, catalogue: Catalogue) -> str:
    id = NAMED.get(stem) or NAMED.get(stem.partition("__")[0]) or stem.partition("__")[0]
    if id not in catalogue.licenses:
        raise SystemExit(f"{stem} begins with no licence of the catalogue; name the file ID__VERSION.txt")
    return id


if __name__ == "__main__":
    sys.exit(main())
