"""Only the exact words of a text name a licence; names and years of MIT, BSD and Apache texts may differ, nothing else."""

import dataclasses
import random

import pytest

from licenses.catalogue import KnownText, load
from licenses.fields import is_name
from licenses.identify import identify, text_hash
from licenses.nearest import nearest
from licenses.words import marks_hash
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
        pytest.param("# MIT License\n\n> Copyright (c) 2024 Jane Doe\n\n" + MIT_BODY, "mit", id="mit in markdown"),
        pytest.param(MIT_BODY.replace('"', "“"), "mit", id="other quotes"),
        pytest.param(MIT_BODY.replace(" ", "\u00a0"), "mit", id="blanks that do not break"),
        pytest.param(APACHE.replace("\n", "\n> "), "apache-2.0", id="apache as a quotation"),
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
        pytest.param(MIT_BODY.replace("the rights", "the\u200b rights"), id="a sign of no width"),
        pytest.param(MIT_BODY.replace("the rights", "the \u202erights\u202c"), id="a passage turned round"),
        pytest.param(MIT_BODY.replace("without restriction", "without re\u00adstriction"), id="a soft hyphen"),
        pytest.param(MIT_BODY.replace("rights", "rіghts"), id="a foreign letter that looks alike"),
        pytest.param(MIT_BODY.replace("rights", "ｒｉｇｈｔｓ"), id="wide letters"),
        pytest.param(MIT_BODY.replace("sublicense", "~~sublicense~~"), id="a word struck out"),
        pytest.param(MIT_BODY.replace("and/or sell", "and/or <!-- sell -->"), id="a word in a comment"),
        pytest.param(f"<!-- {MIT_BODY} -->", id="all of it in a comment"),
        pytest.param(MIT_BODY.replace("the rights", "the r̶i̶g̶h̶t̶s̶"), id="letters struck out"),
        pytest.param(APACHE.replace("fifty percent (50%)", "fifty percent (50$)"), id="another sign"),
        pytest.param(APACHE.replace("Version 2.0", "Version 2,0", 1), id="a number written otherwise"),
        pytest.param(APACHE + MIT_BODY, id="two licences in one file"),
        pytest.param(MIT_BODY + MIT_BODY, id="twice"),
        pytest.param(f"Our model is great. We chose the MIT license:\n\n{MIT_BODY}\nHave fun.", id="quoted in prose"),
        pytest.param("BSD 3-Clause License\n\n" + MIT_BODY, id="the title of another licence"),
        pytest.param(MIT_BODY.replace("permit persons", "not permit persons"), id="a not"),
        pytest.param(MIT_BODY + "Copyright (c) 2024 You May\nCopyright (c) 2024 Not Sell It\n", id="over two holder lines"),
        pytest.param("".join(f"Copyright (c) 2024 Name{n}\n" for n in range(40)) + MIT_BODY, id="forty holders"),
        pytest.param("Copyright (c) 2024 " + " " * 400 + "Jane Doe\n" + MIT_BODY, id="a holder behind a long gap"),
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


@pytest.mark.parametrize(
    "holder",
    [
        "Jane Doe",
        "J. R. Doe Jr.",
        "Jane Doe <jane@leaves.example>",
        "Jane Doe and contributors",
        "Jane Doe (https://leaves.example)",
        "the respective authors",
        "The Leaves Authors (see AUTHORS)",
        "leaves-ai",
        "01.AI",
        "Leaves Inc. and its affiliates",
        "The Regents of the University of Leaves",
        "Leaves Technology Co., Ltd.",
        "North Leaves Laboratory of Artificial Intelligence",
        "fal - Features & Labels, Inc.",
        "The Apache Software Foundation",
        "Ångström Müller",
        "<copyright holders>",
        "[name of copyright owner]",
    ],
)
def test_a_holder_is_a_name(holder: str) -> None:
    assert is_name(holder)


@pytest.mark.parametrize(
    "holder",
    [
        "Jane Doe (CC-BY-NC)",
        "Jane Doe (NC)",
        "Jane Doe N. C.",
        "Jane Doe, Inference Providers Excluded",
        "Companies Pay First",
        "Jane Doe Gewerblich Untersagt",
        "Acme Hobby Users Exclusively",
        "Acme. Hobby Users",
        "Acme Inc Hobbyists Exclusively",
        "Jane Doe 30 days trial",
        "Jane Doe <nc@only>",
        "Jane Doe = Ask",
        "Zum Forschen",
        "Jane Doe - Ask Before Sale",
        "Jane Doe: Ohne Verkauf",
        "Jane Doe 商用禁止",
        "Solo Per Ricerca",
        "Jane Doe; Academia Edition",
        "you may not sell",
        "Four Words Without Body",
        "",
        "!!!",
    ],
)
def test_a_holder_that_could_carry_a_condition_is_text(holder: str) -> None:
    assert not is_name(holder)


def test_amounts_are_part_of_an_exact_text() -> None:
    words = "You may use this below $1,000,000 of revenue."
    known = KnownText(license="cc-by-nc-4.0", marks=marks_hash(words))
    catalogue = dataclasses.replace(load(), texts={text_hash(words): known})
    assert identify(words.upper(), catalogue) is not None
    for changed in ("1.000.000", "1,000.000", "1 000 000", "10,000,000"):
        assert identify(words.replace("1,000,000", changed), catalogue) is None
    assert identify(words.replace("$", "€"), catalogue) is None
    assert identify(words.replace("below", "below >"), catalogue) is None


@pytest.mark.parametrize("piece", [" ", "\n", ". ", "1.", "<a.", "Copyright (c) 2024 ,", "> ", "(a) ", "neither the name of a "])
def test_a_hostile_text_is_read_in_one_pass(piece: str) -> None:
    text = (piece * 400_000)[:400_000]
    assert identify(text, load()) is None
    assert nearest(text, load()) is None


def test_every_known_amount_and_sign_is_on_record() -> None:
    assert all(known.marks for known in load().texts.values())
