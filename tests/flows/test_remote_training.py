"""Training on a rented machine: what is refused before anything is sent, and the same adapter from there as from here."""

import ast
import json
import shutil
import sys
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.numpy import load_file

from flows import garbage, steps
from flows.cli.publish import ask_before_renting
from flows.errors import JobError, StepFailed
from flows.job import Job, Training
from flows.job_file import parse_job
from flows.machines import remote_training
from flows.machines.remote_limits import LONGEST, LONGEST_START, UNKNOWN, limit_for
from flows.machines.remote_training import (
    ADAPTER,
    LARGEST_BASE,
    OF_OPTIMIZERS,
    OF_PRECISIONS,
    PACKAGES,
    Rented,
    allowed,
    base_files,
    is_given_up,
    leaving,
    packages_for,
    pictures_of,
    require_machine,
    require_ours,
    secrets_of,
)
from flows.store import Artefact, digest
from serving.release.errors import TargetRefused
from serving.sandbox import control
from training import run
from training.config import DatasetOptions
from training.data.prepare import prepare

ROOT = Path(__file__).resolve().parents[2]
H200 = (0.000583, 0.00125)
RENTED = Rented(target="sandbox", machine="S", key="ab" * 32)


def job_of(pictures: Path, **changes: Any) -> Job:
    plain = {
        "name": "remote",
        "base": {"ref": str(ROOT / "examples" / "base")},
        "dataset": {"path": str(pictures), "held_out": 1},
        "training": {"resolution": 32, "steps": 2, "batch_size": 2, "rank": 2, "alpha": 2, "warmup": 0},
        "serving": {"app": "remote", "machine_type": "S"},
        "listing": {"title": "t", "short_description": "s"},
    }
    return parse_job(plain | changes, source="test")


@pytest.mark.parametrize(
    ("forecast", "rate", "budget", "seconds", "usd"),
    [
        (None, None, None, UNKNOWN, None),
        ((100.0, 1000.0), None, None, LONGEST_START + 2000.0, None),
        ((1e5, 1e6), H200, None, LONGEST, (LONGEST * H200[0], LONGEST * H200[1])),
        ((100.0, 1000.0), H200, 100.0, LONGEST_START + 2000.0, (3800 * H200[0], 3800 * H200[1])),
        ((100.0, 1000.0), H200, 1.25, 1000.0, (1000 * H200[0], 1.25)),
        ((100.0, 1000.0), (0.000525, None), 0.525, 1000.0, (0.525, 0.525)),
        (None, H200, 1.25, 1000.0, (1000 * H200[0], 1.25)),
    ],
)
def test_time_is_what_the_forecast_takes_twice_or_what_the_budget_pays(
    forecast: Any, rate: Any, budget: float | None, seconds: float, usd: Any
) -> None:
    limit = limit_for("GPU-H200", forecast=forecast, rate=rate, budget=budget)
    assert limit.seconds == pytest.approx(seconds)
    assert limit.usd == (usd if usd is None else pytest.approx(usd))


def test_a_training_that_no_budget_can_hold_is_refused_with_its_least_price() -> None:
    with pytest.raises(JobError, match=r"budget_usd: got 1; this training costs at least 5\.86 USD on GPU-H200 by the forecast"):
        limit_for("GPU-H200", forecast=(10_000.0, 90_000.0), rate=H200, budget=1.0)
    with pytest.raises(JobError, match="what GPU-L40 costs is not known here"):
        limit_for("GPU-L40", forecast=None, rate=None, budget=1.0)


def test_people_read_what_it_may_cost_and_what_leaves_their_machine(tmp_path: Path) -> None:
    assert allowed(limit_for("GPU-H200", forecast=None, rate=H200, budget=1.25)).startswith("at most 17 min, so at most 1.25 USD")
    unknown = allowed(limit_for("S", forecast=None, rate=None, budget=None))
    assert unknown == "at most 240 min; what the machine costs is not known here"
    (tmp_path / "x").write_bytes(bytes(1 << 20))
    files = dict.fromkeys(("dataset/manifest.json", "dataset/a.png", "dataset/b.png", "base/b/x", "config.json"), tmp_path / "x")
    line = leaving(files, Rented(target="fal", machine="GPU-H100", key="k"))
    assert line.startswith("2 pictures with captions, the base and the recipe (5.0 MiB) go to /data of your own fal account")


def test_a_machine_that_fal_does_not_have_is_named_with_those_that_look_like_it() -> None:
    require_machine("GPU-H100")
    with pytest.raises(JobError, match=r"compute: got 'fal:GPU-H1000'; fal documents no such machine type: GPU-H100"):
        require_machine("GPU-H1000")


def test_the_machine_gets_every_package_that_the_trainer_imports() -> None:
    """By the names of modules, as far as they are installed here: each module's package is among those that are sent."""
    names: set[str] = set()
    for path in (ROOT / "training").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                names |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                names.add(node.module.split(".")[0])
    imported = names - set(sys.stdlib_module_names) - {"training"}
    of_modules = packages_distributions()
    needed = {of_modules[name][0].lower().replace("_", "-") for name in imported}
    assert needed == {package.lower().replace("_", "-") for package in PACKAGES}


def test_optimizers_and_precisions_bring_the_packages_that_the_trainer_asks_for() -> None:
    from training.optimizers import SOURCES
    from training.quantised import PACKAGES as OF_QUANTISED

    assert {name: source.package for name, source in SOURCES.items() if source.package != "torch"} == OF_OPTIMIZERS
    assert OF_QUANTISED == OF_PRECISIONS  # these modules are called as their packages
    assert "prodigyopt" in packages_for(Training(optimizer="prodigy", learning_rate=1.0))
    assert "torchao" in packages_for(Training(precision="fp8"))


def test_a_local_base_travels_where_it_is_small_and_is_named_on_the_hub_where_it_is_not(tmp_path: Path) -> None:
    assert set(base_files(ROOT / "examples" / "base")) >= {"model_index.json", "vae/config.json"}
    assert "README.md" not in base_files(ROOT / "examples" / "base")
    (tmp_path / "transformer").mkdir()
    with (tmp_path / "transformer" / "model.safetensors").open("wb") as file:
        file.truncate(LARGEST_BASE + 1)
    with pytest.raises(JobError, match="name it by its place on the Hub"):
        base_files(tmp_path)


def test_only_what_training_looks_at_leaves_the_machine(tmp_path: Path) -> None:
    rows = [{"path": "pictures/a.png", "split": "train", "mask": "masks/a.png"}, {"path": "pictures/b.png", "split": "held_out"}]
    (tmp_path / "manifest.json").write_text(json.dumps({"pictures": rows}))
    (tmp_path / "contact.png").touch()
    without = dict(pictures_of(tmp_path, held_out=False))
    assert list(without) == ["dataset/manifest.json", "dataset/pictures/a.png", "dataset/masks/a.png"]
    assert set(dict(pictures_of(tmp_path, held_out=True))) - set(without) == {"dataset/pictures/b.png"}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LORASMITH_HOME", str(folder))
        patch.setenv("OMP_NUM_THREADS", "1")
        control.up(folder)
        yield folder
        control.down(folder)


@pytest.fixture(scope="module")
def artefacts(home: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Job, Artefact, Artefact]:
    """A job of four pictures, its dataset, and a verdict that names no node."""
    pictures = tmp_path_factory.mktemp("pictures")
    for path in sorted((ROOT / "examples" / "emoji" / "pictures").glob("*.webp"))[:5]:
        shutil.copyfile(path, pictures / path.name)
        shutil.copyfile(path.with_suffix(".txt"), pictures / f"{path.stem}.txt")
    shutil.copyfile(ROOT / "examples" / "emoji" / "pictures" / "dataset.yaml", pictures / "dataset.yaml")
    job = job_of(pictures, compute="fal:S")
    verdict = tmp_path_factory.mktemp("verdict")
    (verdict / "verdict.json").write_text(json.dumps({"nodes": []}))
    licences = Artefact(kind="verdict", key="0" * 64, path=verdict, found=True)
    prepared = tmp_path_factory.mktemp("prepared")
    prepare(pictures, prepared, DatasetOptions(resolution=32, held_out=1))
    return job, Artefact(kind="dataset", key="1" * 64, path=prepared, found=True), licences


def test_the_adapter_from_there_is_the_one_from_here_and_its_request_is_paid_once(
    home: Path, artefacts: tuple[Job, Artefact, Artefact], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    job, dataset, licences = artefacts
    inputs = {"where": "there"}
    there = steps.trained(job, dataset, licences, inputs, "sandbox").path
    said = capsys.readouterr().err
    here = trained_here(job, dataset, licences, tmp_path)
    assert load_file(there / ADAPTER)
    assert (there / ADAPTER).read_bytes() == (here / ADAPTER).read_bytes()
    records = [json.loads((folder / "training.json").read_text()) for folder in (there, here)]
    assert records[0]["terms"] == records[1]["terms"]
    assert {path.name for path in there.iterdir()} == {path.name for path in here.iterdir()}
    assert "4 pictures with captions, the base and the recipe" in said
    told = [json.loads(line) for line in (home / "work" / digest(inputs)[:16] / "train.jsonl").read_text().splitlines()]
    assert {event["stage"] for event in told} >= {"encode", "train", "export"}
    (record,) = [json.loads(path.read_text()) for path in (home / "remote").glob("sandbox-*.json")]
    assert [request["state"] for request in record["requests"]] == ["done"]
    asked = control.ledger(home)
    shutil.rmtree(there.parent)
    again = steps.trained(job, dataset, licences, inputs, "sandbox").path
    assert (again / ADAPTER).read_bytes() == (here / ADAPTER).read_bytes()
    assert control.ledger(home) == asked  # found in the archive that was kept


def trained_here(job: Job, dataset: Artefact, licences: Artefact, folder: Path) -> Path:
    """The trainer's own command in this process, as slow as one core."""
    torch.set_num_threads(1)
    steps.write_config(job, dataset, licences, folder / "config.json")
    out = folder / "out"
    assert run.main(["train", "--config", str(folder / "config.json"), "--out", str(out), "--work", str(folder / "work")]) == 0
    return out


REFUSES = """
import json, sys
line = json.dumps({"event": "error", "message": "the loss is no number: lower learning_rate", "exit_code": 2})
open("events.jsonl", "w").write(line + "\\n")
sys.exit(1)
"""


def test_what_the_trainer_refuses_over_there_comes_back_with_its_line_and_code(
    home: Path, artefacts: tuple[Job, Artefact, Artefact], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote_training, "COMMAND", ("-c", REFUSES))
    with pytest.raises(StepFailed, match=r"^the loss is no number: lower learning_rate$") as failed:
        steps.trained(*artefacts, {"refused": 1}, "sandbox")
    assert failed.value.exit_code == 2


def test_gc_finds_what_trainings_left_over_there_and_takes_it_when_they_have_ended(
    home: Path, artefacts: tuple[Job, Artefact, Artefact]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(remote_training, "COMMAND", ("-c", "import sys; sys.exit(9)"))
        with pytest.raises(StepFailed, match="the command was stopped"):
            steps.trained(*artefacts, {"stopped": 1}, "sandbox")
    key = digest({"stopped": 1})
    folder = home / "sandbox" / "data" / "sandbox-owner" / "lorasmith" / "remote" / key[:32]
    record = home / "remote" / f"sandbox-{key[:16]}.json"
    other = folder.with_name("cd" * 16)
    other.mkdir()
    assert folder.is_dir()
    control.down(home)  # its runners end, which else wait ten seconds for more
    before = record.read_text()
    record.write_text(before.replace('"stopped"', '"open"'))
    assert not [one for one in found_by_gc().items if one.remote is not None and one.remote.kind == "folder"]
    record.write_text(before)
    found = found_by_gc()
    kinds = {one.name: one.kind for one in found.items if one.remote is not None}
    (app,) = {one["app"] for one in json.loads(before)["requests"]}
    assert kinds == {key[:32]: "sandbox rented folder", app: "sandbox rented app"}
    assert any("of no record here" in line and other.name in line for line in found.said)
    gone = garbage.removed(found, "sandbox")
    assert {one.name for one in gone.items} >= set(kinds)
    assert not folder.exists()
    assert other.is_dir()
    assert record.is_file()
    assert record.stem in {one.name for one in found_by_gc().items if one.kind == "training record"}


def found_by_gc() -> garbage.Found:
    """By a gc for which everything is old."""
    return garbage.found("sandbox", age=0.0, keep=0, platform=True)


def test_a_gated_base_needs_a_token_in_the_account_of_which_only_the_name_is_read(
    home: Path, artefacts: tuple[Job, Artefact, Artefact], tmp_path: Path
) -> None:
    from flows.targets import open_platform

    job = artefacts[0].model_copy(update={"base": artefacts[0].base.model_copy(update={"ref": "owner/name"})})
    (tmp_path / "verdict.json").write_text(json.dumps({"nodes": [{"id": "owner/name", "gated": True}]}))
    with open_platform("sandbox") as platform:
        with pytest.raises(JobError, match="fal secrets set HF_TOKEN="):
            secrets_of(job, tmp_path, platform)
        assert secrets_of(artefacts[0], tmp_path, platform) == ()
    (tmp_path / "verdict.json").write_text(json.dumps({"nodes": [{"id": "owner/name", "gated": False}]}))
    with open_platform("sandbox") as platform:
        assert secrets_of(job, tmp_path, platform) == ()


@pytest.mark.parametrize("fault", ["more files", "another dataset", "another adapter", "no adapter"])
def test_what_is_no_training_of_this_job_is_not_taken(fault: str, tmp_path: Path) -> None:
    import hashlib

    import numpy
    from safetensors.numpy import save_file

    out, dataset = tmp_path / "out", tmp_path / "dataset"
    out.mkdir()
    dataset.mkdir()
    (dataset / "manifest.json").write_text(json.dumps({"hash": "h"}))
    save_file({"a": numpy.zeros(4, numpy.float32)}, out / "adapter.safetensors")
    sha = hashlib.sha256((out / "adapter.safetensors").read_bytes()).hexdigest()
    record = {"adapter_sha256": sha, "terms": {"dataset": "h", "seed": 0}}
    (out / "training.json").write_text(json.dumps(record))
    require_ours(out, {"seed": 0}, dataset, RENTED)
    if fault == "more files":
        (out / "run.py").touch()
    elif fault == "another dataset":
        (dataset / "manifest.json").write_text(json.dumps({"hash": "other"}))
    elif fault == "another adapter":
        save_file({"a": numpy.ones(4, numpy.float32)}, out / "adapter.safetensors")
    else:
        (out / "adapter.safetensors").write_bytes(b"\x80\x04pickle")
    with pytest.raises(StepFailed, match="is no training of this job") as failed:
        require_ours(out, {"seed": 0}, dataset, RENTED)
    assert failed.value.exit_code == 5


@pytest.mark.parametrize(
    ("ending", "given_up"), [(KeyboardInterrupt(), True), (SystemExit(143), True), (OSError("the disk is full"), False)]
)
def test_whoever_stops_a_run_by_hand_gives_its_machine_up(
    ending: BaseException, given_up: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PREFECT__FLOW_RUN_ID", raising=False)
    assert is_given_up(ending) is given_up


def test_renting_at_fal_asks_for_a_key_and_training_here_does_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LORASMITH_HOME", str(tmp_path))
    monkeypatch.delenv("FAL_KEY", raising=False)
    rented, here = (job_of(tmp_path, compute=compute) for compute in ("fal:GPU-H100", "here"))
    with pytest.raises(TargetRefused, match="FAL_KEY is not set"):
        ask_before_renting(rented, "fal", yes=True)
    ask_before_renting(here, "fal", yes=False)
    ask_before_renting(rented, "sandbox", yes=False)
