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
from flows.settings import require_usable

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
        ("serving.default_size", [64, 1], "job: serving.default_size.1: got 1; input should be greater than or equal to 16"),
    ],
)
def test_a_field_is_called_as_in_the_job_file(path: str, value: Any, says: str) -> None:
    with pytest.raises(JobError, match=re.escape(says)):
        parse_job(changed(path, value))


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


def test_schema_accepts_what_the_model_accepts() -> None:
    schema = job_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(json.loads(load_job(ROOT / "examples/emoji/job.yaml").model_dump_json()), schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(changed("training.rank", 999), schema)


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
        ("serving.min_concurrency", 5, "min_concurrency"),
        ("serving.machine_type", "toaster", "machine_type"),
        ("serving.default_size", [100, 96], "serving.default_size: got 100 x 96 for requests that name no size"),
        ("training.resolution", 1536, "training.resolution: got 1536 x 1536 for requests that name no size"),
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
