"""A picture folder by its dataset.yaml: no licence, no commercial use, no changed versions or no consent is a block."""

import pytest

from licenses.check import check
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
    ],
)
def test_a_declared_dataset_passes(folder: FolderOf, no_network: None, declared: str, verdict: str, license: str) -> None:
    pictures = folder({"dataset.yaml": declared, "consent.txt": "signed by all"})
    said = check(BASE, dataset=pictures)
    assert said.verdict == verdict
    assert said.nodes[-1]["license"] == license
    assert said.nodes[-1]["role"] == "dataset"


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
