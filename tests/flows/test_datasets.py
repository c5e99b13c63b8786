"""The Dataset section of a job: what it may say, what it becomes, what decides a prepared dataset, and its page docs/data.md."""

import json
import re
import subprocess
import sys
import zipfile
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import yaml

from flows.datasets import inputs_of, options_of, source_of, stated, waste_of
from flows.errors import JobError
from flows.job import Dataset, Job
from flows.job_file import load_job, parse_job
from flows.licensing.rights import is_allowed, verdict_of
from flows.settings import require_usable
from tests.licenses.conftest import _hub as _hub
from tests.licenses.conftest import hub  # noqa: F401  (fixture)
from tests.licenses.loopback_hub import COMMIT, LoopbackHub
from training.config import DatasetOptions
from training.data.policy import RULES
from training.data.prepare import prepare

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "data.md").read_text()
TAKEN_ELSEWHERE = {"resolution", "base", "max_pixels", "minimum", "multiple"}  # of the options: from other sections, or fixed


def job_with(**dataset: Any) -> Job:
    raw = json.loads(load_job(ROOT / "examples/emoji/job.yaml").model_dump_json())
    raw["dataset"] |= dataset
    return parse_job(raw)


def test_every_option_comes_from_the_job_and_has_the_same_default(tmp_path: Path) -> None:
    plain = Dataset(path=str(tmp_path))
    for option in fields(DatasetOptions):
        if option.name not in TAKEN_ELSEWHERE | {"held_out"}:
            defaults = DatasetOptions(resolution=64)
            assert getattr(plain, option.name) == getattr(defaults, option.name), option.name


def test_what_the_job_says_reaches_the_options() -> None:
    said: dict[str, Any] = {
        "trigger": "sks",
        "template": "{caption} by {trigger}",
        "generic": "somebody",
        "policy": {"blurred": "error"},
        "masks": "alpha",
        "mask_background": 0.5,
        "symmetric": True,
        "blur": 3.0,
        "near_duplicate": 9,
        "min_side": 99,
        "on_error": "drop",
    }
    options = options_of(job_with(**said, held_out=7, detectors={"faces": "/models/faces"}), None)
    assert {name: getattr(options, name) for name in said} == said
    assert (options.held_out, options.resolution) == (7, 64)
    assert options.detectors == {"faces": Path("/models/faces")}
    assert options.base == (ROOT / "examples/base")


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("policy", {"blury": "error"}, "'blury' is no finding"),
        ("policy", {"too_few": "ignore"}, "too_few can be error, not 'ignore'"),
        ("path", "owner/name", "must be an absolute folder or zip, or hf://owner/name@revision"),
        ("path", "hf://owner", "must be an absolute folder or zip, or hf://owner/name@revision"),
        ("mask_background", 2, "dataset.mask_background: got 2"),
        ("detectors", {"hands": "/models"}, "dataset.detectors"),
    ],
)
def test_what_cannot_be_is_refused_by_name(field: str, value: Any, says: str) -> None:
    with pytest.raises(JobError, match=re.escape(says)) as caught:
        job_with(**{field: value})
    assert "\n" not in str(caught.value)


def test_a_hub_dataset_stays_a_reference_and_is_read_at_the_commit_that_was_judged(tmp_path: Path) -> None:
    raw = yaml.safe_load((ROOT / "examples/emoji/job.yaml").read_text())
    raw["dataset"] = {"path": "hf://owner/pictures@main", "held_out": 20}
    (tmp_path / "job.yaml").write_text(yaml.safe_dump(raw))
    job = load_job(tmp_path / "job.yaml")
    assert (job.dataset.repo, job.dataset.pinned) == ("owner/pictures", "main")
    assert source_of(job, COMMIT) == f"hf://owner/pictures@{COMMIT}"
    assert source_of(job, None) == "hf://owner/pictures@main"
    require_usable(job)


def test_the_licence_check_names_the_commit_of_a_hub_dataset(hub: LoopbackHub) -> None:  # noqa: F811
    hub.add("owner/pictures", {"README.md": "---\nlicense: cc0-1.0\n---\n"}, kind="dataset", card_data={"license": "cc0-1.0"})
    verdict = verdict_of(job_with(path="hf://owner/pictures@main"))
    assert [node["revision"] for node in verdict["nodes"] if node["role"] == "dataset"] == [COMMIT]


def test_the_statement_inside_a_zip_is_what_the_licence_check_reads(tmp_path: Path) -> None:
    def packed(name: str, statement: str) -> str:
        with zipfile.ZipFile(tmp_path / name, "w") as file:
            file.writestr("in/dataset.yaml", statement)
            file.writestr("in/a.png", b"x")
        return str(tmp_path / name)

    allowed = job_with(path=packed("mine.zip", "license: own\npersons: none\n"))
    assert is_allowed(verdict_of(allowed))
    assert [node["id"] for node in verdict_of(allowed)["nodes"] if node["role"] == "dataset"] == ["mine"]
    assert not is_allowed(verdict_of(job_with(path=packed("theirs.zip", "license: cc-by-nc-4.0\n"))))
    require_usable(allowed)
    with stated(allowed.dataset.path) as folder:
        assert [path.name for path in Path(folder).iterdir()] == ["dataset.yaml"]


def test_a_prepared_dataset_is_found_again_by_content_and_not_by_place(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name / "tokenizer").mkdir(parents=True)
        (tmp_path / name / "tokenizer" / "vocab.json").write_text("{}")

    def key(name: str, **changes: Any) -> dict[str, Any]:
        options = DatasetOptions(**{"resolution": 64, "base": tmp_path / name, "detectors": {"nsfw": tmp_path / name}, **changes})
        return inputs_of(tmp_path / name, options, ROOT / "training" / "data")

    assert key("one") == key("two")
    assert json.dumps(key("one"))
    assert key("one") != key("one", policy={"blurred": "error"})
    (tmp_path / "two" / "tokenizer" / "vocab.json").write_text("[]")
    assert key("one")["tokenizers"] != key("two")["tokenizers"]


def test_waste_is_told_in_one_line(tmp_path: Path) -> None:
    options = DatasetOptions(resolution=64, held_out=10)
    prepare(ROOT / "examples/emoji/pictures", tmp_path, options)
    said = waste_of(tmp_path, 16)
    assert said.startswith("70 to train on in 1 bucket: 0.0% of pixels cropped away, 0.0% padded, 10 of 80 places in batches of 16")


def test_the_page_has_every_finding_with_its_levels() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| ([\w, ]+) \| (.+) \|$", PAGE, flags=re.MULTILINE)
    assert rows == [(code, rule.default, ", ".join(rule.allowed), rule.meaning) for code, rule in RULES.items()]


def test_the_job_on_the_page_is_accepted(tmp_path: Path) -> None:
    (block,) = re.findall(r"```yaml\n(.*?)```", PAGE, flags=re.DOTALL)
    raw = yaml.safe_load((ROOT / "examples/emoji/job.yaml").read_text()) | yaml.safe_load(block)
    (tmp_path / "job.yaml").write_text(yaml.safe_dump(raw))
    dataset = load_job(tmp_path / "job.yaml").dataset
    assert dataset.detectors["nsfw"] == str(tmp_path / "models" / "nsfw")
    assert dataset.policy == {"blurred": "error", "duplicate_caption": "ignore", "unmeasured": "error"}


def test_the_python_on_the_page_prints_what_it_says(tmp_path: Path) -> None:
    ((code, printed),) = re.findall(r"```python\n(.*?)```\n\n    (.*?)\n\n", PAGE, flags=re.DOTALL)
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(ROOT)!r})\n{code}"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stderr, done.stdout.strip()) == ("", printed)


def test_the_commands_on_the_page_print_what_it_says() -> None:
    block = re.findall(r"(?:^    .*\n)+", PAGE.partition("## Findings")[0], flags=re.MULTILINE)[0]
    for command, printed in re.findall(r"^    \$ lorasmith (.*)\n((?:    [^$].*\n)+)", block, flags=re.MULTILINE):
        import shlex

        done = subprocess.run(
            [sys.executable, "-m", "flows.cli.main", *shlex.split(command)], cwd=ROOT, capture_output=True, text=True, check=True
        )
        lines = [line.strip() for line in printed.splitlines() if line.strip() != "..."]
        assert done.stdout.splitlines()[: len(lines)] == lines


@pytest.mark.parametrize(
    ("captions", "arguments", "code", "says"),
    [
        ({"a": "a dog"}, [], 0, "1 captions: 0 errors, 0 warnings"),
        ({"a": "a dog", "b": "a dog"}, [], 0, "b.png: warning: duplicate_caption: the same caption as a.png"),
        ({"a": "a dog", "b": None}, [], 2, "b.png: error: missing_caption: no caption: write b.txt beside it"),
        ({"a": None, "b": None}, ["--trigger", "sks"], 0, "2 captions: 0 errors, 0 warnings"),
        ({"a": "a dog"}, ["--trigger", "sks", "--template", "{caption}"], 2, "template: got '{caption}'"),
    ],
)
def test_captions_check_says_what_is_wrong_and_ends_with_2_where_it_must(
    captions: dict[str, str | None], arguments: list[str], code: int, says: str, tmp_path: Path
) -> None:
    for name, caption in captions.items():
        (tmp_path / f"{name}.png").write_bytes(b"never decoded")
        if caption is not None:
            (tmp_path / f"{name}.txt").write_text(caption)
    command = [sys.executable, "-m", "flows.cli.main", "captions", "--check", str(tmp_path), *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    assert says in done.stdout + done.stderr
