"""Golden prompts: the candidate must draw what the evaluation drew; what could not be compared is said."""

import base64
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from serving.release.errors import GoldenFailed
from serving.release.golden import GoldenPlan, compared, drawn, golden_plan, widened
from serving.release.platform import Called, Caller
from tests.serving.release.memory_platform import MemoryPlatform

SIDE = 32
SETTINGS: dict[str, Any] = {
    "schema": "lorasmith/app-settings/1",
    "name": "toy",
    "family": "toy",
    "base": {"kind": "folder", "ref": "toy"},
    "adapter": {"sha256": "0" * 64, "scale": 0.8},
    "inference": {"steps": 4, "guidance_scale": 1.0},
    "limits": {
        "min_side": 16,
        "max_side": 64,
        "multiple": 8,
        "max_area": 4096,
        "max_steps": 50,
        "max_images": 4,
        "max_prompt_bytes": 4096,
        "max_work": 10**9,
    },
    "default_size": {"width": SIDE, "height": SIDE},
    "request_timeout": 60,
}


def pixels(seed: int, *, noise: float = 0.0, shift: float = 0.0) -> np.ndarray[Any, Any]:
    """A picture of this seed; `noise` moves every pixel a little, as a watermark does."""
    random = np.random.default_rng(seed)
    picture = random.uniform(60, 190, (SIDE, SIDE, 3)) + shift
    return np.clip(picture + np.random.default_rng(seed + 1).normal(0, noise, picture.shape), 0, 255).astype(np.uint8)


def png(picture: np.ndarray[Any, Any]) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, "PNG")
    return stream.getvalue()


class Painter(MemoryPlatform):
    """Answers each seed with its picture, moved by `noise` and `shift`; `status` and `withheld` by seed."""

    def __init__(self, **moved: float) -> None:
        super().__init__()
        self.moved = moved
        self.asked: list[Mapping[str, Any]] = []
        self.status: dict[int, int] = {}
        self.withheld: set[int] = set()
        self.units = "1"

    def call(
        self,
        app: str,
        arguments: Mapping[str, Any],
        *,
        environment: str | None = None,
        path: str = "",
        key: Caller | None = "caller",
    ) -> Called:
        self.asked.append(arguments)
        seed = int(arguments["seed"])
        status, units = self.status.get(seed, 200), self.units
        data = base64.b64encode(png(pixels(seed, **self.moved))).decode()
        body: dict[str, Any] = {"images": [{"url": f"data:image/png;base64,{data}"}]}
        if seed in self.withheld:
            body, units = {"images": [], "undelivered": [{"index": 0, "reason": "content_policy"}]}, "0"
        if status != 200:
            body, units = {"detail": "no"}, "0"
        return Called(status=status, units=units, body=body, seconds=0.5, request_id="request")


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """Two samples; the base's picture of each is far from the adapter's."""
    samples = []
    (tmp_path / "samples").mkdir()
    for seed in (1001, 1002):
        for name, shift in (("adapter", 0.0), ("base", 40.0)):
            (tmp_path / "samples" / f"{name}-{seed}.png").write_bytes(png(pixels(seed, shift=shift)))
        samples.append(
            {"prompt": f"picture {seed}", "seed": seed, **{name: f"samples/{name}-{seed}.png" for name in ("adapter", "base")}}
        )
    (tmp_path / "evaluation.json").write_text(json.dumps({"samples": samples}))
    (tmp_path / "manifest.json").write_text(json.dumps({"inference": {"steps": 4, "guidance_scale": 1.5}}))
    return tmp_path


def judged(platform: Painter, plan: GoldenPlan) -> dict[str, Any]:
    shots = drawn(platform, plan, app="toy", environment="candidate", caller="caller", progress=lambda line: None)
    return compared(plan, shots)


def test_the_same_request_as_the_evaluation_s_is_made_and_the_file_compared(bundle: Path) -> None:
    platform = Painter(noise=1.0)
    evidence = judged(platform, golden_plan(bundle, SETTINGS, number=2))
    assert platform.asked[0] == {
        "prompt": "picture 1001",
        "seed": 1001,
        "image_size": {"width": SIDE, "height": SIDE},
        "num_inference_steps": 4,
        "guidance_scale": 1.5,
        "lora_scale": 1.0,
        "num_images": 1,
        "output_format": "png",
        "sync_mode": True,
    }
    assert (evidence["asked"], evidence["compared"], evidence["units"], evidence["images"]) == (2, 2, 2, 2)
    assert all(30 < picture["psnr"] < 60 and picture["base_psnr"] < 20 for picture in evidence["pictures"])
    assert evidence["said"] == []


@pytest.mark.parametrize(
    ("moved", "says"),
    [
        ({"noise": 30.0}, "dB are demanded"),
        ({"shift": 40.0}, "does not draw what was evaluated"),  # the base's own picture: no adapter in it
    ],
    ids=["other picture", "no adapter"],
)
def test_another_picture_fails_with_the_figures(bundle: Path, moved: dict[str, float], says: str) -> None:
    with pytest.raises(GoldenFailed, match=says) as caught:
        judged(Painter(**moved), golden_plan(bundle, SETTINGS, number=2))
    assert "\n" not in str(caught.value)
    assert len(caught.value.evidence["golden"]["pictures"]) == 2


def test_a_picture_that_is_nearer_to_the_base_s_fails_whatever_the_tolerance(bundle: Path) -> None:
    with pytest.raises(GoldenFailed, match="nearer to the base's"):
        judged(Painter(shift=40.0), golden_plan(bundle, SETTINGS, number=2, likeness_db=1.0))


def test_an_adapter_that_changes_next_to_nothing_is_not_taken_for_a_missing_one(bundle: Path) -> None:
    for seed in (1001, 1002):
        (bundle / "samples" / f"base-{seed}.png").write_bytes(png(pixels(seed, shift=1.0)))
    evidence = judged(Painter(noise=1.0), golden_plan(bundle, SETTINGS, number=2))
    assert all(picture["base_psnr"] > 40 for picture in evidence["pictures"])


def test_billing_of_golden_pictures_is_looked_at_too(bundle: Path) -> None:
    platform = Painter()
    platform.units = "2"
    with pytest.raises(GoldenFailed, match="4 units were billed for pictures worth 2"):
        judged(platform, golden_plan(bundle, SETTINGS, number=2))


def test_what_is_withheld_is_not_compared_and_told(bundle: Path) -> None:
    platform = Painter()
    platform.withheld = {1001}
    evidence = judged(platform, golden_plan(bundle, SETTINGS, number=2))
    assert (evidence["asked"], evidence["compared"]) == (2, 1)
    assert evidence["said"] == ["seed 1001: withheld (content_policy)"]


@pytest.mark.parametrize("status", [200, 422])
def test_an_app_that_delivers_none_of_its_samples_fails(bundle: Path, status: int) -> None:
    platform = Painter()
    platform.withheld = {1001, 1002}
    platform.status = dict.fromkeys((1001, 1002), status)
    with pytest.raises(GoldenFailed, match="none of 2 pictures was delivered"):
        judged(platform, golden_plan(bundle, SETTINGS, number=2))


def test_fewer_samples_are_fewer_checks_and_the_evidence_says_so(bundle: Path) -> None:
    (bundle / "samples" / "adapter-1001.png").unlink()
    plan = golden_plan(bundle, SETTINGS, number=2)
    assert [golden.arguments["seed"] for golden in plan.requests] == [1002]
    assert plan.said == ("seed 1001: its sample is not in the bundle",)
    (bundle / "evaluation.json").write_text(json.dumps({"samples": []}))
    evidence = judged(Painter(), golden_plan(bundle, SETTINGS, number=2))
    assert (evidence["asked"], evidence["said"]) == (0, ["the evaluation has 0 samples, 2 were wished for"])


def test_a_sample_that_the_app_may_not_draw_is_left_out_and_told(bundle: Path) -> None:
    limits = SETTINGS["limits"] | {"min_side": 48, "max_side": 64}
    small = SETTINGS | {"limits": limits, "default_size": {"width": 64, "height": 64}}
    plan = golden_plan(bundle, small, number=1)
    assert plan.requests == []
    assert plan.said[0] == "seed 1001: the app does not draw 32 x 32 in 4 steps"


def test_acceleration_widens_the_tolerance_by_what_the_package_says(bundle: Path) -> None:
    quality = {"psnr": 25.0, "ssim": 0.9, "pictures": 4}
    faster = SETTINGS | {"acceleration": {"first_block_cache": 0.1, "quality": quality}}
    plan = golden_plan(bundle, faster, number=1, likeness_db=30.0)
    assert plan.likeness_db == widened(30.0, 25.0)
    assert 21.0 < plan.likeness_db < 21.2
    assert widened(30.0, 200.0) == pytest.approx(30.0)
