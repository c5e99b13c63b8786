"""dataset.yaml means the same to the schema, to the licence check and to training."""

import json
from pathlib import Path

import jsonschema
import pytest
import yaml

from licenses import dataset as judged
from licenses.catalogue import load
from training.data import statement as read

ROOT = Path(__file__).parents[2]
SCHEMA = json.loads((ROOT / "docs/schemas/dataset.schema.json").read_text(encoding="utf-8"))
STATEMENT = SCHEMA["$defs"]["statement"]
FULL = """license: own
author: Jane Doe
source: drawn by hand
persons: consented
consent: consent.txt
minors: none
opt_out: {checked: true, how: robots.txt, date: "2026-11-01"}
items:
  "*.png": {license: cc-by-4.0, author: John Roe, source: https://leaves.example}
"""


def test_all_know_the_same_fields() -> None:
    items, opt_out = STATEMENT["properties"]["items"]["additionalProperties"], STATEMENT["properties"]["opt_out"]
    assert set(STATEMENT["properties"]) == set(judged.FIELDS) == set(read.FIELDS)
    assert set(items["properties"]) == set(judged.ITEM_FIELDS) == set(read.ITEM_FIELDS)
    assert set(opt_out["properties"]) == set(judged.OPT_OUT_FIELDS) == set(read.OPT_OUT_FIELDS)


def test_a_full_statement_holds_for_all(tmp_path: Path) -> None:
    (tmp_path / "dataset.yaml").write_text(FULL)
    (tmp_path / "consent.txt").write_text("signed by all")
    jsonschema.validate(yaml.safe_load(FULL), STATEMENT)
    whole, item = judged.assets(tmp_path, load())
    assert not whole.problems
    said = read.statement_of(tmp_path)
    assert (said.license, said.author, said.source) == ("own", whole.author, whole.source)
    assert (said.persons, said.consent, said.minors) == ("consented", True, "none")
    assert said.opt_out == {"checked": True, "how": "robots.txt", "date": "2026-11-01"}
    assert said.items["*.png"]["author"] == item.author
    jsonschema.validate(json.loads(json.dumps(said.row())), SCHEMA["properties"]["statements"])


@pytest.mark.parametrize("written", ["consent.txt", "gone.txt", "../consent.txt", "dataset.yaml", ".", "/etc/hostname"])
def test_a_record_of_consent_is_one_for_both_or_for_none(tmp_path: Path, written: str) -> None:
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for place in (tmp_path, pictures):
        (place / "consent.txt").write_text("signed by all")
    (pictures / "dataset.yaml").write_text(f"license: own\npersons: consented\nconsent: {written}\n")
    (node,) = judged.assets(pictures, load())
    assert read.statement_of(pictures).consent == (not node.problems) == (written == "consent.txt")


@pytest.mark.parametrize(
    "wrong",
    [
        "license: own\nlicence: mit",
        "license: own\nitems: {a.png: {source: x}}",
        "license: own\npersons: some",
        "license: own\nminors: maybe",
        "license: own\nopt_out: {how: looked}",
        "source: mine",
    ],
)
def test_what_the_schema_refuses_is_blocked(tmp_path: Path, wrong: str) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(yaml.safe_load(wrong), STATEMENT)
    (tmp_path / "dataset.yaml").write_text(wrong)
    assert any(node.problems for node in judged.assets(tmp_path, load()))
