"""Only the exact words of a text name a licence; names and years of MIT, BSD and Apache texts may differ, nothing else."""

import dataclasses
import random

import pytest

from licenses.catalogue import KnownText, load
from licenses.identify import identify, text_hash
from tests.licenses.conftest import APACHE

MIT_BODY = """Permission is hereby granted, free of charge, to any person obtaining a copy
of this software and associated documentation files (the "Software"), to deal
in the Software without restriction, including without limitation the rights
to use, copy, modify, merge, publish, distribute, sublicense, and/or sell
copies of the Software, and to permit persons to whom the Software is
furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all
copies or substantial portions of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR
IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY,
FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE
AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER
LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM,
OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE
SOFTWARE.
"""


@pytest.mark.parametrize(
    ("text", "license"),
    [
        pytest.param(APACHE, "apache-2.0", id="apache as published"),
        pytest.param(APACHE.replace("\n", "\r\n"), "apache-2.0", id="windows line ends"),
        pytest.param("\ufeff" + APACHE.upper(), "apache-2.0", id="byte order mark and capitals"),
        pytest.param(APACHE.replace("[yyyy] [name of copyright owner]", "2024 Jane Doe"), "apache-2.0", id="apache with a holder"),
        pytest.param(APACHE.partition("APPENDIX")[0], "apache-2.0", id="apache without its appendix"),
        pytest.param("MIT License\n\nCopyright (c) 2024 Jane Doe\n\n" + MIT_BODY, "mit", id="mit with a holder"),
        pytest.param(
            "The MIT License (MIT)\n\nCopyright (c) Microsoft Corporation.\n\n" + MIT_BODY, "mit", id="mit without a year"
        ),
        pytest.param("Copyright (c) 2019-2024 A. B. and contributors. All rights reserved.\n" + MIT_BODY, "mit", id="two years"),
        pytest.param(MIT_BODY, "mit", id="mit body alone"),
    ],
)
def test_an_exact_text_is_told(text: str, license: str) -> None:
    match = identify(text, load())
    assert match is not None
    assert match.known.license == license


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param("Apache License 2.0", id="its name only"),
        pytest.param(APACHE + "\nCommercial use needs a separate licence.", id="a sentence after it"),
        pytest.param("For research use.\n" + APACHE, id="a sentence before it"),
        pytest.param(APACHE.replace("worldwide, ", "", 1), id="a word less"),
        pytest.param(APACHE.replace("irrevocable", "revocable"), id="a word changed"),
        pytest.param(APACHE + "\n非商用", id="a condition in another script"),
        pytest.param(APACHE + "\n仅限研究\n", id="research only in another script"),
        pytest.param(MIT_BODY.replace("without restriction", "for non-commercial purposes"), id="mit, non-commercial"),
        pytest.param("Copyright (c) 2024 X. Non-commercial use only.\n" + MIT_BODY, id="a condition in the copyright line"),
        pytest.param("Copyright (c) 2024 Jane Doe, research only\n" + MIT_BODY, id="research in the copyright line"),
        pytest.param("Copyright (c) 2024 Jane Doe Nicht Kommerziell\n" + MIT_BODY, id="a german condition"),
        pytest.param("Copyright (c) 2024 仅限研究\n" + MIT_BODY, id="research only in another script, as a holder"),
        pytest.param("Copyright (c) 2024 Jane <noncommercial-only>\n" + MIT_BODY, id="a condition in brackets"),
        pytest.param("Copyright (c) 2024 you may not sell what this makes\n" + MIT_BODY, id="a sentence as a holder"),
        pytest.param(MIT_BODY + "\nThe Software shall be used for Good, not Evil.", id="a famous rider"),
    ],
)
def test_a_changed_text_is_never_told(text: str) -> None:
    assert identify(text, load()) is None


def test_no_single_word_can_be_lost_doubled_or_swapped() -> None:
    catalogue, random_words = load(), random.Random(7)
    terms = APACHE.partition("APPENDIX")[0].split()
    for _ in range(150):
        changed, place = list(terms), random_words.randrange(30, len(terms) - 8)
        kind = random_words.choice(("drop", "double", "swap"))
        if kind == "drop":
            del changed[place]
        elif kind == "double":
            changed.insert(place, "not")
        else:
            changed[place] = "noncommercial"
        text = " ".join(changed)
        assert text_hash(text) == text_hash(" ".join(terms)) or identify(text, catalogue) is None


def test_a_text_added_to_the_catalogue_is_told_by_its_hash_alone() -> None:
    words = "You may use this for noncommercial purposes only."
    catalogue = dataclasses.replace(load(), texts={text_hash(words): KnownText(license="cc-by-nc-4.0")})
    match = identify("  you MAY use this\nfor  noncommercial purposes only", catalogue)
    assert match is not None
    assert match.known.license == "cc-by-nc-4.0"
    assert identify(APACHE.partition("APPENDIX")[0] + words, catalogue) is None
