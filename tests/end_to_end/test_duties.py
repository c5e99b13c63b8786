"""Duties through the command line: an open one stops before anything is trained; a package holds what is owed, byte for byte."""

import json
import shutil
import tomllib
from pathlib import Path

import jsonschema
import pytest
import yaml

from licenses.bom import require_valid
from tests.end_to_end.conftest import ROOT, Changed, Run


@pytest.fixture
def package(published: object, home: Path) -> Path:
    """The package that was published first."""
    return min((home / "store" / "package").glob("*/content"), key=lambda path: path.stat().st_mtime)


def test_one_open_duty_ends_with_three_and_says_which_one(
    lorasmith: Run, small_job: Path, changed: Changed, tmp_path: Path
) -> None:
    """Pictures under CC BY whose author nobody names: credit is owed, and nobody can be credited."""
    pictures = tmp_path / "album"
    shutil.copytree(yaml.safe_load(small_job.read_text())["dataset"]["path"], pictures)
    (pictures / "dataset.yaml").write_text("license: cc-by-4.0\npersons: none\n")
    result = lorasmith("package", str(changed("dataset", {"path": str(pictures)})))
    assert result.returncode == 3, result.stderr
    assert result.stderr.splitlines()[-1] == (
        "lorasmith: duty ATTRIBUTION of CC BY 4.0 towards 'album' is open: nothing says who made it and where it is from; "
        "name author and source in dataset.yaml and check again"
    )
    assert "Traceback" not in result.stderr


def test_the_package_holds_the_licence_text_as_it_was_found(package: Path) -> None:
    assert (package / "LICENSES/apache-2.0.txt").read_bytes() == (ROOT / "examples/base/LICENSE").read_bytes()
    for paper in ("NOTICE", "MODIFICATIONS.md", "ATTRIBUTION.md"):
        assert (package / paper).read_text().strip()
    assert "Fluent emoji 3D" in (package / "ATTRIBUTION.md").read_text()
    assert "LoRA adapter" in (package / "MODIFICATIONS.md").read_text()


def test_the_record_of_duties_keeps_its_schema_and_has_none_open(package: Path) -> None:
    schema = json.loads((ROOT / "docs/schemas/duties.schema.json").read_text())
    record = json.loads((package / "duties.json").read_text())
    jsonschema.validate(record, schema, cls=jsonschema.Draft202012Validator)
    asked = {duty for use in json.loads((package / "verdict.json").read_text())["uses"].values() for duty in use["duties"]}
    assert asked == {row["duty"] for row in record["duties"]}
    assert {row["open"] for row in record["duties"]} == {""}


def test_the_bill_of_materials_names_what_was_packed(package: Path) -> None:
    document = json.loads((package / "bom.json").read_text())
    require_valid(document)
    root = document["metadata"]["component"]
    settings = json.loads((package / "settings.json").read_text())
    assert root["hashes"] == [{"alg": "SHA-256", "content": settings["adapter"]["sha256"]}]
    assert "licenses" not in root
    assert {"name": "lorasmith:expression-of-the-parts", "value": "Apache-2.0 AND MIT"} in document["metadata"]["properties"]
    assert {part["type"] for part in document["components"]} == {"machine-learning-model", "data", "application", "library"}
    (app,) = tomllib.loads((package / "pyproject.toml").read_text())["tool"]["fal"]["apps"].values()
    assert [f"{part['name']}=={part['version']}" for part in document["components"] if part["type"] == "library"] == app[
        "requirements"
    ]
    assert root["modelCard"]["quantitativeAnalysis"]["performanceMetrics"]
