"""Marks through the app: what a caller gets carries them, anybody can ask for them, and no picture leaves without."""

import base64
import json
import shutil
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient

from serving.app.marking import Marker, marker
from serving.app.marking.manifest import GENERATED
from serving.app.pictures import OutputFormat, encode
from serving.app.settings import PACKAGE_VARIABLE, Installed, installed
from tests.serving.app.certificates import PUBLISHER
from tests.serving.app.packages import ScriptedApp, built, pictures_of
from tests.serving.app.photographs import jpeg, photograph, resized

SIDE = 512


@pytest.fixture(scope="module")
def marking(package: Installed, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """The package with marks on, and pictures large enough for all of them."""
    folder = tmp_path_factory.mktemp("marking") / "package"
    shutil.copytree(package.folder, folder)
    settings = json.loads((folder / "settings.json").read_text())
    settings["marking"] = {"enabled": True, "certificate": "development", "publisher": PUBLISHER}
    settings["limits"] |= {"max_side": SIDE, "max_area": SIDE * SIDE, "max_work": SIDE * SIDE * 8}
    (folder / "settings.json").write_text(json.dumps(settings))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(PACKAGE_VARIABLE, str(folder))
        return installed()


@pytest.fixture(scope="module")
def served(marking: Installed) -> Iterator[TestClient]:
    with TestClient(built(ScriptedApp, marking.folder)) as client:
        yield client


def drawn(client: TestClient, **fields: Any) -> Any:
    size = {"width": SIDE, "height": SIDE}
    body = {"prompt": "fine", "seed": 90, "image_size": size, "num_inference_steps": 2, "sync_mode": True, **fields}
    return client.post("/", json=body)


def verified(client: TestClient, url: str) -> Any:
    response = client.post("/verify", json={"image_url": url})
    assert (response.status_code, response.headers["x-fal-billable-units"]) == (200, "0"), response.text
    return response.json()


@pytest.mark.parametrize("output_format", ["jpeg", "png", "webp"])
def test_what_is_delivered_is_found_by_the_detector(served: TestClient, marking: Installed, output_format: str) -> None:
    (image,) = drawn(served, output_format=output_format).json()["images"]
    found = verified(served, image["url"])
    assert found["generated"] is True
    assert (found["c2pa"]["valid"], found["c2pa"]["certificate"], found["c2pa"]["package"]) == (True, "development", marking.hash)
    assert (found["watermark"]["present"], found["watermark"]["package"]) == (True, marking.hash[:8])
    assert found["iptc"]["source_type"] == GENERATED


def test_the_detector_finds_what_others_left_of_it(served: TestClient, marking: Installed) -> None:
    (picture,) = pictures_of(drawn(served).json())
    found = verified(served, as_url(encode(jpeg(80)(resized(picture, 0.5)), "jpeg")))
    assert (found["c2pa"]["present"], found["watermark"]["package"], found["generated"]) == (False, marking.hash[:8], True)


def test_the_detector_finds_nothing_in_a_photograph(served: TestClient) -> None:
    found = verified(served, as_url(encode(photograph("coffee.png"), "webp")))
    assert (found["generated"], found["c2pa"]["trusted"], found["c2pa"]["problems"]) == (False, None, [])


def test_health_says_who_signs(served: TestClient, client: TestClient) -> None:
    assert "development certificate" in served.post("/health").json()["marking"]
    assert "without a machine-readable mark" in client.post("/health").json()["marking"]


def test_a_picture_that_can_not_be_marked_is_withheld_and_not_billed(served: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    marked = marker.marked

    def fails_at_91(picture: Any, payload: bytes) -> Any:
        if picture.getpixel((0, 0))[0] == 91:
            raise RuntimeError("no")
        return marked(picture, payload)

    monkeypatch.setattr(marker, "marked", fails_at_91)
    response = drawn(served, num_images=2)
    assert (response.status_code, response.headers["x-fal-billable-units"]) == (200, "1")
    assert response.json()["undelivered"] == [{"index": 1, "reason": "marking_failed"}]
    response = drawn(served, seed=91)
    assert (response.status_code, response.headers["x-fal-billable-units"]) == (500, "0")


def test_threads_do_not_disturb_each_other(served: TestClient, marking: Installed) -> None:
    images = [
        image for fields in ({"num_images": 4}, {"num_images": 4, "seed": 5}) for image in drawn(served, **fields).json()["images"]
    ]
    assert {verified(served, image["url"])["watermark"]["package"] for image in images} == {marking.hash[:8]}


def test_pixels_are_the_same_after_a_restart(marking: Installed) -> None:
    files = [Marker(marking, {}).file(photograph("chelsea.png"), "png") for _ in range(2)]
    first, second = (np.asarray(picture) for picture in pictures_of({"images": [{"url": as_url(data)} for data in files]}))
    assert np.array_equal(first, second)


def as_url(data: bytes, output_format: OutputFormat = "jpeg") -> str:
    return f"data:image/{output_format};base64,{base64.b64encode(data).decode()}"
