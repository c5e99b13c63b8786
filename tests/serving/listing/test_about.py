"""What the listing says of the app is what the app publishes of itself: its OpenAPI, as fal shows it above the form."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.serving.app.surfaces import SMALLEST, WHOLE, openapi
from tests.serving.listing.material import drafted, listing_in


@pytest.fixture(scope="module", params=[SMALLEST, WHOLE], ids=["smallest", "whole"])
def both(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A draft of a package, and what the package's app publishes."""
    folder = tmp_path_factory.mktemp("about")
    published = openapi(folder, request.param)
    settings = json.loads((folder / request.param["name"] / "settings.json").read_text())
    drafted(folder / "draft", settings=settings, prompts=2, seeds=1)
    return folder / "draft", published


def said(markdown: str) -> str:
    """The words of a Markdown text on one line."""
    return " ".join(re.sub(r"\\([\\`*_{}\[\]<>#|~!])", r"\1", markdown).split())


def test_about_says_of_billing_and_safety_what_the_app_says(both: tuple[Path, dict[str, Any]]) -> None:
    draft, published = both
    about = said((draft / "about.md").read_text(encoding="utf-8"))
    _, _, billing = published["paths"]["/"]["post"]["description"].partition(". ")
    _, _, safety = published["components"]["schemas"]["Input"]["description"].partition(". ")
    assert billing.startswith("Billed is")
    assert "prompt filter" in safety
    assert [text for text in (billing, safety) if said(text) not in about] == []


def test_the_endpoints_of_the_listing_are_those_of_the_app(both: tuple[Path, dict[str, Any]]) -> None:
    draft, published = both
    listed = {one.path: one.description for one in listing_in(draft).api.endpoints}
    assert listed == {path: methods["post"]["description"] for path, methods in published["paths"].items()}
    page = (draft / "index.html").read_text(encoding="utf-8")
    llms = (draft / "llms.txt").read_text(encoding="utf-8")
    assert all(f"<code>{path}</code>" in page for path in listed)
    assert all(text in llms for text in listed.values())


def test_the_fields_of_the_listing_are_those_of_the_app(both: tuple[Path, dict[str, Any]]) -> None:
    draft, published = both
    api, schemas = listing_in(draft).api, published["components"]["schemas"]
    asked = schemas.get("ImageInput", schemas["Input"])["properties"]
    assert {row.name for row in api.input} == {name for name, field in asked.items() if not field.get("ui", {}).get("hidden")}
    assert {row.name for row in api.output} == set(schemas["Output"]["properties"])
