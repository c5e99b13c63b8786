"""The real app with a real base and adapter: pictures, strengths, health, and a start that fails."""

import base64
import json
import shutil
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fastapi.testclient import TestClient
from safetensors.torch import load_file

from serving.app.app import VERIFYING, LoraApp
from serving.app.errors import SettingsError
from serving.app.requests.schema import EXAMPLE_PICTURE
from serving.app.safety.checker import safety_statement
from serving.app.settings import PACKAGE_VARIABLE, Installed, installed
from tests.serving.app.packages import RECOMMENDED, ScriptedApp, built, change_settings, only_settings, pictures_of


def test_images_come_as_asked(client: TestClient) -> None:
    body = {"prompt": "a cat", "seed": 5, "num_images": 2, "sync_mode": True, "image_size": {"width": 48, "height": 32}}
    response = client.post("/", json=body)
    assert (response.status_code, response.headers["x-fal-billable-units"]) == (200, "2")
    answer = response.json()
    assert [picture.size for picture in pictures_of(answer)] == [(48, 32)] * 2
    assert [(image["width"], image["height"], image["content_type"]) for image in answer["images"]] == [(48, 32, "image/jpeg")] * 2
    assert (answer["seed"], answer["prompt"], answer["undelivered"]) == (5, "a cat", [])
    assert set(answer["timings"]) == {"queue", "inference", "delivery"}
    assert answer["timings"]["inference"] > 0


@pytest.mark.parametrize(("output_format", "magic"), [("jpeg", b"\xff\xd8\xff"), ("png", b"\x89PNG"), ("webp", b"RIFF")])
def test_the_file_is_of_the_format_asked_for(client: TestClient, output_format: str, magic: bytes) -> None:
    (image,) = _post(client, output_format=output_format)["images"]
    assert _bytes(image).startswith(magic)
    assert image["content_type"] == f"image/{output_format}"


def test_the_same_seed_gives_the_same_picture_alone_and_among_others(client: TestClient) -> None:
    first, second = _pixels(_post(client, seed=5, num_images=2))
    assert np.array_equal(second, _pixels(_post(client, seed=6))[0])
    assert np.array_equal(first, _pixels(_post(client, seed=5))[0])
    assert not np.array_equal(first, second)


@pytest.mark.parametrize("scale", [0.0, 0.3, RECOMMENDED, 1.0, 2.0])
def test_a_strength_is_what_merging_the_adapter_at_it_would_give(client: TestClient, package: Installed, scale: float) -> None:
    (served,) = _pixels(_post(client, lora_scale=scale))
    assert np.abs(served.astype(int) - _merged_by_hand(package, scale)).max() <= 1


def test_another_strength_leaves_no_trace(client: TestClient) -> None:
    before, other, after, recommended = (
        _post(client, **body)["images"][0]["url"] for body in ({}, {"lora_scale": 0}, {}, {"lora_scale": RECOMMENDED})
    )
    assert before != other
    assert before == after == recommended


def test_health_says_what_runs(client: TestClient, package: Installed) -> None:
    body = client.post("/health").json()
    assert body == client.get("/health").json()
    assert (body["status"], body["package"], body["family"]) == ("ok", package.hash, "z-image")
    assert body["adapter_sha256"] == package.settings.adapter.sha256
    assert body["safety"] == safety_statement(package.settings)
    assert "without a machine-readable mark" in body["marking"]
    config = LoraApp.get_health_check_config()
    assert (config.path, config.method) == ("/health", "POST")


def test_marked_images_are_found_again_for_free(package: Installed, tmp_path: Path) -> None:
    folder = only_settings(package, tmp_path, marking={"enabled": True})
    with TestClient(built(ScriptedApp, folder)) as client:
        assert "development" in client.post("/health").json()["marking"]
        body = {"prompt": "ok", "seed": 8, "image_size": {"width": 64, "height": 48}}
        (image,) = client.post("/", json=body).json()["images"]
        found = client.post("/verify", json={"image_url": image["url"]})
        plain = client.post("/verify", json={"image_url": EXAMPLE_PICTURE})
    assert [answer.headers["x-fal-billable-units"] for answer in (found, plain)] == ["0", "0"]
    assert (found.json()["generated"], found.json()["c2pa"]["package"]) == (True, package.hash)
    assert plain.json()["generated"] is False


def test_verify_is_refused_while_too_many_are_at_work_and_pictures_are_not(scripted: TestClient) -> None:
    body = {"image_url": EXAMPLE_PICTURE}
    with ExitStack() as held:
        for number in range(8):
            held.enter_context(VERIFYING.one(f"caller {number}"))
        refused, drawn = scripted.post("/verify", json=body), scripted.post("/", json={"prompt": "ok"})
    assert (refused.status_code, refused.headers["x-fal-billable-units"], refused.headers["retry-after"]) == (429, "0", "1")
    assert drawn.status_code == 200
    assert scripted.post("/verify", json=body).status_code == 200


def test_what_the_package_does_not_offer_is_not_there(package: Installed, tmp_path: Path) -> None:
    paths = []
    for name, pipeline in (("without", {}), ("with", {"image_to_image": "ZImageImg2ImgPipeline"})):
        app = built(ScriptedApp, only_settings(package, tmp_path / name, pipeline=pipeline))
        paths.append({route.path for route in app.routes})
        assert "/cancel" not in app.openapi()["paths"]
    assert paths[1] - paths[0] == {"/image-to-image", "/image-to-image/cancel"}
    assert {"/", "/cancel", "/health", "/verify"} <= paths[0]


def test_upload_without_a_key_is_a_failure_that_costs_nothing(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("FAL_CONFIG_PATH", str(tmp_path / "none.toml"))
    for name in ("FAL_KEY", "FAL_KEY_ID", "FAL_KEY_SECRET"):
        monkeypatch.delenv(name, raising=False)
    response = client.post("/", json={"prompt": "a cat"})
    assert (response.status_code, response.headers["x-fal-billable-units"]) == (500, "0")
    assert "upload_failed" in response.json()["detail"][0]["msg"]


@pytest.mark.parametrize(
    ("break_it", "says"),
    [
        (lambda folder: (folder / "adapter.safetensors").write_bytes(b"other"), "settings.json says"),
        (lambda folder: (folder / "adapter.safetensors").unlink(), "is missing"),
        (lambda folder: shutil.rmtree(folder / "base" / "transformer"), "package/base"),
        (lambda folder: change_settings(folder, folder, marking={"certificate": "secret"}), "LORASMITH_C2PA"),
    ],
)
def test_a_failing_setup_explains_itself_once_and_stops(
    package: Installed,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    break_it: Any,
    says: str,
) -> None:
    folder = Path(shutil.copytree(package.folder, tmp_path / "package"))
    break_it(folder)
    app = built(LoraApp, folder)
    with pytest.raises((SettingsError, OSError, ValueError)), TestClient(app):
        raise AssertionError("setup() did not fail")
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("setup failed: ")]
    assert len(lines) == 1
    assert says in lines[0]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"limits": {}}, "limits.min_side"),
        ({"default_size": {"width": 640, "height": 32}}, "default_size 640x32"),
        ({"inference": {"steps": 99, "guidance_scale": 1}}, "limits.max_steps 8"),
        ({"base": {"kind": "hub", "ref": "owner/name"}}, "pinned revision"),
        ({"billing": {"unit": "moon"}}, "billing.unit"),
        ({"typo": 1}, "typo"),
    ],
)
def test_settings_that_do_not_fit_are_named(
    package: Installed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any], says: str
) -> None:
    monkeypatch.setenv(PACKAGE_VARIABLE, str(only_settings(package, tmp_path, **change)))
    with pytest.raises(SettingsError, match=says.replace(".", r"\.")):
        installed()


def test_without_a_package_it_says_how_to_get_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(PACKAGE_VARIABLE, str(tmp_path))
    with pytest.raises(SettingsError, match=PACKAGE_VARIABLE):
        installed()


def test_requests_are_logged_without_their_prompt(scripted: TestClient, capsys: pytest.CaptureFixture[str]) -> None:
    scripted.post("/", json={"prompt": "ok flagged", "num_images": 2}, headers={"x-fal-request-id": "r-1"})
    (line,) = [json.loads(line) for line in capsys.readouterr().out.splitlines() if '"event": "request"' in line]
    assert (line["request_id"], line["status"], line["units"], line["images"]) == ("r-1", 200, 1, 1)
    assert "flagged" not in json.dumps(line)


def _merged_by_hand(package: Installed, scale: float) -> np.ndarray[Any, Any]:
    """Pixels of a plain pipeline whose weights are base + scale * up @ down, for the request that `_post` makes."""
    from diffusers import ZImagePipeline

    pipe = ZImagePipeline.from_pretrained(package.base, dtype=torch.float32)
    pipe.set_progress_bar_config(disable=True)
    adapter = load_file(package.adapter)
    for key, down in adapter.items():
        if key.endswith("lora_A.weight"):
            layer = pipe.transformer.get_submodule(key.removeprefix("transformer.").removesuffix(".lora_A.weight"))
            layer.weight.data += scale * adapter[key.replace("lora_A", "lora_B")] @ down
    made = pipe("a cat", width=32, height=32, num_inference_steps=2, guidance_scale=2.0, generator=torch.Generator().manual_seed(1))
    return np.asarray(made.images[0]).astype(int)


def _post(client: TestClient, **changes: Any) -> dict[str, Any]:
    body = {"prompt": "a cat", "seed": 1, "output_format": "png", "sync_mode": True, **changes}
    response = client.post("/", json=body)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def _bytes(image: dict[str, Any]) -> bytes:
    return base64.b64decode(image["url"].partition("base64,")[2])


def _pixels(answer: dict[str, Any]) -> list[np.ndarray[Any, Any]]:
    return [np.asarray(picture) for picture in pictures_of(answer)]
