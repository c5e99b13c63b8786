"""What a tag stands for: ids, spellings, families, and expressions with a choice; the choice has to be written."""

import pytest

from licenses.catalogue import load
from licenses.check import check
from licenses.publisher import Publisher
from licenses.tags import read
from tests.licenses.conftest import APACHE, FolderOf
from tests.licenses.test_identify import MIT_BODY

BOTH = {"LICENSE-MIT": "MIT License\n\nCopyright (c) 2024 Jane Doe\n\n" + MIT_BODY, "LICENSE-APACHE": APACHE}


@pytest.mark.parametrize(
    ("tag", "license"),
    [
        ("apache-2.0", "apache-2.0"),
        ("Apache 2.0", "apache-2.0"),
        ("apache-2", "apache-2.0"),
        ("Apache License, Version 2.0", "apache-2.0"),
        ("The MIT License", "mit"),
        ("MIT", "mit"),
        ("GPLv3", "gpl-3.0"),
        ("AGPL v3", "agpl-3.0"),
        ("CC BY-NC 4.0", "cc-by-nc-4.0"),
        ("openrail++", "openrail++"),
        ("llama3.1", "llama3.x"),
    ],
)
def test_a_spelling_means_one_licence(tag: str, license: str) -> None:
    found = read(tag, load())
    assert found.licenses == {license}
    assert found.code is None


@pytest.mark.parametrize(
    ("tag", "code"),
    [
        ("apache", "tag_ambiguous"),
        ("bsd", "tag_ambiguous"),
        ("gpl", "tag_ambiguous"),
        ("Creative Commons", "tag_ambiguous"),
        ("MIT/Apache-2.0", "tag_ambiguous"),
        ("mit, apache-2.0", "tag_ambiguous"),
        ("GPL-3.0-only WITH Classpath-exception-2.0", "tag_ambiguous"),
        ("(MIT OR", "tag_ambiguous"),
        ("MIT OR", "tag_unknown"),
        ("MIT OR Leaves-1.0", "tag_unknown"),
        ("MIT-0", "tag_unknown"),
        ("not mit", "tag_unknown"),
        ("apache\u200b-2.0", "tag_unknown"),
        ("ａpache-2.0", "tag_unknown"),
        ("mit-modified", "tag_unknown"),
        ("Apache-2.0+", "tag_unknown"),
        ("MIT AND CC-BY-NC-4.0", "licenses_together"),
        ("(MIT OR Apache-2.0) AND BSD-3-Clause", "licenses_together"),
        ("MIT OR Apache-2.0", "license_choice_open"),
        ("mit or apache-2.0", "license_choice_open"),
    ],
)
def test_what_is_not_one_licence_says_why(tag: str, code: str) -> None:
    assert read(tag, load()).code == code


def test_each_licence_of_a_choice_is_judged() -> None:
    said = read("MIT OR CC-BY-NC-4.0", load()).text
    assert "MIT License: train_adapter allow, host_paid_inference allow" in said
    assert "CC BY-NC 4.0: train_adapter block, host_paid_inference block" in said


def test_two_tongues_of_and_keep_their_meaning() -> None:
    assert read("MIT and Apache-2.0", load()).code == "licenses_together"


def test_an_open_choice_blocks_and_a_written_one_passes(folder: FolderOf) -> None:
    place = folder({"README.md": "---\nlicense: MIT OR Apache-2.0\n---\n# Leaves\n"} | BOTH)
    found = check(place)
    assert found.verdict == "block"
    assert "license_choice_open" in {reason.code for reason in found.uses["train_adapter"].reasons}
    chosen = check(place, publisher=Publisher(license_choices={place.name: "mit"}))
    assert chosen.exit_code == 0
    assert chosen.nodes[0]["license"] == "mit"


@pytest.mark.parametrize(
    ("tag", "choice", "files"),
    [
        ("MIT OR Apache-2.0", "cc0-1.0", BOTH),
        ("MIT OR CC-BY-NC-4.0", "cc-by-nc-4.0", BOTH),
        ("MIT OR Apache-2.0", "mit", {"LICENSE": APACHE}),
        ("MIT AND Apache-2.0", "mit", BOTH),
        ("apache-2.0", "mit", {"LICENSE": MIT_BODY}),
    ],
)
def test_a_choice_that_is_not_offered_or_has_no_text_blocks(
    tag: str, choice: str, files: dict[str, str | bytes], folder: FolderOf
) -> None:
    place = folder({"README.md": f"---\nlicense: {tag}\n---\n# Leaves\n"} | files)
    assert check(place, publisher=Publisher(license_choices={place.name: choice})).verdict == "block"


def test_a_common_spelling_with_its_text_passes(folder: FolderOf) -> None:
    place = folder({"README.md": "---\nlicense: Apache 2.0\n---\n# Leaves\n", "LICENSE": APACHE})
    assert check(place).exit_code == 0
