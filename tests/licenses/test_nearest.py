"""An unknown text is told by what it is near to and what differs; nothing of that names a licence."""

import dataclasses
from pathlib import Path

import pytest

from licenses import sketch as sketches
from licenses.catalogue import KnownText, load
from licenses.identify import identify
from licenses.nearest import nearest
from licenses.phrases import phrases
from licenses.sketch import known, likeness, sketch
from licenses.spdx import text as spdx_text
from licenses.words import marks_hash, text_hash
from tests.licenses.conftest import APACHE
from tests.licenses.test_identify import MIT_BODY

TERMS = """LEAVES LICENSE

1. Definitions.
a. "Leaf" means a leaf, of a tree or not.
b. "You" means whoever reads this.

2. Grant.
a. You may draw leaves, with any tool that you like.
b. You may sell what you draw, below $1,000,000 of yearly revenue.

Attachment A
1. Do not draw leaves that harm anybody.
2. Do not draw thorns, unless they are small.
"""


@pytest.mark.parametrize(
    ("text", "license", "says"),
    [
        (MIT_BODY.replace("without restriction", "for non-commercial purposes"), "mit", "for non-commercial purposes"),
        (MIT_BODY + "\nNon-commercial use only.", "mit", "Non-commercial use only."),
        (MIT_BODY.replace("not", "", 1), "mit", "lacks or changes 1 of its 21 phrases"),
        ("Copyright (c) 2024 Acme Hobby Users\n" + MIT_BODY, "mit", "Acme Hobby Users"),
        (MIT_BODY.replace("the rights", "the\u200b rights"), "mit", "U+200B ZERO WIDTH SPACE"),
        (MIT_BODY.replace("publish", "~~publish~~"), "mit", "amounts or signs"),
        (APACHE.replace("shall not", "shall", 1), "apache-2.0", "in 1"),
        (APACHE + MIT_BODY, "apache-2.0", "holds the text of mit as well"),
        ("Our model is great. " * 300 + MIT_BODY, "mit", "Our model is great."),
    ],
)
def test_what_differs_is_shown(text: str, license: str, says: str) -> None:
    catalogue = load()
    assert identify(text, catalogue) is None
    found = nearest(text, catalogue)
    assert found is not None
    assert found.license == license
    assert any(says in difference for difference in found.differences), found.differences


@pytest.mark.parametrize("text", ["", "Apache License 2.0", "A model of leaves, trained on leaves.", "\n" * 50, "的" * 4000])
def test_a_text_that_is_near_to_nothing_has_no_nearest(text: str) -> None:
    assert nearest(text, load()) is None


def test_an_exact_text_is_nearest_to_itself_and_differs_in_nothing() -> None:
    found = nearest(MIT_BODY, load())
    assert found is not None
    assert (found.license, found.similarity, found.differences) == ("mit", 1.0, ())


def test_a_likeness_is_never_called_whole_where_a_word_differs() -> None:
    found = nearest(APACHE.replace("irrevocable", "revocable", 1), load())
    assert found is not None
    assert 0.9 < found.similarity < 1


def test_differences_are_short_and_few() -> None:
    odd = APACHE.replace("License", "Permit").replace("Work", "Leaf " * 300)
    found = nearest(odd, load())
    assert found is not None
    assert len(found.differences) <= 12
    assert all(len(difference) < 260 for difference in found.differences)


def test_every_known_text_has_its_fingerprints_and_no_other_has() -> None:
    assert set(known()) == set(load().texts)


def test_line_breaks_change_no_phrase() -> None:
    wrapped = " ".join(APACHE.partition("APPENDIX")[0].split())
    assert likeness(sketch(APACHE.partition("APPENDIX")[0]), sketch(wrapped)) == 1
    assert [phrase.words for phrase in phrases(MIT_BODY)] == [phrase.words for phrase in phrases(MIT_BODY.replace("\n", "\r\n"))]


def test_a_phrase_knows_its_section() -> None:
    sections = {phrase.said.rstrip(".,"): phrase.section for phrase in phrases(TERMS)}
    assert sections["with any tool that you like"] == "2.a"
    assert sections["below $1,000,000 of yearly revenue"] == "2.b"
    assert sections["unless they are small"] == "Attachment A.2"


def test_fingerprints_are_made_from_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mit.txt").write_text(MIT_BODY)
    (tmp_path / "leaves__2026.md").write_text(TERMS)
    written = tmp_path / "sketches.yaml"
    monkeypatch.setattr(sketches, "FILE", written)
    monkeypatch.setattr("licenses.sketch.FACTS", tmp_path)
    assert sketches.main([str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert f"norm: {text_hash(TERMS)}" in said
    assert f"marks: '{marks_hash(TERMS)}'" in said
    assert "1 of 63 known texts" in said
    assert "free of charge" not in written.read_text()
    known.cache_clear()
    assert known() == {text_hash(MIT_BODY): sketch(MIT_BODY)}
    known.cache_clear()


def test_without_a_folder_the_command_says_what_to_name(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("LORASMITH_LICENSE_TEXTS", raising=False)
    assert sketches.main([]) == 2
    assert "LORASMITH_LICENSE_TEXTS" in capsys.readouterr().err


@pytest.mark.parametrize("id", ["Apache-2.0", "CC-BY-4.0", "MIT", "BSD-2-Clause", "BSD-3-Clause"])
def test_installed_packages_ship_exact_texts(id: str) -> None:
    said = spdx_text(id, without_holder=True)
    assert said is not None
    match = identify(said, load())
    assert match is not None
    assert load().licenses[match.known.license].spdx == id
    assert "Copyright (c) 20" not in said


@pytest.mark.parametrize("id", ["MIT", "BSD-3-Clause", "GPL-3.0-only", "Leaves-1.0", ""])
def test_no_text_is_given_where_a_holder_has_to_be_named_or_none_is_shipped(id: str) -> None:
    assert spdx_text(id) is None


def test_a_catalogue_without_a_text_is_not_near_to_it() -> None:
    catalogue = dataclasses.replace(load(), texts={"0" * 64: KnownText(license="mit")})
    assert nearest(MIT_BODY + "More.", catalogue) is None
