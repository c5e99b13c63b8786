"""What counts as a picture, who calls, and what is called."""

import base64
from pathlib import Path
from typing import Any

import pytest

from serving.app.billing import BillingUnit
from serving.release.child import mask
from serving.release.errors import SmokeFailed
from serving.release.platform import FalPlatform
from serving.release.refusals import secret_values
from serving.release.smoke import SmokePlan, picture_bytes, smoke_test
from tests.serving.release.conftest import MakePackage
from tests.serving.release.memory_platform import MemoryPlatform, data_uri, png

FOX = {"prompt": "a red fox", "seed": 1}


def run(platform: MemoryPlatform, plan: SmokePlan, lines: list[str] | None = None) -> dict[str, Any]:
    package = platform.packages[platform.aliases["toy", "main"]][1]
    progress = (lines if lines is not None else []).append
    return smoke_test(platform, app="toy", environment=None, package=package, plan=plan, progress=progress)


@pytest.fixture
def platform(make_package: MakePackage) -> MemoryPlatform:
    platform = MemoryPlatform()
    platform.deploy(make_package("a"), app="toy", environment=None)
    return platform


def test_units_of_all_golden_requests_are_added_up(platform: MemoryPlatform) -> None:
    lines: list[str] = []
    plan = SmokePlan(arguments=[FOX, {**FOX, "num_images": 3}], images=2)
    evidence = run(platform, plan, lines)
    assert [request["images"] for request in evidence["requests"]] == [2, 3]
    assert (evidence["images"], evidence["units"], evidence["seconds"]) == (5, 5, 0.5)
    assert evidence["invalid"] == {"status": 422, "units": "0"}
    assert lines[-1].endswith("golden request 2 of 2")


@pytest.mark.parametrize(("unit", "units"), [("megapixel", "2"), ("request", "1")])
def test_units_are_compared_by_the_unit_of_the_package(platform: MemoryPlatform, unit: BillingUnit, units: str) -> None:
    plan = SmokePlan(arguments=[FOX], unit=unit)
    platform.broken["a", "main"] = {"units": units}  # two pictures of 8 x 8
    evidence = run(platform, plan)
    assert (evidence["images"], evidence["unit"], evidence["units"]) == (2, unit, int(units))
    platform.broken["a", "main"] = {"units": "3"}
    with pytest.raises(SmokeFailed, match=f"delivered 2 images and billed '3' units, {units} by {unit}"):
        run(platform, plan)


def test_without_a_second_account_the_owner_calls_and_the_evidence_says_so(platform: MemoryPlatform) -> None:
    platform.second_caller = False
    assert run(platform, SmokePlan(arguments=[FOX]))["caller"] == "owner"


def test_a_stored_picture_is_fetched_and_counted(platform: MemoryPlatform) -> None:
    platform.broken["a", "main"] = {"url": "https://files.example.org/1.png"}
    assert run(platform, SmokePlan(arguments=[FOX]))["images"] == 2


def test_a_plan_without_a_request_is_refused(platform: MemoryPlatform) -> None:
    with pytest.raises(SmokeFailed, match="has no golden request"):
        run(platform, SmokePlan(arguments=[]))


def test_picture_bytes_reads_data_uris_and_links(platform: MemoryPlatform) -> None:
    assert picture_bytes(platform, {"url": data_uri()}) == png()
    assert picture_bytes(platform, {"url": "https://files.example.org/1.png"}) == png()


@pytest.mark.parametrize(
    "url", ["", "http://127.0.0.1/a.png", "file:///etc/passwd", "data:image/png,abc", "data:image/png;base64,a*b="]
)
def test_picture_bytes_refuses_all_else(platform: MemoryPlatform, url: str) -> None:
    with pytest.raises(ValueError, match="its "):
        picture_bytes(platform, {"url": url})


def test_half_a_picture_is_no_picture(platform: MemoryPlatform) -> None:
    half = base64.b64encode(png()[:50]).decode()
    platform.broken["a", "main"] = {"url": f"data:image/png;base64,{half}"}
    with pytest.raises(SmokeFailed, match=r"image 1 of golden request request-\d+ is no picture"):
        run(platform, SmokePlan(arguments=[FOX]))


def test_keys_and_their_secret_halves_are_masked() -> None:
    masks = secret_values({"FAL_KEY": "1234-5678:secret-half", "PATH": "/usr/bin", "HF_TOKEN": "hf_12345678"}, "ca:another-secret")
    text = mask("key 1234-5678:secret-half, half secret-half, token hf_12345678, caller another-secret, path /usr/bin", masks)
    assert text == "key ********, half ********, token ********, caller ********, path /usr/bin"


def test_a_log_is_readable_by_its_owner_only(tmp_path: Path) -> None:
    platform = FalPlatform(name="sandbox", env={"FAL_KEY": "a:b"}, caller_key=None, logs=tmp_path / "logs")
    worker = platform._start(tmp_path)
    worker.close()
    assert (tmp_path / "logs" / "platform-sandbox.log").stat().st_mode & 0o777 == 0o600
