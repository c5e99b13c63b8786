"""How families are called, held against the pipelines of diffusers."""

import inspect

import diffusers
import pytest

from flows.calls import IMAGE_TO_IMAGE, NO_NEGATIVE_PROMPT, called
from training.families import FAMILIES


def parameters(function: object) -> set[str]:
    return set(inspect.signature(function).parameters)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", IMAGE_TO_IMAGE)
def test_the_pipeline_that_starts_from_a_picture_is_made_of_the_same_parts(name: str) -> None:
    plain, from_picture = (getattr(diffusers, kind) for kind in (FAMILIES[name].pipeline, IMAGE_TO_IMAGE[name]))
    assert parameters(plain.__init__) - parameters(from_picture.__init__) == set()
    assert {"image", "strength", "generator"} <= parameters(from_picture.__call__)


@pytest.mark.parametrize("name", FAMILIES)
def test_a_negative_prompt_is_offered_where_the_pipeline_takes_one(name: str) -> None:
    pipeline = getattr(diffusers, FAMILIES[name].pipeline)
    assert called(FAMILIES[name]).negative_prompt == (name not in NO_NEGATIVE_PROMPT)
    if name not in NO_NEGATIVE_PROMPT:
        assert "negative_prompt" in parameters(pipeline.__call__)


def test_image_to_image_is_left_out_where_the_job_says_so() -> None:
    assert called(FAMILIES["z-image"]).image_to_image == "ZImageImg2ImgPipeline"
    assert called(FAMILIES["z-image"], image_to_image=False).image_to_image is None
    assert called(FAMILIES["flux.2"]).image_to_image is None
