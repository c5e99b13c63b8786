"""A run that was killed goes on to the same bytes; foreign, damaged and unwritable work folders are one clear line."""

import errno
import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.training.runs import Run, same
from training.config import TrainConfig
from training.data.cache import Example
from training.errors import CheckpointError, Interrupted, StorageError
from training.run import main

Make = Callable[..., TrainConfig]
STEPS = 5
# Each line: what differs from the plain recipe, and where the process is killed.
CASES: list[tuple[dict[str, Any], str]] = [
    *(({}, f"step {step}") for step in range(1, STEPS + 1)),
    ({}, "write 4"),
    ({"optimizer": "sgd"}, "step 3"),
    ({"optimizer": "adafactor"}, "step 4"),
    ({"optimizer": "prodigy", "learning_rate": 1.0}, "step 5"),
    ({"optimizer": "schedulefree", "schedule": "constant"}, "step 3"),
    ({"optimizer": "came"}, "step 5"),
    ({"adapter": "lokr"}, "step 4"),
    ({"batch_size": 1, "posterior": "sample", "gradient_checkpointing": "on"}, "step 3"),
]


@pytest.fixture(scope="module")
def results(base_folder: Path, dataset_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    folder = tmp_path_factory.mktemp("killed")
    config = {
        "base": str(base_folder),
        "dataset": str(dataset_folder),
        "cache": str(folder / "cache"),
        "resolution": 32,
        "steps": STEPS,
        "batch_size": 3,
        "rank": 2,
        "alpha": 2.0,
        "learning_rate": 1e-2,
        "warmup": 2,
        "checkpoint_every": 2,
        "log_every": 1,
    }
    (folder / "order.json").write_text(json.dumps({"config": config, "cases": CASES}))
    command = [sys.executable, "-m", "tests.training.killed", str(folder / "order.json"), str(folder)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    answers: list[dict[str, Any]] = json.loads((folder / "results.json").read_text())
    return answers


@pytest.mark.parametrize("number", range(len(CASES)), ids=lambda number: f"{CASES[number][0]} {CASES[number][1]}")
def test_a_run_killed_at_any_step_ends_with_the_bytes_of_one_never_killed(number: int, results: list[dict[str, Any]]) -> None:
    found = results[number]
    assert found["signal"] == signal.SIGKILL
    step = CASES[number][1].split()[1]
    last = (int(step) - 1) // 2 * 2  # the checkpoint before
    assert found["left"] == ([f"step-{last:08d}.safetensors"] if last else [])
    assert found["resumed"] == found["straight"] != ""


def test_recipes_differ_in_their_bytes(results: list[dict[str, Any]]) -> None:
    """What makes the comparison above one that can fail: another recipe is another adapter."""
    assert len({found["straight"] for found in results}) == len({json.dumps(changes) for changes, _ in CASES})


@pytest.mark.parametrize(
    ("changes", "said"),
    [({"dataset": "another"}, "dataset 'one' there, 'another' here"), ({"base": "b2"}, "base 'b1' there, 'b2' here")],
    ids=["dataset", "base"],
)
def test_a_checkpoint_of_another_dataset_or_base_is_refused_by_name(
    changes: dict[str, str], said: str, run: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = {"dataset": "one", "base": "b1"}
    plain = TrainConfig.terms
    monkeypatch.setattr(TrainConfig, "terms", lambda config: {**plain(config), **ours})
    run("w")()
    ours |= changes
    with pytest.raises(CheckpointError, match=said):
        run("w")()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"rank": 4}, "rank 2 there, 4 here"),
        ({"learning_rate": 0.5}, "learning_rate"),
        ({"optimizer": "sgd"}, "optimizer 'adamw' there, 'sgd' here"),
        ({"caption_dropout": 0.1}, "caption_dropout 0.0 there, 0.1 here"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_checkpoint_of_another_job_is_refused_by_name(changes: dict[str, Any], said: str, run: Callable[..., Run]) -> None:
    run("w")()
    with pytest.raises(CheckpointError, match=said):
        run("w", **changes)()


def test_the_commands_refuse_the_work_of_another_dataset(
    make_config: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str], dataset_folder: Path
) -> None:
    """Through the command, where base and dataset are hashed: the same pictures with one caption changed are another dataset."""
    other = tmp_path / "other"
    other.mkdir()
    manifest = json.loads((dataset_folder / "manifest.json").read_text())
    for path in dataset_folder.rglob("*.png"):
        (other / path.relative_to(dataset_folder)).parent.mkdir(parents=True, exist_ok=True)
        (other / path.relative_to(dataset_folder)).write_bytes(path.read_bytes())
    (other / "manifest.json").write_text(json.dumps({**manifest, "hash": "0" * 64}))
    assert main(command(make_config(steps=2), tmp_path, "one")) == 0, capsys.readouterr().err
    assert main(command(make_config(steps=2, dataset=str(other)), tmp_path, "two")) == 2
    assert "belongs to another run (dataset " in capsys.readouterr().err


def command(config: TrainConfig, folder: Path, name: str) -> list[str]:
    path = folder / f"{name}.json"
    path.write_text(config.model_dump_json())
    return ["train", "--config", str(path), "--out", f"{folder}/{name}", "--work", f"{folder}/work", "--events", f"{folder}/events"]


def test_a_full_disk_is_one_line_and_the_last_good_checkpoint_is_kept(run: Callable[..., Run]) -> None:
    """A limit on the size of files is a disk that is full for a checkpoint."""
    straight = run("straight")
    straight()
    answers = iter([False, True])
    with pytest.raises(Interrupted, match="at step 2 of 6"):
        run("w")(stopped=lambda: next(answers))
    full = run("w")
    (kept,) = full.work.iterdir()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (kept.stat().st_size // 2, hard))
    try:
        with pytest.raises(StorageError, match=r"step-00000004.safetensors' cannot be written .*make room on the disk") as caught:
            full()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert os.strerror(errno.EFBIG) in str(caught.value)
    assert (caught.value.exit_code, str(caught.value).count("\n")) == (2, 0)
    assert list(full.work.iterdir()) == [kept]
    resumed = run("w")
    resumed()
    assert same(resumed.state, straight.state)


def test_events_on_a_full_disk_end_a_run_with_one_line(
    make_config: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = command(make_config(), tmp_path, "w")
    asked[asked.index("--events") + 1] = "/dev/full"
    assert main(asked) == 2
    line = capsys.readouterr().err
    assert f"events cannot be written to '/dev/full' ({os.strerror(errno.ENOSPC)}): make room" in line
    assert line.count("\n") == 1


def test_a_checkpoint_without_weights_of_ours_is_named(run: Callable[..., Run], examples: tuple[Example, ...]) -> None:
    training = run("w")
    training()
    (path,) = training.work.iterdir()
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(CheckpointError, match="delete it to begin again"):
        run("w")()
