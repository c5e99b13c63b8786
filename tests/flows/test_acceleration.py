"""Acceleration of a job: nothing is measured where none is asked for, and what can not be had is refused before training."""

import json
from pathlib import Path
from typing import Any

import pytest

from flows.acceleration import accelerated, require_possible
from flows.job import Job
from flows.job_file import load_job, parse_job
from flows.settings import app_settings
from serving.release.errors import PackageError

ROOT = Path(__file__).resolve().parents[2]


def job(base: str | None = None, **serving: Any) -> Job:
    raw = json.loads(load_job(ROOT / "examples/emoji/job.yaml").model_dump_json())
    raw["base"] = {"ref": base or raw["base"]["ref"]}
    raw["serving"] |= serving
    return parse_job(raw)


def test_exact_pictures_need_no_measurement(tmp_path: Path) -> None:
    exact = job()
    assert accelerated(exact, tmp_path, app_settings(exact), base="any", revision=None) is None
    assert app_settings(exact).acceleration.first_block_cache is None


@pytest.mark.parametrize("level", ["regular", "high"])
def test_the_demos_base_can_be_accelerated(level: str) -> None:
    require_possible(job(acceleration=level))


def test_a_base_that_can_not_be_is_refused_before_training(tmp_path: Path) -> None:
    index = {"_class_name": "ZImagePipeline", "transformer": ["diffusers", "NoSuchTransformer"]}
    (tmp_path / "model_index.json").write_text(json.dumps(index))
    require_possible(job(str(tmp_path)))
    with pytest.raises(PackageError, match="acceleration 'regular' does not fit this base"):
        require_possible(job(str(tmp_path), acceleration="regular"))
