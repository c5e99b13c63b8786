"""What the rooms hand each other is what docs/schemas says, on the artefacts of a real run."""

import json
from pathlib import Path

import jsonschema
import pytest

from tests.end_to_end.conftest import ROOT

FORMATS = {
    "license-verdict": "verdict/*/content/verdict.json",
    "dataset": "dataset/*/content/manifest.json",
    "adapter-bundle": "bundle/*/content/manifest.json",
    "evaluation": "bundle/*/content/evaluation.json",
    "app-package": "package/*/content/package.json",
    "package-signature": "package/*/content.signature.json",
    "duties": "package/*/content/duties.json",
    "listing": "listing/*/content/listing.json",
}


def test_every_schema_is_checked_here() -> None:
    described = {file.name.removesuffix(".schema.json") for file in (ROOT / "docs/schemas").iterdir()}
    assert described == {*FORMATS, "job"}  # the job is what the user writes: tests/flows/test_job.py holds its schema


@pytest.mark.parametrize("name", FORMATS)
def test_artefact_keeps_its_schema(name: str, published: object, home: Path) -> None:
    schema = json.loads((ROOT / f"docs/schemas/{name}.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    files = sorted((home / "store").glob(FORMATS[name]))
    assert files
    for file in files:
        jsonschema.validate(json.loads(file.read_text()), schema, cls=jsonschema.Draft202012Validator)


@pytest.mark.parametrize("kind", ["package", "listing", "bundle"])
def test_nothing_that_travels_knows_this_disk(kind: str, published: object, home: Path) -> None:
    texts = [
        file for file in (home / "store" / kind).glob("*/content/**/*") if file.suffix in {".json", ".md", ".html", ".eml", ".toml"}
    ]
    assert texts
    leaks = [
        file.name
        for file in texts
        if file.name != "place.json" and (str(ROOT) in file.read_text() or str(home) in file.read_text())
    ]
    assert leaks == []
