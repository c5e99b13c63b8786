"""docs/training.md names every field of the recipe with the default that a job file has, and no other."""

import re
from pathlib import Path

import pytest

from flows.job import Training
from training.config import PRESETS, Recipe, TrainConfig

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "training.md").read_text(encoding="utf-8")
ROWS = dict(re.findall(r"^\| `(\w+)` \| `([^`]*)` \|", PAGE, re.MULTILINE))


def test_the_page_lists_every_field_in_the_order_of_the_schema() -> None:
    assert list(ROWS) == list(Training.model_fields)


@pytest.mark.parametrize("name", list(Training.model_fields))
def test_the_page_says_the_default(name: str) -> None:
    assert ROWS[name] == str(getattr(Training(), name))


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_the_page_says_what_a_preset_fills(preset: str) -> None:
    assert re.search(rf"^\| `{preset}` \| {PRESETS[preset]['rank']} \|", PAGE, re.MULTILINE)
    assert PRESETS[preset]["rank"] == PRESETS[preset]["alpha"]


def test_a_job_and_the_trainer_read_the_same_recipe() -> None:
    """Every field has a description, and what a job dumps is what the trainer takes."""
    assert set(Training.model_fields) == set(Recipe.model_fields) <= set(TrainConfig.model_fields)
    assert all(field.description for field in Training.model_fields.values())
    rest = {"base": "b", "dataset": "d", "cache": "c"}
    dumped = Training().model_dump(mode="json")
    assert TrainConfig.model_validate({**rest, **dumped}).model_dump(mode="json", include=set(dumped)) == dumped
