"""Units billed are images delivered, and every response says so."""

import base64
import io
import re
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from PIL import Image as PIL

import serving.app

UNITS = "x-fal-billable-units"

# What happens, and what a caller gets. Statuses are fal's; the units are the point.
TRUTH = [
    ("painted", {"prompt": "ok", "num_images": 2}, 200, "2"),
    ("one of three withheld", {"prompt": "ok flagged ok", "num_images": 3}, 200, "2"),
    ("checker fails on one", {"prompt": "ok check-fails", "num_images": 2}, 200, "1"),
    ("encoding fails for one", {"prompt": "encode-fails ok", "num_images": 2}, 200, "1"),
    ("upload fails for one", {"prompt": "ok upload-fails", "num_images": 2}, 200, "1"),
    ("all withheld", {"prompt": "flagged", "num_images": 2}, 422, "0"),
    ("checker fails on all", {"prompt": "check-fails"}, 500, "0"),
    ("encoding fails for all", {"prompt": "encode-fails"}, 500, "0"),
    ("upload fails for all", {"prompt": "upload-fails"}, 500, "0"),
    ("drawing fails for one", {"prompt": "ok ok crash", "num_images": 3}, 200, "2"),
    ("out of memory for one", {"prompt": "ok oom ok", "num_images": 3}, 200, "2"),
    ("GPU lost at one", {"prompt": "ok ok cuda", "num_images": 3}, 503, "0"),
    ("crash", {"prompt": "crash"}, 500, "0"),
    ("out of GPU memory", {"prompt": "oom"}, 500, "0"),
    ("out of memory in torch", {"prompt": "oom-cpu"}, 500, "0"),
    ("out of memory", {"prompt": "memory"}, 500, "0"),
    ("lost CUDA context", {"prompt": "cuda"}, 503, "0"),
    ("deadline", {"prompt": "timeout"}, 504, "0"),
    ("cancelled", {"prompt": "cancel"}, 499, "0"),
    ("field error as the SDK makes it", {"prompt": "field"}, 422, "0"),
    ("field error that wants to bill", {"prompt": "field-billed"}, 422, "0"),
    ("app error", {"prompt": "app-error"}, 400, "0"),
    ("HTTP error that wants to bill", {"prompt": "http-billed"}, 402, "0"),
    ("prompt policy", {"prompt": "a naked child"}, 422, "0"),
    ("no prompt", {}, 422, "0"),
    ("too many images", {"prompt": "ok", "num_images": 5}, 422, "0"),
]


@pytest.mark.parametrize(("body", "status", "units"), [row[1:] for row in TRUTH], ids=[row[0] for row in TRUTH])
def test_truth_table(scripted: TestClient, body: dict[str, Any], status: int, units: str) -> None:
    response = scripted.post("/", json=body)
    assert (response.status_code, response.headers.get_list(UNITS)) == (status, [units])
    assert len(response.json().get("images", [])) == int(units)


@pytest.mark.parametrize(
    ("method", "path", "options", "status"),
    [
        ("POST", "/nowhere", {"json": {}}, 404),
        ("GET", "/", {}, 405),
        ("POST", "/", {"content": b"{", "headers": {"content-type": "application/json"}}, 422),
        ("POST", "/", {"content": b"\xff\xfe", "headers": {"content-type": "image/png"}}, 422),
        ("POST", "/", {"json": {"prompt": "ok"}, "headers": {"x-app-fal-upload-policy": "nonsense"}}, 422),
        ("POST", "/health", {}, 200),
        ("GET", "/health", {}, 200),
        ("GET", "/openapi.json", {}, 200),
        ("OPTIONS", "/", {"headers": {"origin": "http://127.0.0.1", "access-control-request-method": "POST"}}, 200),
    ],
)
def test_whatever_is_no_image_costs_nothing(
    scripted: TestClient, method: str, path: str, options: dict[str, Any], status: int
) -> None:
    response = scripted.request(method, path, **options)
    assert (response.status_code, response.headers.get_list(UNITS)) == (status, ["0"])


def test_units_that_a_caller_sends_are_ignored(scripted: TestClient) -> None:
    assert scripted.post("/", json={"prompt": "ok"}, headers={UNITS: "0"}).headers[UNITS] == "1"


def test_an_image_that_is_missing_leaves_the_seed_of_the_others_known(scripted: TestClient) -> None:
    answer = scripted.post("/", json={"prompt": "ok flagged ok", "num_images": 3, "seed": 9, "output_format": "png"}).json()
    assert answer["undelivered"] == [{"index": 1, "reason": "content_policy"}]
    assert [_pixel(image["url"]) for image in answer["images"]] == [(9, 0, 7), (11, 0, 7)]


def test_the_header_is_written_in_one_place() -> None:
    sources = Path(serving.app.__path__[0]).rglob("*.py")
    written = [path.name for path in sources for _ in re.findall(r"x-fal-billable-units", path.read_text(), re.IGNORECASE)]
    assert written == ["billing.py"]


def test_an_error_says_nothing_of_its_inside(scripted: TestClient) -> None:
    response = scripted.post("/", json={"prompt": "crash"})
    assert response.json() == {"detail": [{"loc": ["body"], "msg": "Internal Server Error", "type": "internal_server_error"}]}


def test_a_content_refusal_has_the_type_that_callers_know(scripted: TestClient) -> None:
    for prompt in ("a naked child", "flagged"):
        (detail,) = scripted.post("/", json={"prompt": prompt}).json()["detail"]
        assert (detail["loc"], detail["type"]) == (["body", "prompt"], "content_policy_violation")


def _picture(url: str) -> PIL.Image:
    return PIL.open(io.BytesIO(base64.b64decode(url.partition("base64,")[2])))


def _pixel(url: str) -> Any:
    return _picture(url).getpixel((0, 0))
