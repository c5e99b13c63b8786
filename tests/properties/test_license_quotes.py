"""Whoever opens the file that a reason names finds its quote there: over whole checks of folders with cards, texts and data."""

import hashlib
import re
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from licenses import check as checking
from licenses.catalogue import USES, Catalogue, Clause, KnownText, load
from licenses.identify import text_hash
from licenses.verdict import LicenseVerdict

QUIET = [
    "Made of clay, in a small kiln.",
    "It draws leaves; **well**, most of the time.",
    "Thanks to all who helped\nto sort the pictures.",
    "Trained for 3 000 steps on one card.",
]
LOUD = [
    "This model may be used for research purposes only.",
    "Not for _commercial_ use!",
    "You are not permitted to run\n  this model behind API services.",
    "> Licensed under CC BY-NC 4.0",
    "| use | paid inference is prohibited |",
    "Kommerzielle Nutzung: commercial use requires prior permission; write to a@example.org.",
    "For personal use only, that is: " + "no shops, no prints, no paid services, " * 12 + "and no selling.",
]
TEXT = "House licence, version one.\n\nYou may draw with it.\n\nYou may not “offer it for money,”\nin any form, to anybody.\n"
QUOTE = "You may not “offer it for money,” in any form"
CLAUSE = Clause(uses=USES, section="2", quote=QUOTE, version="1", text_hash=text_hash(TEXT))
APACHE = (Path(__file__).parents[2] / "LICENSE").read_text(encoding="utf-8")
bodies = some.lists(some.sampled_from([*QUIET, *LOUD]), max_size=6)


def plain(text: str) -> str:
    """Words only: layout, markup and quotation marks are no part of what is quoted."""
    return " ".join(re.findall(r"[^\W_]+", text.casefold()))


def house_facts() -> Catalogue:
    """The catalogue with one more licence, whose text and clause this test has written."""
    facts = load()
    house = replace(
        facts.licenses["cc-by-nc-4.0"], id="house", name="House licence", spdx=None, tags=("house",), clauses=(CLAUSE,), duties=()
    )
    texts = {**facts.texts, text_hash(TEXT): KnownText(license="house", version="1")}
    return replace(facts, licenses={**facts.licenses, "house": house}, texts=texts)


def unbacked(verdict: LicenseVerdict, folders: dict[str, Path]) -> list[tuple[str, str, str | None]]:
    """Reasons whose quote is not in the file that they name, or whose hash is not that of the file."""
    found = []
    for use in USES:
        for reason in verdict.uses[use].reasons:
            file = folders[reason.node] / reason.file if reason.file else None
            if reason.quote and file is not None:
                raw = file.read_bytes()
                held = plain(reason.quote) in plain(raw.decode()) and reason.sha256 in (None, hashlib.sha256(raw).hexdigest())
                found += [] if held else [(reason.code, reason.quote, reason.file)]
    return found


@settings(max_examples=40, deadline=None, derandomize=True)
@given(body=bodies, terms=some.sampled_from([TEXT, APACHE, "Ask me.", None]), source=some.sampled_from([*QUIET, *LOUD]))
def test_every_quote_is_in_its_file(body: list[str], terms: str | None, source: str) -> None:
    with tempfile.TemporaryDirectory() as place, pytest.MonkeyPatch.context() as patch:
        patch.setattr(checking, "load", house_facts)
        base, pictures = Path(place) / "base", Path(place) / "pictures"
        for folder in (base, pictures):
            folder.mkdir()
        tag = "house" if terms == TEXT else "apache-2.0"
        (base / "README.md").write_text(f"---\nlicense: {tag}\n---\n" + "\n\n".join(body), encoding="utf-8")
        if terms is not None:
            (base / "LICENSE").write_text(terms, encoding="utf-8")
        flat = " ".join(source.split()).replace("'", "’")
        (pictures / "dataset.yaml").write_text(f"license: own\nsource: '{flat}'\n", encoding="utf-8")
        verdict = checking.check(base, dataset=pictures, as_of="2026-11-22")
        assert unbacked(verdict, {"base": base, "pictures": pictures}) == []
        quoted = {reason.quote for use in USES for reason in verdict.uses[use].reasons if reason.file}
        assert terms != TEXT or QUOTE in quoted
        assert quoted - {""} or not any(sentence in LOUD for sentence in body)
