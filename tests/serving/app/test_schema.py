"""The request's bounds hold, and say where they do not."""

from typing import Any

import pytest
from fastapi.testclient import TestClient
from pydantic import ValidationError

from serving.app.schema import MAX_SEED, input_model, pixels
from serving.app.settings import Installed, Settings


@pytest.mark.parametrize(
    ("change", "loc", "kind"),
    [
        ({"prompt": ""}, ["prompt"], "string_too_short"),
        ({"prompt": "  \n"}, ["prompt"], "string_too_short"),
        ({"prompt": "a\0b"}, ["prompt"], "value_error"),
        ({"prompt": "é" * 101}, ["prompt"], "string_too_long"),
        ({"prompt": "a" * 5000}, ["prompt"], "string_too_long"),
        ({"prompt": 7}, ["prompt"], "string_type"),
        ({"image_size": {"width": 8, "height": 32}}, ["image_size", "width"], "greater_than_equal"),
        ({"image_size": {"width": 32, "height": 14144}}, ["image_size", "height"], "less_than_equal"),
        ({"image_size": {"width": 33, "height": 32}}, ["image_size", "width"], "multiple_of"),
        ({"image_size": {"width": 64, "height": 64}}, ["image_size"], "image_too_large"),
        ({"image_size": {"width": 32}}, ["image_size", "height"], "missing"),
        ({"image_size": [32, 32]}, ["image_size"], "model_attributes_type"),
        ({"num_inference_steps": 0}, ["num_inference_steps"], "greater_than_equal"),
        ({"num_inference_steps": 9}, ["num_inference_steps"], "less_than_equal"),
        ({"num_inference_steps": 8, "num_images": 3}, ["num_images"], "work_budget_exceeded"),
        ({"num_images": 0}, ["num_images"], "greater_than_equal"),
        ({"num_images": 5}, ["num_images"], "less_than_equal"),
        ({"guidance_scale": -1}, ["guidance_scale"], "greater_than_equal"),
        ({"guidance_scale": 21}, ["guidance_scale"], "less_than_equal"),
        ({"seed": -1}, ["seed"], "greater_than_equal"),
        ({"seed": MAX_SEED + 1}, ["seed"], "less_than_equal"),
        ({"seed": 0.5}, ["seed"], "int_from_float"),
        ({"lora_scale": 2.01}, ["lora_scale"], "less_than_equal"),
        ({"output_format": "gif"}, ["output_format"], "literal_error"),
    ],
)
def test_a_request_out_of_bounds_is_told_where(scripted: TestClient, change: dict[str, Any], loc: list[str], kind: str) -> None:
    response = scripted.post("/", json={"prompt": "ok", **change})
    assert response.status_code == 422
    (detail,) = response.json()["detail"]
    assert set(detail) == {"loc", "msg", "type"}
    assert (detail["loc"], detail["type"]) == (["body", *loc], kind)


@pytest.mark.parametrize(
    "body", [b'{"prompt":"ok","guidance_scale":NaN}', b'{"prompt":"ok","lora_scale":Infinity}', b'{"prompt":"\\ud800"}']
)
def test_what_json_allows_by_mistake_is_refused(scripted: TestClient, body: bytes) -> None:
    response = scripted.post("/", content=body, headers={"content-type": "application/json"})
    assert response.status_code == 422
    assert response.headers["x-fal-billable-units"] == "0"


def test_defaults_are_those_of_the_package(package: Installed) -> None:
    request = input_model(package.settings)(prompt="ok")
    assert pixels(request.image_size) == (32, 32)
    assert (request.num_inference_steps, request.guidance_scale, request.lora_scale) == (2, 2.0, 0.75)
    assert (request.seed, request.num_images, request.output_format, request.sync_mode) == (None, 1, "jpeg", False)


def test_seed_zero_is_a_seed(scripted: TestClient) -> None:
    assert scripted.post("/", json={"prompt": "ok", "seed": 0}).json()["seed"] == 0


def test_a_seed_is_drawn_where_none_is_given(scripted: TestClient) -> None:
    seeds = {scripted.post("/", json={"prompt": "ok"}).json()["seed"] for _ in range(3)}
    assert len(seeds) == 3
    assert all(0 <= seed <= MAX_SEED for seed in seeds)


def test_presets_are_those_that_fit(package: Installed) -> None:
    large = {"min_side": 256, "max_side": 1024, "multiple": 16, "max_area": 1024 * 768, "max_work": 10**9}
    changed = package.settings.model_dump(by_alias=True)
    changed["limits"] |= large
    changed["default_size"] = {"width": 1024, "height": 768}
    model = input_model(Settings.model_validate(changed))
    assert model(prompt="ok").image_size == "landscape_4_3"
    assert pixels(model(prompt="ok", image_size="square").image_size) == (512, 512)
    assert pixels(model(prompt="ok", image_size={"width": 256, "height": 512}).image_size) == (256, 512)
    with pytest.raises(ValidationError, match="landscape_4_3"):
        model(prompt="ok", image_size="square_hd")
    schema = model.model_json_schema()["properties"]["image_size"]
    assert schema["anyOf"][1]["enum"] == ["square", "portrait_4_3", "portrait_16_9", "landscape_4_3", "landscape_16_9"]


def test_openapi_draws_the_form(scripted: TestClient, package: Installed) -> None:
    spec = scripted.get("/openapi.json").json()
    assert spec["info"] == {"title": "tiny-style", "version": package.hash}
    fields = spec["components"]["schemas"]["Input"]["properties"]
    assert list(fields)[:4] == ["prompt", "image_size", "num_inference_steps", "guidance_scale"]
    assert all(field.get("description") for field in fields.values())
    assert fields["num_images"] | {"maximum": 4, "minimum": 1, "default": 1} == fields["num_images"]
    assert fields["image_size"]["x-fal"]["max_area"] == 48 * 64
    assert "tiny-style" in fields["prompt"]["description"]
    assert "prompt filter only" in fields["enable_safety_checker"]["description"]
    output = spec["components"]["schemas"]["Output"]["properties"]
    assert list(output) == ["images", "timings", "seed", "has_nsfw_concepts", "prompt", "undelivered"]


def test_an_open_request_model_is_not_what_is_served(scripted: TestClient) -> None:
    paths = scripted.get("/openapi.json").json()["paths"]
    assert paths["/"]["post"]["requestBody"]["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/Input"}
    assert sorted(paths) == ["/", "/health"]
