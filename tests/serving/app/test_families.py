"""What a family needs of the app is in its settings, and what the app could not draw is refused before anything is trained."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from flows.calls import called
from flows.job import Job
from flows.job_file import load_job, parse_job
from flows.settings import app_settings, family_before, require_usable
from serving.release.package import build_package
from tests.serving.app.packages import VERDICT, write_base, write_bundle, write_notices
from training.families import FAMILIES, UnknownFamily

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize("family", list(FAMILIES))
def test_settings_carry_what_the_family_differs_in(family: str) -> None:
    row = FAMILIES[family]
    settings = app_settings(_job(), row)
    assert settings.limits.multiple == row.multiple
    assert settings.pipeline is not None
    assert settings.pipeline.guidance_argument == row.guidance_argument
    assert settings.pipeline.options.items() >= row.options.items()
    assert bool(settings.pipeline.sized_by) == (row.sized is not None)


def test_a_package_carries_it(tmp_path: Path) -> None:
    package = build_package(
        bundle=write_bundle(tmp_path / "bundle"),
        base=write_base(tmp_path / "base"),
        base_ref="tiny",
        base_revision=None,
        verdict=VERDICT,
        notices=write_notices(tmp_path / "notices"),
        settings=app_settings(_job(), FAMILIES["qwen-image-2.1"]),
        out=tmp_path / "out",
    )
    written = json.loads((package.folder / "settings.json").read_text())
    assert written["pipeline"] == called(FAMILIES["qwen-image-2.1"]).model_dump(mode="json")
    assert written["pipeline"]["options"] == {"negative_prompt": " "}
    assert not written["pipeline"]["batches"]
    assert written["limits"]["multiple"] == 32


def test_sides_that_the_family_can_not_draw_are_refused_before_training(tmp_path: Path) -> None:
    (tmp_path / "model_index.json").write_text(json.dumps({"_class_name": "StableDiffusionPipeline"}))
    require_usable(_job(base=str(tmp_path), default_size=[64, 64]))
    with pytest.raises(ValueError, match=re.escape("serving.default_size: got 96 x 64 for requests")) as error:
        require_usable(_job(base=str(tmp_path), default_size=[96, 64]))
    assert "multiples of 64" in str(error.value)


def test_a_hub_base_is_asked_where_the_job_names_a_size() -> None:
    assert family_before(_job(base="stabilityai/stable-diffusion-xl-base-1.0")) is None
    with pytest.raises(ValueError, match="multiples of 64"):
        require_usable(_job(base="stabilityai/stable-diffusion-xl-base-1.0", default_size=[96, 64]))


def test_a_pipeline_that_is_no_family_is_refused_before_training(tmp_path: Path) -> None:
    (tmp_path / "model_index.json").write_text(json.dumps({"_class_name": "AnotherPipeline"}))
    with pytest.raises(UnknownFamily, match=r"AnotherPipeline.* cannot be trained here") as error:
        require_usable(_job(base=str(tmp_path)))
    assert "\n" not in str(error.value)


def _job(*, base: str | None = None, default_size: list[int] | None = None) -> Job:
    """The example's job on another base, for requests of another size."""
    said: dict[str, Any] = json.loads(load_job(ROOT / "examples" / "emoji" / "job.yaml").model_dump_json())
    said["base"] |= {"ref": base or said["base"]["ref"]}
    said["serving"] |= {"default_size": default_size}
    return parse_job(said)
