"""A picture folder by its dataset.yaml: no licence, no commercial use, no changed versions or no consent is a block."""

import hashlib
from datetime import date
from pathlib import Path

import pytest

from licenses.catalogue import load
from licenses.check import check
from licenses.dataset import assets
from licenses.stated import statement
from tests.licenses.conftest import ROOT, FolderOf

BASE = ROOT / "examples/base"


@pytest.mark.parametrize(
    ("declared", "verdict", "license"),
    [
        ("license: own", "duties", "own"),
        ("license: OWN\npersons: none", "duties", "own"),
        ("license: mit\nsource: a set of emoji", "duties", "mit"),
        ("license: MIT", "duties", "mit"),
        ("license: CC-BY-4.0", "duties", "cc-by-4.0"),
        ("license: cc-by-sa-4.0", "duties", "cc-by-sa-4.0"),
        ("license: CC0-1.0", "duties", "cc0-1.0"),
        ("license: own\npersons: identifiable\nconsent: true", "duties", "own"),
        ("license: own\npersons: consented\nconsent: consent.txt", "duties", "own"),
        ("license: own\nminors: none", "duties", "own"),
        ("license: own\nopt_out: {checked: false}", "duties", "own"),
        ("license: cc-by-4.0\nopt_out: {checked: true, how: robots.txt and metadata, date: 2026-11-01}", "duties", "cc-by-4.0"),
        ("license: mit\nauthor: Jane Doe\nitems:", "duties", "mit"),
        ("license: own\nitems: {}", "duties", "own"),
        ("license: own\nsource: © Studio Leaf, all rights reserved", "duties", "own"),
        (
            "license: CC-BY-4.0\nsource: Commons, CC BY 4.0, https://creativecommons.org/licenses/by/4.0/",
            "duties",
            "cc-by-4.0",
        ),
        ("license: own\nsource: drawn by hand\nauthor: By Sandra", "duties", "own"),
        ("license: own\nsource: seen by a trained eye at the training ground", "duties", "own"),
        ("license: own\nsource: no AI was used, AI-generated pictures excluded", "duties", "own"),
        ("license: own\nsource: not from the train station, not made with AI", "duties", "own"),
        ("license: own\nsource: an editorial photographer's, cleared for editorial and commercial use", "duties", "own"),
        ("license: own\nsource: 'Data: Jane, all rights reserved; training of models allowed'", "duties", "own"),
    ],
)
def test_a_declared_dataset_passes(folder: FolderOf, no_network: None, declared: str, verdict: str, license: str) -> None:
    pictures = folder({"dataset.yaml": declared, "consent.txt": "signed by all"})
    said = check(BASE, dataset=pictures)
    assert said.verdict == verdict
    assert said.nodes[-1]["license"] == license
    assert said.nodes[-1]["role"] == "dataset"
    assert said.nodes[-1]["revision"] == f"sha256:{hashlib.sha256(declared.encode()).hexdigest()}"


@pytest.mark.parametrize(
    ("declared", "code"),
    [
        (None, "dataset_license_missing"),
        ("", "dataset_license_missing"),
        ("source: mine", "dataset_license_missing"),
        ("license: null", "dataset_license_missing"),
        ("license: ''", "dataset_invalid"),
        ("license: [mit]", "dataset_invalid"),
        ("license: no", "dataset_invalid"),
        ("license: free for all", "dataset_license_unknown"),
        ("license: ownn", "dataset_license_unknown"),
        ("license: cc-by-nc-4.0", "non_commercial"),
        ("license: CC-BY-NC-SA-4.0", "non_commercial"),
        ("license: cc-by-nc-nd-4.0", "non_commercial"),
        ("license: cc-by-nc-2.0", "non_commercial"),
        ("license: cc-by-nd-4.0", "license_unclear"),
        ("license: unknown", "license_unclear"),
        ("license: missing", "license_forbids"),
        ("license: own\npersons: identifiable", "persons_without_consent"),
        ("license: own\npersons: consented", "persons_without_consent"),
        ("license: own\npersons: identifiable\nconsent: no", "persons_without_consent"),
        ("license: own\npersons: identifiable\nconsent: gone.txt", "consent_record_missing"),
        ("license: own\npersons: identifiable\nconsent: empty.txt", "consent_record_missing"),
        ("license: own\npersons: identifiable\nconsent: ''", "consent_record_missing"),
        ("license: own\npersons: identifiable\nconsent: .", "consent_record_missing"),
        ("license: own\npersons: identifiable\nconsent: dataset.yaml", "consent_record_missing"),
        ("license: own\npersons: identifiable\nconsent: ../consent.txt", "consent_record_missing"),
        ("license: own\npersons: identifiable\nconsent: /etc/hostname", "consent_record_missing"),
        ("license: own\nminors: present", "minors_present"),
        ("license: own\npersons: consented\nconsent: true\nminors: present", "minors_present"),
        ("license: own\nminors: unknown", "dataset_invalid"),
        ("license: own\nminors:", "dataset_invalid"),
        ("license: own\nopt_out: true", "dataset_invalid"),
        ("license: own\nopt_out: {how: looked}", "dataset_invalid"),
        ("license: own\nopt_out: {checked: 'yes'}", "dataset_invalid"),
        ("license: own\nopt_out: {checked: true, date: lately}", "dataset_invalid"),
        ("license: own\nopt_out: {checked: true, date: 2026-11-01T10:00:00}", "dataset_invalid"),
        ("license: own\nopt_out: {checked: true, by: me}", "dataset_invalid"),
        ("license: own\nauthor: [Jane]", "dataset_invalid"),
        ("license: own\nitems: [a.png]", "dataset_invalid"),
        ("license: own\nitems: {a.png: mit}", "dataset_invalid"),
        ("license: own\nitems: {a.png: {license: mit, title: x}}", "dataset_invalid"),
        ("license: own\nitems: {a.png: {source: somewhere}}", "dataset_license_missing"),
        ("license: own\nitems: {a.png: {license: free for all}}", "dataset_license_unknown"),
        ("license: own\nitems: {*.png: {license: mit}}", "dataset_invalid"),
        ("license: own\nitems: {'*.png': {license: cc-by-nc-4.0}}", "non_commercial"),
        ("license: own\nitems: {a.png: {license: mit}, b.png: {license: cc-by-nd-4.0}}", "license_unclear"),
        ("license: own\nitems: {a.png: {license: mit, source: Flickr under CC BY-NC 4.0}}", "dataset_source_contradicts"),
        ("license: cc-by-4.0\nsource: https://creativecommons.org/licenses/by-nc/4.0/", "dataset_source_contradicts"),
        ("license: own\nsource: Wikimedia Commons (CC BY-SA 4.0)", "dataset_source_contradicts"),
        ("license: cc-by-4.0\nsource: Wikimedia Commons under cc-by-sa", "dataset_source_contradicts"),
        ("license: own\nauthor: Jane (no commercial use)", "dataset_source_contradicts"),
        ("license: own\nsource: Agency, editorial use only", "dataset_source_contradicts"),
        ("license: cc0-1.0\nsource: Agency, no AI training", "dataset_source_contradicts"),
        ("license: own\nsource: may not be used to train AI", "dataset_source_contradicts"),
        ("license: own\nsource: My site. Machine-learning use is prohibited.", "dataset_source_contradicts"),
        ("license: mit\nsource: Jane's pictures, do not train on them", "dataset_source_contradicts"),
        ("license: own\nsource: 'https://example.org/noai/'", "dataset_source_contradicts"),
        ("license: own\nsource: not for AI", "dataset_source_contradicts"),
        ("license: own\nopt_out: {checked: true, date: 2099-01-01}", "dataset_invalid"),
        ("license: own\nitems: {'cc-by-nc/*.png': {license: own}}", "dataset_source_contradicts"),
        ("license: own\npersons: some", "dataset_invalid"),
        ("license: own\npersons:", "dataset_invalid"),
        ("license: own\nconsent: 1", "dataset_invalid"),
        ("license: own\nlicense: mit", "dataset_invalid"),
        ("license: own\nlicence: cc-by-nc-4.0", "dataset_invalid"),
        ("license: &a own\nsource: *a", "dataset_invalid"),
        ("[unclosed", "dataset_invalid"),
        ("- own", "dataset_invalid"),
        ("license: own\nsource: [x]", "dataset_invalid"),
        ("x: " + "y" * 70_000, "dataset_invalid"),
    ],
)
def test_what_a_dataset_lacks_is_a_block(folder: FolderOf, no_network: None, declared: str | None, code: str) -> None:
    pictures = folder({"empty.txt": ""} | ({} if declared is None else {"dataset.yaml": declared}))
    said = check(BASE, dataset=pictures)
    assert said.exit_code == 3
    for use in ("train_adapter", "host_paid_inference"):
        assert said.uses[use].verdict == "block"
        assert code in {reason.code for reason in said.uses[use].reasons}
    assert said.alternatives == ()


def test_a_dataset_asks_for_credit_and_for_no_text(folder: FolderOf, no_network: None) -> None:
    said = check(BASE, dataset=folder({"dataset.yaml": "license: mit\nsource: Fluent emoji"}))
    assert "ATTRIBUTION" in said.uses["host_paid_inference"].duties
    assert [notice["file"] for notice in said.notices] == ["LICENSES/apache-2.0.txt"]
    assert any("Fluent emoji" in line and "MIT License" in line for line in said.notice_lines)


ITEMS = """license: own
source: drawn by hand
persons: consented
consent: true
items:
  "leaves/*.png": {license: cc-by-4.0, author: Jane Doe, source: https://leaves.example}
  fern.png: {license: CC-BY-4.0, author: Jane Doe, source: https://leaves.example}
  moss.png: {license: cc-by-sa-4.0, author: John Roe}
opt_out: {checked: true, how: robots.txt, date: 2026-11-01}
"""


def test_every_item_counts_and_is_named_with_its_author(folder: FolderOf, no_network: None) -> None:
    said = check(BASE, dataset=folder({"dataset.yaml": ITEMS})).as_json()
    whole, leaves, moss = said["nodes"][-3:]
    assert (whole["license"], leaves["license"], moss["license"]) == ("own", "cc-by-4.0", "cc-by-sa-4.0")
    assert [item["title"] for item in leaves["items"]] == ["leaves/*.png", "fern.png"]
    assert leaves["items"][0] == {
        "title": "leaves/*.png",
        "author": "Jane Doe",
        "source": "https://leaves.example",
        "license": "cc-by-4.0",
        "link": "https://creativecommons.org/licenses/by/4.0/",
    }
    assert {"ATTRIBUTION", "SHARE_ALIKE"} <= set(said["uses"]["host_paid_inference"]["duties"])


@pytest.mark.parametrize(
    ("declared", "lines"),
    [
        ("license: own", ["made by the publisher.", "Persons: not stated.", "Opt-outs of authors: not checked."]),
        (
            "license: mit\nsource: Fluent emoji\nauthor: Microsoft\npersons: none",
            [
                "MIT License, by Microsoft, from Fluent emoji.",
                "Persons: none are shown, by the statement of the publisher.",
                "Opt-outs of authors: not checked.",
            ],
        ),
        (
            "license: cc-by-4.0\npersons: identifiable\nconsent: consent.txt\nminors: none\nopt_out: {checked: true}",
            [
                "CC BY 4.0, source not stated.",
                "Persons: shown (identifiable); their consent is on record.",
                "Minors: none, by the statement of the publisher.",
                "Opt-outs of authors: checked, how is not stated.",
            ],
        ),
        (
            ITEMS,
            [
                "made by the publisher, from drawn by hand.",
                "Persons: shown (consented); their consent is stated, no record of it is named.",
                "Minors: not stated.",
                "Opt-outs of authors: checked on 2026-11-01, robots.txt.",
                "Of these leaves/*.png, fern.png: CC BY 4.0, by Jane Doe, from https://leaves.example.",
                "Of these moss.png: CC BY-SA 4.0, by John Roe, source not stated.",
            ],
        ),
        (
            "license: own\nopt_out: {checked: true, how: asked, date: 2027-01-01}",
            ["made by the publisher.", "Persons: not stated.", "Opt-outs of authors: not checked."],
        ),
    ],
)
def test_the_statement_says_what_is_known_and_what_is_not(folder: FolderOf, declared: str, lines: list[str]) -> None:
    nodes = assets(folder({"dataset.yaml": declared, "consent.txt": "signed"}), load())
    first, *others = statement(nodes, load(), date(2026, 11, 22))
    assert str(nodes[0].revision) in first
    assert [first.partition("): ")[2], *others] == lines


def test_the_verdict_carries_the_statement_and_no_path_of_this_machine(folder: FolderOf, no_network: None) -> None:
    pictures = folder({"dataset.yaml": ITEMS})
    said = check(BASE, dataset=pictures).as_json()
    assert said["data"][0].startswith(f"Training data {pictures.name} (sha256:")
    assert str(pictures.parent) not in "".join(said["data"])
    assert check(BASE).as_json()["data"] == []


def test_a_record_of_consent_behind_a_link_is_none(folder: FolderOf, tmp_path: Path, no_network: None) -> None:
    (tmp_path / "elsewhere.txt").write_text("signed")
    pictures = folder({"dataset.yaml": "license: own\npersons: consented\nconsent: consent.txt"})
    (pictures / "consent.txt").symlink_to(tmp_path / "elsewhere.txt")
    assert "consent_record_missing" in {reason.code for reason in check(BASE, dataset=pictures).uses["train_adapter"].reasons}


def test_opt_outs_looked_up_after_the_day_of_the_check_name_field_and_date(folder: FolderOf, no_network: None) -> None:
    pictures = folder({"dataset.yaml": "license: own\nopt_out: {checked: true, how: asked, date: 2026-12-01}"})
    (early, late) = (check(BASE, dataset=pictures, as_of=date(2026, month, 1)) for month in (11, 12))
    (reason,) = (one for one in early.uses["train_adapter"].reasons if one.code == "dataset_invalid")
    assert "opt_out.date is 2026-12-01" in reason.text
    assert late.exit_code == 0
    assert any("checked on 2026-12-01" in line for line in late.data)


def test_a_day_that_no_calendar_has_names_its_field(folder: FolderOf) -> None:
    (node,) = assets(folder({"dataset.yaml": "license: own\nopt_out: {checked: true, date: 2026-02-30}"}), load())
    (problem,) = node.problems
    assert "date: '2026-02-30' is no day" in problem.text
