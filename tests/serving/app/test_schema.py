"""The request's bounds hold, and say where they do not."""

import json
import math
from contextlib import nullcontext
from typing import Any

import pytest
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from pydantic import ValidationError

from serving.app.requests.schema import MAX_SEED, ImageInput, Input, image_input_model, input_model, seed_of
from serving.app.requests.sizes import pixels
from serving.app.settings import Installed, Settings
from tests.serving.app.surfaces import SMALLEST, WHOLE


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


@pytest.mark.parametrize("size", ["square_hd", [32, 32], 512])
def test_a_size_that_is_none_is_told_what_one_looks_like(scripted: TestClient, size: Any) -> None:
    (detail,) = scripted.post("/", json={"prompt": "ok", "image_size": size}).json()["detail"]
    assert '{"width": 512, "height": 512}' in detail["msg"]


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


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        ({"seed": "3"}, 3),
        ({"seed": 3.0}, 3),
        ({"seed": True}, 1),
        ({"seed": -0.0}, 0),
        ({"seed": None}, None),
        ({"num_images": "2"}, 2),
        ({"num_inference_steps": 2.0}, 2),
        ({"guidance_scale": "1.5"}, 1.5),
        ({"guidance_scale": True}, 1.0),
        ({"sync_mode": "yes"}, True),
        ({"enable_safety_checker": 0}, False),
    ],
)
def test_values_are_read_as_fals_endpoints_read_them(sent: dict[str, Any], read: Any) -> None:
    ((field, value),) = sent.items()
    found = getattr(_request(prompt="a", **{field: value}), field)
    assert (found, type(found)) == (read, type(read))


@pytest.mark.parametrize(
    ("sent", "field", "kind"),
    [
        ({"seed": 2.5}, "seed", "int_from_float"),
        ({"seed": "3.5"}, "seed", "int_parsing"),
        ({"seed": 10**300}, "seed", "less_than_equal"),
        ({"seed": float("nan")}, "seed", "finite_number"),
        ({"seed": [3]}, "seed", "int_type"),
        ({"guidance_scale": float("nan")}, "guidance_scale", "finite_number"),
        ({"lora_scale": "inf"}, "lora_scale", "finite_number"),
        ({"sync_mode": 2}, "sync_mode", "bool_parsing"),
        ({"sync_mode": None}, "sync_mode", "bool_type"),
        ({"num_images": None}, "num_images", "int_type"),
        ({"negative_prompt": "a\0"}, "negative_prompt", "value_error"),
        ({"negative_prompt": "é" * 2049}, "negative_prompt", "string_too_long"),
        ({"adapter": "another"}, "adapter", "literal_error"),
        ({"image_size": "huge"}, "image_size", "literal_error"),
    ],
)
def test_what_they_would_not_read_is_refused(sent: dict[str, Any], field: str, kind: str) -> None:
    with pytest.raises(ValidationError) as refused:
        _request(prompt="a", **sent)
    (error,) = refused.value.errors()
    assert (error["loc"][0], error["type"]) == (field, kind)


def test_unknown_fields_are_ignored() -> None:
    known, unknown = {"prompt": "a", "seed": 1}, {"loras": [], "acceleration": "high", "LIMITS": None, "model_config": 1}
    assert _request(**known, **unknown).model_dump() == _request(**known).model_dump()


def test_what_a_package_does_not_offer_is_ignored_like_any_unknown_field() -> None:
    model = input_model(Settings.model_validate(SMALLEST))
    request = model(prompt="a", negative_prompt=7, adapter="challenger", image_url="https://a.example.com", strength="x")
    assert (request.negative_prompt, request.adapter, request.image_url, request.strength) == ("", "champion", None, None)
    offered = _request(prompt="a", negative_prompt="b", adapter="challenger")
    assert (offered.negative_prompt, offered.adapter) == ("b", "challenger")


@pytest.mark.parametrize(
    ("seed", "index", "used"), [(0, 0, 0), (41, 1, 42), (MAX_SEED, 0, MAX_SEED), (MAX_SEED, 1, 0), (MAX_SEED - 1, 3, 1)]
)
def test_seeds_go_on_at_zero_after_the_last(seed: int, index: int, used: int) -> None:
    assert seed_of(seed, index) == used
    assert _request(prompt="a", seed=used).seed == used


def test_a_seed_at_the_end_draws_several_images(scripted: TestClient) -> None:
    answer = scripted.post("/", json={"prompt": "ok", "seed": MAX_SEED, "num_images": 2}).json()
    assert (answer["seed"], len(answer["images"])) == (MAX_SEED, 2)


def test_a_request_from_a_picture_has_fals_defaults() -> None:
    request = _from_picture()
    assert (request.image_url, request.strength, request.image_size) == ("data:,", 0.85, None)
    assert pixels(_from_picture(image_size="square").image_size) == (512, 512)


@pytest.mark.parametrize(
    ("sent", "field", "kind"),
    [
        ({"strength": 0}, "strength", "greater_than_equal"),
        ({"strength": 1.01}, "strength", "less_than_equal"),
        ({"strength": float("nan")}, "strength", "finite_number"),
        ({"strength": None}, "strength", "float_type"),
        ({"image_url": None}, "image_url", "string_type"),
        ({"image_url": ["data:,"]}, "image_url", "string_type"),
        ({"image_size": {"width": 1520, "height": 1520}}, "image_size", "image_too_large"),
    ],
)
def test_a_request_from_a_picture_has_bounds_of_its_own(sent: dict[str, Any], field: str, kind: str) -> None:
    with pytest.raises(ValidationError) as refused:
        _from_picture(**sent)
    (error,) = refused.value.errors()
    assert (error["loc"][0], error["type"]) == (field, kind)


def test_work_counts_the_part_of_the_steps_that_is_drawn() -> None:
    settings = Settings.model_validate(WHOLE | {"limits": WHOLE["limits"] | {"max_work": 1024 * 768 * 50}})
    model, asked = image_input_model(settings), {"prompt": "a", "image_url": "data:,", "image_size": "landscape_4_3"}
    assert model(**asked, num_inference_steps=50, num_images=2, strength=0.5).num_images == 2
    with pytest.raises(ValidationError, match="at most 39321600 is allowed"):
        model(**asked, num_inference_steps=50, num_images=2, strength=0.51)
    assert model(**asked | {"image_size": None}, num_inference_steps=50, num_images=4).num_images == 4  # known with the picture


@given(
    sides=st.tuples(*[st.sampled_from([0, 240, 256, 512, 520, 768, 1024, 1360, 1536, 1552, 14144])] * 2),
    steps=st.integers(-1, 60),
    images=st.integers(-1, 6),
    strength=st.none() | st.floats(0, 1.2),
)
@hypothesis_settings(deadline=None, max_examples=400, derandomize=True)
def test_what_is_let_through_is_within_all_bounds_and_nothing_else_is(
    sides: tuple[int, int], steps: int, images: int, strength: float | None
) -> None:
    width, height = sides
    asked: dict[str, Any] = {"image_size": {"width": width, "height": height}, "num_inference_steps": steps, "num_images": images}
    drawn = steps if strength is None else max(1, math.ceil(steps * strength))
    allowed = all(256 <= side <= 1536 and side % 16 == 0 for side in sides) and width * height <= 1024 * 1024
    allowed = allowed and 1 <= steps <= 50 and 1 <= images <= 4 and width * height * drawn * images <= TIGHT["max_work"]
    allowed = allowed and (strength is None or 0.01 <= strength <= 1)
    model = TIGHT_MODELS[strength is not None]
    with nullcontext() if allowed else pytest.raises(ValidationError):
        model(**{"prompt": "a", "image_url": "data:,"} | asked | ({} if strength is None else {"strength": strength}))


TIGHT = WHOLE["limits"] | {"max_work": 1024 * 1024 * 50}
TIGHT_MODELS = [make(Settings.model_validate(WHOLE | {"limits": TIGHT})) for make in (input_model, image_input_model)]


@pytest.mark.parametrize("secret", ["sk-secret", "data:image/png;base64,c2VjcmV0"])
def test_a_refusal_does_not_repeat_what_was_sent(scripted: TestClient, secret: str) -> None:
    body = {"prompt": {"x": secret}, "image_size": secret, "seed": secret, "output_format": secret, "num_images": secret}
    answer = scripted.post("/", json=body)
    assert answer.status_code == 422
    assert len(answer.json()["detail"]) == len(body)
    assert "secret" not in answer.text
    assert "c2Vj" not in json.dumps(answer.json())


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
    assert sorted(paths) == ["/", "/health", "/verify"]


def _request(**sent: Any) -> Input:
    return input_model(Settings.model_validate(WHOLE))(**sent)


def _from_picture(**sent: Any) -> ImageInput:
    return image_input_model(Settings.model_validate(WHOLE))(**{"prompt": "a", "image_url": "data:,"} | sent)
