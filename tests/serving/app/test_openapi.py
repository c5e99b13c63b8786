"""What the app publishes of itself: the form that the playground draws, and what clients are generated from."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from serving.app.requests.inputs import MAX_BYTES
from serving.app.requests.schema import EXAMPLE_PICTURE, ImageInput, Input, Output, VerifyInput, VerifyOutput
from serving.app.settings import Limits, Settings
from tests.serving.app.surfaces import SMALLEST, SNAPSHOT, WHOLE, openapi, snapshot

FRAMEWORK = {"HTTPValidationError", "ValidationError", "Image"}  # of FastAPI and of the SDK
OURS = {model.__name__: model for model in (Input, ImageInput, Output, VerifyInput, VerifyOutput)}


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("openapi")
    return {settings["name"]: openapi(folder, settings) for settings in (SMALLEST, WHOLE)}


def test_what_is_published_is_the_snapshot() -> None:
    """After a change that is meant: python -m tests.serving.app.surfaces"""
    assert snapshot() == SNAPSHOT.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["smallest", "whole"])
def test_every_field_says_what_it_is(published: dict[str, Any], name: str) -> None:
    lacking = []
    for model, field, schema, required in _fields(published[name]):
        lacking += [f"{model}.{field}: {key}" for key in ("title", "description") if not schema.get(key, "").strip()]
        if not required and "default" not in schema and {"type": "null"} not in schema.get("anyOf", []):
            lacking.append(f"{model}.{field}: required or default")
    assert lacking == []


@pytest.mark.parametrize("name", ["smallest", "whole"])
def test_the_form_has_the_order_of_the_models(published: dict[str, Any], name: str) -> None:
    schemas = published[name]["components"]["schemas"]
    for model in schemas.keys() & OURS.keys():
        order = [field for field in OURS[model].FIELD_ORDERS if field in schemas[model]["properties"]]
        assert list(schemas[model]["properties"]) == order == schemas[model]["x-fal-order-properties"]
    assert len(schemas.keys() & OURS.keys()) >= 2


def test_a_package_publishes_what_it_offers_and_nothing_else(published: dict[str, Any]) -> None:
    assert sorted(published["smallest"]["paths"]) == ["/", "/health", "/verify"]
    assert sorted(published["whole"]["paths"]) == ["/", "/health", "/image-to-image", "/verify"]
    small, whole = (_properties(published[name], "Input") for name in ("smallest", "whole"))
    assert set(whole) - set(small) == {"negative_prompt", "adapter"}
    assert set(_properties(published["whole"], "ImageInput")) - set(whole) == {"image_url", "strength"}


def test_the_names_are_those_of_fals_own_endpoints(published: dict[str, Any]) -> None:
    theirs = """prompt image_size num_inference_steps guidance_scale seed num_images enable_safety_checker output_format sync_mode
    negative_prompt image_url strength"""
    assert set(_properties(published["whole"], "ImageInput")) - set(theirs.split()) == {"lora_scale", "adapter"}
    output = _properties(published["whole"], "Output")
    assert list(output) == ["images", "timings", "seed", "has_nsfw_concepts", "prompt", "undelivered"]


def test_the_form_draws_sizes_pictures_and_what_is_hidden(published: dict[str, Any]) -> None:
    fields = _properties(published["whole"], "ImageInput")
    assert fields["image_url"]["ui"] == {"field": "image", "important": True}
    assert fields["image_url"]["x-fal"] == {"max_file_size": MAX_BYTES}
    assert fields["adapter"]["ui"] == {"hidden": True}
    assert [name for name, field in fields.items() if field.get("ui", {}).get("important")] == ["prompt", "image_url", "image_size"]
    sized = _properties(published["whole"], "Input")["image_size"]
    assert sized["x-fal"] == {"min_width": 256, "min_height": 256, "max_width": 1536, "max_height": 1536} | {
        "max_area": 1024 * 1024,
        "multiple_of": 16,
    }
    assert [kind.get("$ref", kind.get("enum")) for kind in sized["anyOf"]] == [
        "#/components/schemas/ImageSize",
        ["square_hd", "square", "portrait_4_3", "portrait_16_9", "landscape_4_3", "landscape_16_9"],
    ]
    assert sized["default"] == "landscape_4_3"
    assert "default" not in fields["image_size"]  # the picture's own


@pytest.mark.parametrize("name", ["smallest", "whole"])
def test_examples_and_defaults_are_requests_that_pass(published: dict[str, Any], name: str) -> None:
    from serving.app.requests.schema import image_input_model, input_model

    settings = Settings.model_validate({"smallest": SMALLEST, "whole": WHOLE}[name])
    for model, request in (("Input", input_model(settings)), ("ImageInput", image_input_model(settings))):
        fields = published[name]["components"]["schemas"].get(model, {}).get("properties", {})
        first = {field: schema["examples"][0] for field, schema in fields.items() if "examples" in schema}
        if fields:
            assert request(**first).prompt == first["prompt"]
            assert request(prompt="a", image_url="b").seed is None


def test_the_example_of_an_answer_shows_a_picture(published: dict[str, Any]) -> None:
    import io

    from PIL import Image

    (example,) = _properties(published["smallest"], "Output")["images"]["examples"][0]
    assert example["url"] == EXAMPLE_PICTURE
    picture = Image.open(io.BytesIO(base64.b64decode(EXAMPLE_PICTURE.partition(",")[2])))
    picture.load()
    assert (picture.width, picture.height) == (example["width"], example["height"])
    assert f"image/{str(picture.format).lower()}" == example["content_type"]


def test_the_safety_switch_says_what_it_does(tmp_path: Path) -> None:
    notes = {}
    for name, safety in (("none", {}), ("always", {"enabled": True}), ("switch", {"enabled": True, "optional": True})):
        schema = openapi(tmp_path, SMALLEST | {"name": name, "safety": safety})
        notes[name] = _properties(schema, "Input")["enable_safety_checker"]["description"]
    assert "No effect" in notes["none"]
    assert "not checked" in notes["none"]
    assert "No effect" in notes["always"]
    assert "every image is checked" in notes["always"]
    assert "No effect" not in notes["switch"]


def test_a_package_without_presets_that_fit_asks_for_sides(published: dict[str, Any]) -> None:
    size = _properties(published["smallest"], "Input")["image_size"]
    assert size["anyOf"] == [{"$ref": "#/components/schemas/ImageSize"}]
    assert size["default"] == {"width": 32, "height": 32}
    bounds = published["smallest"]["components"]["schemas"]["ImageSize"]["properties"]["width"]
    limits = Limits.model_validate(SMALLEST["limits"])
    assert (bounds["minimum"], bounds["maximum"], bounds["multipleOf"]) == (limits.min_side, limits.max_side, limits.multiple)


@pytest.mark.parametrize("name", ["smallest", "whole"])
def test_it_holds_no_more_than_a_caller_needs(published: dict[str, Any], name: str) -> None:
    text = json.dumps(published[name])
    assert len(text) < 30_000
    assert str(Path(__file__).resolve().parents[3]) not in text
    assert "lorasmith" not in text


def _fields(schema: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any], bool]]:
    for model, content in schema["components"]["schemas"].items():
        if model not in FRAMEWORK:
            for field, described in content.get("properties", {}).items():
                yield model, field, described, field in content.get("required", ())


def _properties(schema: dict[str, Any], model: str) -> dict[str, Any]:
    properties: dict[str, Any] = schema["components"]["schemas"][model]["properties"]
    return properties
