"""Measuring between steps: the best adapter is kept, patience ends a run early, and a resumed run agrees."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tests.training.runs import Run, same
from training import checkpoint
from training.config import TrainConfig
from training.errors import Interrupted
from training.patience import best_of, exhausted
from training.run import main

Make = Callable[..., TrainConfig]


def measuring(*losses: float) -> Callable[[], float]:
    answers = iter(losses)
    return lambda: next(answers)


MEASURED = [(2, 5.0), (4, 3.0), (6, 3.0), (8, 4.0)]


def test_the_best_is_the_least_and_the_earliest_of_equals() -> None:
    assert best_of(MEASURED) == (4, 3.0)


@pytest.mark.parametrize(("patience", "wanted"), [(None, False), (1, True), (2, True), (3, False)])
def test_patience_counts_measurements_since_the_best(patience: int | None, wanted: bool) -> None:
    assert exhausted(MEASURED, patience) == wanted
    assert not exhausted([], patience)


def test_the_adapter_ends_as_it_was_at_its_best(run: Callable[..., Run]) -> None:
    short = run("short", steps=6, validate_every=2, schedule="constant")
    short(held_out_loss=measuring(3.0, 2.0, 1.0))
    long = run("long", steps=12, validate_every=2, schedule="constant")
    curve = long(held_out_loss=measuring(3.0, 2.0, 1.0, 1.5, 1.0, 9.0))
    assert same(long.state, short.state)
    assert checkpoint.best_step(long.work) == 6
    assert [(point.step, point.held_out) for point in curve if point.held_out is not None][2:4] == [(6, 1.0), (8, 1.5)]


def test_patience_ends_a_run_early_and_a_second_start_has_nothing_to_do(run: Callable[..., Run]) -> None:
    recipe = {"steps": 100, "validate_every": 1, "patience": 2, "checkpoint_every": 100}
    first, again = run("w", **recipe), run("w", **recipe)
    curve = first(held_out_loss=measuring(3.0, 1.0, 2.0, 2.0))
    assert curve[-1].step == 4
    assert again(held_out_loss=measuring()) == []
    assert same(first.state, again.state)


def test_a_resumed_run_remembers_what_was_measured(run: Callable[..., Run]) -> None:
    recipe = {"steps": 8, "validate_every": 2, "schedule": "constant"}
    straight, stopped, resumed = run("straight", **recipe), run("w", **recipe), run("w", **recipe)
    straight(held_out_loss=measuring(3.0, 1.0, 2.0, 4.0))
    answers = iter([False] * 4 + [True])
    with pytest.raises(Interrupted, match="at step 5"):
        stopped(stopped=lambda: next(answers), held_out_loss=measuring(3.0, 1.0))
    resumed(held_out_loss=measuring(2.0, 4.0))
    assert same(resumed.state, straight.state)
    assert checkpoint.best_step(resumed.work) == 4


def test_measuring_leaves_no_trace_in_training(run: Callable[..., Run]) -> None:
    """Also where the recommended weights are others than those stepped on."""
    for recipe in ({}, {"optimizer": "schedulefree", "schedule": "constant"}):
        plain, measured = run(f"p{len(recipe)}", **recipe), run(f"m{len(recipe)}", validate_every=2, **recipe)
        curves = [plain(), measured(held_out_loss=measuring(3.0, 2.0, 1.0))]
        assert same(plain.state, measured.state)
        assert curves[0][-1].loss == pytest.approx(curves[1][-1].loss, rel=0.5)


def test_a_command_keeps_the_best_by_the_stable_loss(make_config: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = make_config(steps=6, validate_every=2, learning_rate=0.5, schedule="constant", warmup=6, batch_size=4)
    (tmp_path / "config.json").write_text(config.model_dump_json())
    asked = ["train", "--config", f"{tmp_path}/config.json", "--out", f"{tmp_path}/out", "--work", f"{tmp_path}/work"]
    assert main(asked) == 0, capsys.readouterr().err
    record: dict[str, Any] = json.loads((tmp_path / "out" / "training.json").read_text())
    held_out = {point["step"]: point["held_out"] for point in record["curve"] if point["held_out"] is not None}
    assert sorted(held_out) == [2, 4, 6]
    assert held_out[record["best"]] == min(held_out.values())
    assert record["how"] == {"precision": "fp32", "gradient_checkpointing": False, "compiled": False}
    best = {
        name.split("weight/")[-1].replace(".default", ""): value
        for name, value in load_file(tmp_path / "work" / "best.safetensors").items()
    }
    exported = load_file(tmp_path / "out" / "adapter.safetensors")
    assert all(torch.equal(exported[f"transformer.{name}"], value) for name, value in best.items())
    assert len(exported) == len(best)


def test_measuring_without_held_out_pictures_is_refused(
    make_config: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str], dataset_folder: Path
) -> None:
    bare = tmp_path / "bare"
    shutil.copytree(dataset_folder, bare)
    manifest = json.loads((bare / "manifest.json").read_text())
    kept = [picture for picture in manifest["pictures"] if picture["split"] == "train"]
    (bare / "manifest.json").write_text(json.dumps({**manifest, "pictures": kept}))
    (tmp_path / "config.json").write_text(make_config(dataset=str(bare), validate_every=2).model_dump_json())
    asked = ["train", "--config", f"{tmp_path}/config.json", "--out", f"{tmp_path}/out", "--work", f"{tmp_path}/work"]
    assert main(asked) == 2
    assert "has none: set dataset.held_out" in capsys.readouterr().err
