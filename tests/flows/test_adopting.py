"""publish --adapter: a job from a file with the adapter put in, or a first job file that says what is missing."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from flows.adapter_steps import require_pictures
from flows.cli.adopting import job_of
from flows.errors import GateRejected, JobError
from flows.job_file import load_job
from flows.licensing.rights import adapter_of
from training.errors import AdapterError

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    """A safetensors file of one tensor, with what a kohya file says of itself."""
    header = {
        "__metadata__": {"modelspec.title": "Soft clay", "modelspec.trigger_phrase": "claystyle", "ss_resolution": "(512, 512)"},
        "x": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]},
    }
    raw = json.dumps(header).encode()
    path = tmp_path / "Soft Clay_v2.safetensors"
    path.write_bytes(len(raw).to_bytes(8, "little") + raw + bytes(4))
    return path


def job_file(folder: Path, **changes: Any) -> Path:
    raw = yaml.safe_load((ROOT / "examples/emoji/job.yaml").read_text())
    raw["base"] = {"ref": str(ROOT / "examples/base")}
    raw["dataset"] = {"path": str(ROOT / "examples/emoji/held_out")}
    file = folder / "job.yaml"
    file.write_text(yaml.safe_dump(raw | changes))
    return file


@pytest.mark.parametrize("written", ["./Soft Clay_v2.safetensors", {"path": "./Soft Clay_v2.safetensors", "license": "own"}])
def test_a_job_file_names_its_adapter_relative_to_itself(written: object, adapter: Path, tmp_path: Path) -> None:
    job = load_job(job_file(tmp_path, adapter=written))
    assert job.adapter is not None
    assert Path(job.adapter.path) == adapter
    assert job.adapter.license == ("own" if isinstance(written, dict) else None)
    claim = adapter_of(job)
    assert claim is not None
    assert claim.metadata["modelspec.title"] == "Soft clay"


def test_options_take_the_place_of_what_the_job_says(adapter: Path, tmp_path: Path) -> None:
    file = job_file(tmp_path, base={"ref": "owner/name"}, adapter={"path": "./other.safetensors", "license": "own"})
    job = job_of(file, adapter, str(ROOT / "examples" / "base"))
    assert job.adapter is not None
    assert (job.adapter.path, job.adapter.license) == (str(adapter), "own")
    assert job.base.folder == ROOT / "examples" / "base"
    assert job_of(file, None, None).base.repo == "owner/name"


def test_without_a_job_file_a_first_one_is_written_and_used_the_next_time(
    adapter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        JobError, match=r"Soft Clay_v2\.job\.yaml written: fill in adapter\.license, listing and soft-clay-v2-pictures"
    ):
        job_of(None, adapter, "owner/name")
    job = job_of(None, adapter, "owner/name")
    assert (job.name, job.dataset.trigger, job.training.resolution, job.listing.title) == (
        "soft-clay-v2",
        "claystyle",
        512,
        "Soft clay",
    )
    assert job.adapter is not None
    assert Path(job.adapter.path) == adapter
    assert Path(job.dataset.path, "dataset.yaml").is_file()
    assert sorted(os.listdir()) == ["Soft Clay_v2.job.yaml", "Soft Clay_v2.safetensors", "soft-clay-v2-pictures"]


@pytest.mark.parametrize(("adapter_given", "base"), [(False, None), (False, "owner/name"), (True, None)])
def test_without_a_job_file_both_options_are_needed(adapter_given: bool, base: str | None, adapter: Path) -> None:
    with pytest.raises(JobError, match=r"give a job\.yaml, or --adapter FILE and --base"):
        job_of(None, adapter if adapter_given else None, base)


@pytest.mark.parametrize(("name", "said"), [("gone.safetensors", "cannot be read"), ("style.ckpt", "is a pickle")])
def test_a_file_that_is_none_is_found_out_with_the_licences_before_anything_runs(name: str, said: str, tmp_path: Path) -> None:
    job = job_of(job_file(tmp_path), tmp_path / name, None)
    with pytest.raises(AdapterError, match=said) as caught:
        adapter_of(job)
    assert caught.value.exit_code == 2


def test_an_adapter_without_a_picture_to_measure_it_on_is_refused_by_the_gate(adapter: Path, tmp_path: Path) -> None:
    empty = tmp_path / "nothing"
    empty.mkdir()
    (empty / "dataset.yaml").write_text("license: own\n")
    with pytest.raises(GateRejected, match="nothing was measured") as caught:
        require_pictures(job_of(job_file(tmp_path, dataset={"path": str(empty)}), adapter, None))
    assert caught.value.exit_code == 4
    require_pictures(job_of(job_file(tmp_path), adapter, None))
    require_pictures(job_of(job_file(tmp_path, dataset={"path": str(empty)}), None, None))
