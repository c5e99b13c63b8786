"""docs/families.md says what the code does, and the command that lists the families says the same."""

import json

import pytest
from typer.testing import CliRunner

from flows.cli.main import app
from tests.training.document_families import DOCUMENT, documented
from tests.training.tiny import MODULES
from tests.training.tiny.waits import waits
from training.families import FAMILIES
from training.families.table import COLUMNS

pytestmark = pytest.mark.filterwarnings("ignore:Mismatch dtype between input and weight")


def test_the_tables_of_the_document_are_those_of_the_code() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    assert documented(text) == text, "python -m tests.training.document_families"
    assert all(f"| {name} |" in text for name in FAMILIES)


def test_every_family_is_listed() -> None:
    listed = CliRunner().invoke(app, ["families", "--json"], catch_exceptions=False)
    table = json.loads(listed.stdout)
    assert [row["family"] for row in table] == list(FAMILIES)
    assert all(tuple(row) == COLUMNS and all(row.values()) for row in table)
    plain = CliRunner().invoke(app, ["families"], catch_exceptions=False).stdout.splitlines()
    assert [line.split()[0] for line in plain] == ["family", *FAMILIES]


def test_every_family_has_a_tiny_pipeline() -> None:
    assert set(MODULES) == set(FAMILIES)


@pytest.mark.parametrize(("name", "operation"), [("hidream", "mask as index"), ("lumina-2", "tolist"), ("flux.1", None)])
def test_reads_of_a_forward_are_noticed(name: str, operation: str | None) -> None:
    assert (operation in waits(name)) if operation else not waits(name)
