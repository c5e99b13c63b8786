"""Pictures over HTTP: what is drawn from one, what is found in one, and what a caller is told of one that can not be had."""

import base64
import io
import json
from collections.abc import Iterator

import pytest
from PIL import Image

from serving.app.requests.schema import EXAMPLE_PICTURE
from tests.serving.app.asking import OK, asked
from tests.serving.app.fuzz import small_whole
from tests.serving.app.surfaces import served


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with served(tmp_path_factory.mktemp("app"), small_whole()) as url:
        yield int(url.rpartition(":")[2])


@pytest.mark.parametrize("path", ["/image-to-image", "/verify"])
@pytest.mark.parametrize(
    ("image_url", "type"),
    [
        ("", "file_download_error"),
        ("a", "file_download_error"),
        ("http://127.0.0.1:{port}/openapi.json", "file_download_error"),
        ("https://127.0.0.1:{port}/openapi.json", "file_download_error"),
        ("https://localhost:{port}/openapi.json", "file_download_error"),
        ("https://a.localhost/", "file_download_error"),
        ("https://169.254.169.254/latest/meta-data/", "file_download_error"),
        ("file:///etc/passwd", "file_download_error"),
        ("data:image/png,abc", "file_download_error"),
        ("data:image/png;base64,R0lGODlhAQABAAAAACw=", "unsupported_image_format"),
        (EXAMPLE_PICTURE[:-20], "image_load_error"),
    ],
)
def test_a_picture_that_can_not_be_had_is_told_in_fals_words(port: int, path: str, image_url: str, type: str) -> None:
    status, answer = asked(port, path, json.dumps({"prompt": "ok", "image_url": image_url.format(port=port)}).encode())
    (detail,) = json.loads(answer)["detail"]
    assert (status, detail["loc"], detail["type"]) == (422, ["body", "image_url"], type)
    assert "127.0.0.1" not in detail["msg"]


def test_a_picture_is_drawn_from_in_its_own_size_or_the_one_asked_for(port: int) -> None:
    for size, drawn in ((None, [32, 32]), ({"width": 48, "height": 16}, [48, 16])):
        body = {"prompt": "ok", "image_url": EXAMPLE_PICTURE, "image_size": size}
        status, answer = asked(port, "/image-to-image", json.dumps(body).encode(), units="1")
        (image,) = json.loads(answer)["images"]
        assert (status, [image["width"], image["height"]]) == (200, drawn)


def test_work_of_a_size_that_the_picture_brings_is_bounded_too(port: int) -> None:
    body = {"prompt": "ok", "image_url": EXAMPLE_PICTURE, "num_inference_steps": 50, "num_images": 4}
    assert asked(port, "/image-to-image", json.dumps(body).encode(), units="4")[0] == 200
    large = io.BytesIO()
    Image.new("RGB", (64, 64)).save(large, "PNG")
    body["image_url"] = "data:image/png;base64," + base64.b64encode(large.getvalue()).decode()
    status, answer = asked(port, "/image-to-image", json.dumps(body).encode())
    (detail,) = json.loads(answer)["detail"]
    assert (status, detail["loc"], detail["type"]) == (422, ["body", "num_images"], "work_budget_exceeded")


def test_a_picture_of_ours_is_known_again(port: int) -> None:
    _, answer = asked(port, "/", OK, units="1")
    (image,) = json.loads(answer)["images"]
    status, found = asked(port, "/verify", json.dumps({"image_url": image["url"]}).encode())
    assert (status, json.loads(found)["generated"], json.loads(found)["c2pa"]["valid"]) == (200, True, True)
    again = {"prompt": "ok", "image_url": image["url"]}
    assert asked(port, "/image-to-image", json.dumps(again).encode(), units="1")[0] == 200


def test_looking_for_marks_costs_nothing(port: int) -> None:
    status, answer = asked(port, "/verify", json.dumps({"image_url": EXAMPLE_PICTURE}).encode())
    found = json.loads(answer)
    assert (status, found["generated"], list(found)) == (200, False, ["generated", "c2pa", "watermark", "iptc"])


def test_a_large_picture_is_no_body_of_many_values(port: int) -> None:
    body = {"image_url": "data:image/png;base64," + "A" * 12_000_000}
    status, answer = asked(port, "/verify", json.dumps(body).encode())
    assert (status, json.loads(answer)["detail"][0]["type"]) == (422, "unsupported_image_format")
