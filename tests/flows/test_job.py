"""The job file: what is accepted, what is said about the rest."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from flows.errors import JobError
from flows.job import Job, job_schema
from flows.job_file import load_job, parse_job
from flows.settings import app_settings, require_usable
from flows.store import digest
from training.families import FAMILIES

ROOT = Path(__file__).resolve().parents[2]
SMALL: dict[str, Any] = {
    "name": "style",
    "base": {"ref": "owner/base"},
    "dataset": {"path": "/pictures"},
    "serving": {"app": "style"},
    "listing": {"title": "Style", "short_description": "A style."},
}


def changed(path: str, value: Any) -> dict[str, Any]:
    """SMALL with one field changed."""
    raw: dict[str, Any] = json.loads(json.dumps(SMALL))
    *parents, last = path.split(".")
    section = raw
    for parent in parents:
        section = section.setdefault(parent, {})
    section[last] = value
    return raw


@pytest.mark.parametrize("file", sorted(ROOT.glob("examples/*/job.yaml")), ids=lambda file: file.parent.name)
def test_example_jobs_are_valid_and_their_paths_absolute(file: Path) -> None:
    job = load_job(file)
    assert Path(job.dataset.path).is_dir()
    assert job.base.folder is None or job.base.folder.is_absolute()


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        ("training.rank", 999, "training.rank: got 999"),
        ("training.learning_rate", "fast", "training.learning_rate: got 'fast'"),
        ("training.learning_rat", 1, "training.learning_rat: got 1; there is no such field"),
        ("base.ref", "nonsense", "base.ref: got 'nonsense'; must be"),
        ("serving.app", "My App", "serving.app: got 'My App'; must be lower-case"),
        ("listing.title", "x" * 61, "listing.title: got"),
        ("dataset.held_out", 0, "dataset.held_out"),
        ("gate.min_improvement", 1, "gate.min_improvement: got 1"),
        ("serving.safety", "perhaps", "serving.safety: got 'perhaps'; input should be 'off', 'optional' or 'required'"),
        ("serving.checker", "owner/classifier", "serving.checker: got 'owner/classifier'; must be opennsfw or owner/name@commit"),
        ("serving.marking", 1, "serving.marking: got 1; input should be 'on' or 'off'"),
        ("serving.certificate", "mine", "serving.certificate: got 'mine'"),
        ("serving.acceleration", "warp", "serving.acceleration: got 'warp'"),
        ("serving.billing_unit", "second", "serving.billing_unit: got 'second'"),
        ("serving.max_batch", 0, "serving.max_batch: got 0"),
        ("serving.window_ms", -1, "serving.window_ms: got -1"),
        ("serving.max_waiting", 0, "serving.max_waiting: got 0"),
        ("serving.threshold", 1, "serving.threshold: got 1"),
        ("serving.unsafe", [], "serving.unsafe: got []"),
        ("serving.deny", [""], "serving.deny.0: got ''"),
        ("serving.warm_up", [[64, 8]], "serving.warm_up"),
        ("serving.termination_grace", 3601, "serving.termination_grace: got 3601"),
        ("serving.peak_images", 0, "serving.peak_images: got 0"),
    ],
)
def test_a_wrong_field_is_named_with_what_was_got(path: str, value: Any, says: str) -> None:
    with pytest.raises(JobError) as error:
        parse_job(changed(path, value))
    assert says in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("training.steps", "training.steps: got nothing (null); leave the line out for the default"),
        ("training", "training: got nothing (null); leave the line out for the default"),
        ("dataset.held_out", "dataset.held_out: got nothing (null); leave the line out for the default"),
        ("serving.app", "serving.app: got nothing (null); it needs a value"),
        ("base", "base: got nothing (null); it needs a value"),
    ],
)
def test_an_empty_value_is_told_as_such(path: str, says: str) -> None:
    with pytest.raises(JobError, match=re.escape(says)):
        parse_job(changed(path, None))


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        ("dataset.held_out", 0.5, "job: dataset.held_out: got 0.5; wanted is: Folder of pictures"),
        ("base.components", {"vae": 1}, "job: base.components.vae: got 1; input should be a valid string"),
        ("serving.default_size", 64, "job: serving.default_size: got 64; a list is wanted"),
        ("serving.default_size", [64], "job: serving.default_size: got [64], too short; wanted is: Width and height"),
        ("serving.default_size", [64, 1], "job: serving.default_size.1: got 1; input should be greater than or equal to 16"),
    ],
)
def test_a_field_is_called_as_in_the_job_file(path: str, value: Any, says: str) -> None:
    with pytest.raises(JobError, match=re.escape(says)):
        parse_job(changed(path, value))


@pytest.mark.parametrize(("text", "value"), [("off", "off"), ("on", "on"), ("'off'", "off"), ("false", "off")])
def test_yaml_may_take_a_switch_for_a_truth_value(text: str, value: str) -> None:
    serving = parse_job(changed("serving.marking", yaml.safe_load(text))).serving
    assert serving.marking == value
    if value == "off":
        assert parse_job(changed("serving.safety", yaml.safe_load(text))).serving.safety == "off"


def test_what_protects_callers_is_on_where_the_job_is_silent() -> None:
    settings = app_settings(parse_job(SMALL))
    assert (settings.safety.enabled, settings.safety.optional, settings.safety.checker) == (True, False, "opennsfw")
    assert (settings.marking.enabled, settings.marking.certificate, settings.logs.prompts) == (True, "development", False)
    assert settings.acceleration.quality is None


SAID: dict[str, Any] = {
    "safety": "optional",
    "checker": f"owner/classifier@{'a' * 40}",
    "threshold": 0.5,
    "unsafe": ["porn", "gore"],
    "deny": ["a rival's name"],
    "certificate": "secret",
    "max_batch": 2,
    "window_ms": 0,
    "max_waiting": 9,
    "log_prompts": True,
    "billing_unit": "megapixel",
    "warm_up": [[1024, 512]],
    "image_to_image": False,
    "termination_grace": 120,
}


def test_every_field_of_serving_reaches_the_package() -> None:
    raw = SMALL | {"serving": {"app": "style"} | SAID, "publisher": {"name": "Studio"}}
    settings = app_settings(parse_job(raw), FAMILIES["z-image"])
    safety, marking, batching = settings.safety, settings.marking, settings.batching
    assert (safety.enabled, safety.optional, safety.checker, safety.threshold) == (True, True, SAID["checker"], 0.5)
    assert (safety.unsafe, safety.deny) == (("porn", "gore"), ("a rival's name",))
    assert (marking.enabled, marking.certificate, marking.publisher) == (True, "secret", "Studio")
    assert (batching.max_batch, batching.window_ms, batching.max_waiting) == (2, 0, 9)
    assert (settings.logs.prompts, settings.billing.unit, settings.termination_grace) == (True, "megapixel", 120)
    assert [(size.width, size.height) for size in settings.warm_up] == [(1024, 512)]
    assert settings.pipeline
    assert settings.pipeline.image_to_image is None


def test_missing_fields_are_counted() -> None:
    with pytest.raises(JobError, match=r"base: missing; add it \(and 3 more\)"):
        parse_job({"name": "x"})


@pytest.mark.parametrize("text", ["", "- a list", "name: [unclosed", "\x00", "name: !!python/object/apply:os.getcwd []"])
def test_what_is_no_job_file_is_refused_in_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "job.yaml").write_text(text)
    with pytest.raises(JobError) as error:
        load_job(tmp_path / "job.yaml")
    assert "\n" not in str(error.value)


def test_a_folder_is_no_job_file(tmp_path: Path) -> None:
    with pytest.raises(JobError, match=r"can not be read .*; give the path of a job\.yaml"):
        load_job(tmp_path)


def test_relative_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    raw = SMALL | {"dataset": {"path": "./pictures", "held_out": "../other"}, "base": {"ref": "../base"}}
    (tmp_path / "job.yaml").write_text(yaml.safe_dump(raw))
    job = load_job(tmp_path / "job.yaml")
    assert job.dataset.path == str(tmp_path / "pictures")
    assert job.dataset.held_out == str(tmp_path.parent / "other")
    assert job.base.folder == tmp_path.parent / "base"


@pytest.mark.parametrize(
    ("ref", "repo", "revision"),
    [
        ("owner/name", "owner/name", None),
        ("hf://owner/name@main", "owner/name", "main"),
        ("owner/name@refs/pr/1", "owner/name", "refs/pr/1"),
    ],
)
def test_hub_references(ref: str, repo: str, revision: str | None) -> None:
    base = parse_job(changed("base.ref", ref)).base
    assert (base.folder, base.repo, base.pinned) == (None, repo, revision)


def test_a_job_survives_json() -> None:
    job = load_job(ROOT / "examples/emoji/job.yaml")
    assert Job.model_validate_json(job.model_dump_json()) == job


def test_a_job_that_leaves_out_what_it_may_decides_the_same_after_json() -> None:
    """A default of 16 and one of 16.0 are equal and not the same in the hash of a training: it would be made again."""
    job = parse_job(SMALL)
    assert digest(job.model_dump()) == digest(Job.model_validate_json(job.model_dump_json()).model_dump())


def test_schema_accepts_what_the_model_accepts() -> None:
    schema = job_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(json.loads(load_job(ROOT / "examples/emoji/job.yaml").model_dump_json()), schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(changed("training.rank", 999), schema)


def test_the_document_is_that_schema() -> None:
    """After a change: lorasmith job schema > docs/schemas/job.schema.json"""
    assert json.loads((ROOT / "docs/schemas/job.schema.json").read_text()) == json.loads(json.dumps(job_schema()))


def test_the_command_prints_that_schema() -> None:
    result = subprocess.run(
        [sys.executable, "-m", "flows.cli.main", "job", "schema"], capture_output=True, text=True, cwd=ROOT, check=True
    )
    assert json.loads(result.stdout) == json.loads(json.dumps(job_schema()))


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        ("dataset.path", "/nowhere", "dataset.path: got '/nowhere'; there is no such folder"),
        ("listing.sender", " ", "listing.sender: empty"),
        ("dataset.held_out", 3, "gate.min_held_out demands 20"),
        ("serving.min_concurrency", 5, "serving: need 0 <= min_concurrency <= max_concurrency"),
        ("serving.machine_type", "toaster", "serving: machine_type must be"),
        ("serving.default_size", [100, 96], "serving.default_size: got 100 x 96 for requests that name no size"),
        ("training.resolution", 1536, "training.resolution: got 1536 x 1536 for requests that name no size"),
        ("serving.warm_up", [[100, 96]], "serving.warm_up: got 100 x 96 to be drawn at the start"),
        ("serving.unsafe", ["porn"], "serving.unsafe: got ['porn']; opennsfw knows the label nsfw alone"),
        ("serving.max_waiting", 4, "serving.max_waiting: got 4; one caller gets three quarters of it"),
        ("serving.deny", ["..."], "serving: deny: got ('...',); deny holds '...', which has neither letter nor digit"),
    ],
)
def test_what_would_only_be_found_after_training_is_found_before(path: str, value: Any, says: str, tmp_path: Path) -> None:
    usable = json.loads(load_job(ROOT / "examples/emoji/job.yaml").model_dump_json())
    require_usable(parse_job(usable))
    part, field = path.split(".")
    usable[part][field] = value
    with pytest.raises(ValueError, match=re.escape(says)) as error:
        require_usable(parse_job(usable))
    assert error.value.exit_code == 2  # type: ignore[attr-defined]
